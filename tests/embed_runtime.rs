//! ONNX Runtime is found, loaded once, kept silent and cut off from home: what only a process of its own can show.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use fafcas::embed::{DEFAULT_MODEL, Places, configure, model, runtime_version};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use support::models;

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embed_runtime").join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A library that has the one function of ONNX Runtime, and says that it is this version.
fn impostor(folder: &Path, version: &str) -> PathBuf {
    let source = folder.join("impostor.rs");
    let library = folder.join(format!("libimpostor-{version}.so"));
    let code = format!(
        "#[repr(C)] pub struct Base(extern \"C\" fn(u32) -> *const u8, extern \"C\" fn() -> *const u8);\n\
         extern \"C\" fn api(_: u32) -> *const u8 {{ std::ptr::null() }}\n\
         extern \"C\" fn version() -> *const u8 {{ c\"{version}\".as_ptr().cast() }}\n\
         static BASE: Base = Base(api, version);\n\
         #[unsafe(no_mangle)] pub extern \"C\" fn OrtGetApiBase() -> *const Base {{ &BASE }}\n"
    );
    fs::write(&source, code).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let options = ["--edition=2024", "--crate-type=cdylib", "--crate-name=impostor", "-o"];
    let status = Command::new(rustc).args(options).arg(&library).arg(&source).status();
    assert!(status.unwrap().success());
    library
}

/// The one test here that loads the runtime, so that it sees every failure before the first success.
#[test]
fn the_runtime_is_refused_with_the_reason_until_it_is_right() {
    let folder = scratch("wrong");
    let real = models().join("libonnxruntime.so");
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let mut foreign = fs::read(&real).unwrap();
    // The machine in an ELF header: one that nobody has.
    foreign[18..20].copy_from_slice(&[0x5f, 0x5f]);
    let plain = fs::read_dir(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let other = plain.map(|entry| entry.unwrap().path()).find(|path| path.ends_with("libfafcas.so")).unwrap();
    let cases = [
        (folder.join("absent.so"), "expected ONNX Runtime's library libonnxruntime.so in "),
        (folder.clone(), "expected ONNX Runtime's library libonnxruntime.so in "),
        (write("text.so", b"not a library"), "expected a library of ONNX Runtime, not "),
        (write("empty.so", b""), "expected a library of ONNX Runtime, not "),
        (write("cut.so", &foreign[..4096]), "expected a library of ONNX Runtime, not "),
        (write("foreign.so", &foreign), "expected a library of ONNX Runtime, not "),
        (other, "expected a library of ONNX Runtime, not "),
        (impostor(&folder, "1.16.3"), "expected ONNX Runtime 1.17 or later, not 1.16.3"),
        (impostor(&folder, "2.0.0"), "expected ONNX Runtime 1.17 or later, not 2.0.0"),
        (impostor(&folder, "1.99.0"), "not version 1.99.0 without the functions of 1.17"),
    ];
    for (runtime, reason) in cases {
        configure(Places { models: Some(models()), runtime: Some(runtime) });
        let message = model(DEFAULT_MODEL).err().unwrap().to_string();
        assert!(message.contains(reason), "{message}");
        assert_eq!(runtime_version(), None);
    }
    configure(Places { models: Some(models()), runtime: Some(real) });
    model(DEFAULT_MODEL).unwrap().embed("at last", 1).unwrap();
    assert_eq!(runtime_version(), Some("1.28.0"));
}

/// The example that embeds. Built here, because cargo does not when it is asked for this file of tests alone.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let options = ["build", "--quiet", "--example", "nearest", "--profile", profile];
    assert!(Command::new(env!("CARGO")).args(options).status().unwrap().success());
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/nearest")
});

/// A program that embeds, in a home of its own. Answers one line for each line.
fn program(home: &Path) -> Command {
    let mut command = Command::new(PROGRAM.as_path());
    command.args(["a fast car", "an old driver", "rain"]).current_dir(home).env_clear();
    for variable in ["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
        command.env(variable, home);
    }
    command.env("FAFCAS_MODEL_DIR", models());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ask(child: &mut Child, question: &str) -> String {
    writeln!(child.stdin.as_mut().unwrap(), "{question}").unwrap();
    let mut answer = Vec::new();
    // One byte at a time: what is read ahead would be lost to the next question.
    let output = child.stdout.as_mut().unwrap();
    BufReader::with_capacity(1, output).read_until(b'\n', &mut answer).unwrap();
    String::from_utf8(answer).unwrap().trim_end().to_owned()
}

/// What the program writes on standard error to its end, which must be a good one.
fn end(mut child: Child) -> String {
    drop(child.stdin.take());
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    text
}

/// Telemetry would start a thread, keep an identifier and a database in the home, and open a socket.
#[test]
fn nothing_is_sent_kept_or_printed() {
    let home = scratch("home");
    let mut child = program(&home).spawn().unwrap();
    assert!(ask(&mut child, "who drove it?").ends_with(" an old driver"));
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    assert_eq!(fs::read_dir(process.join("task")).unwrap().count(), 1, "threads");
    let open = fs::read_dir(process.join("fd")).unwrap().map(|file| fs::read_link(file.unwrap().path()).unwrap());
    let sockets = open.filter(|file| file.to_string_lossy().starts_with("socket:") || file.starts_with(&home));
    assert_eq!(sockets.collect::<Vec<_>>(), Vec::<PathBuf>::new());
    assert_eq!(end(child), "");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "files in the home");
}

/// The variable that forbids it is set before the library is loaded, so a library that looks at it then finds it.
#[test]
fn telemetry_is_forbidden_before_the_runtime_is_there() {
    let folder = scratch("spy");
    let source = folder.join("spy.rs");
    let seen = folder.join("seen");
    let code = format!(
        "#[unsafe(no_mangle)] pub extern \"C\" fn OrtGetApiBase() -> *const u8 {{\n\
         std::fs::write({seen:?}, std::env::var(\"ORT_DISABLE_TELEMETRY\").unwrap_or_default()).unwrap();\n\
         std::ptr::null() }}\n"
    );
    fs::write(&source, code).unwrap();
    let library = folder.join("libspy.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let options = ["--edition=2024", "--crate-type=cdylib", "--crate-name=spy", "-o"];
    assert!(Command::new(rustc).args(options).arg(&library).arg(&source).status().unwrap().success());
    for (set, expected) in [(None, "1"), (Some("0"), "0")] {
        let mut command = program(&folder);
        command.env("FAFCAS_ONNXRUNTIME", &library).envs(set.map(|value| ("ORT_DISABLE_TELEMETRY", value)));
        let mut child = command.spawn().unwrap();
        let answer = ask(&mut child, "anything");
        assert!(answer.contains("expected a library of ONNX Runtime, not one without functions"), "{answer}");
        assert_eq!(end(child), "");
        assert_eq!(fs::read_to_string(&seen).unwrap(), expected);
    }
}

#[test]
fn without_runtime_or_model_the_error_says_what_mends_it() {
    let home = scratch("nothing");
    fs::create_dir_all(home.join(DEFAULT_MODEL)).unwrap();
    let answer = |change: &dyn Fn(&mut Command)| {
        let mut command = program(&home);
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let answer = ask(&mut child, "anything");
        assert_eq!(end(child), "");
        answer
    };
    let model = answer(&|command| {
        command.env("FAFCAS_MODEL_DIR", home.join("no"));
    });
    let wanted = format!(
        "error: expected a model {DEFAULT_MODEL} in {}, not none: type `export FAFCAS_MODEL_DIR=",
        home.join("no").display()
    );
    assert!(model.starts_with(&wanted), "{model}");

    // The working directory has everything, and is not looked into.
    let here = answer(&|command| {
        command.env_remove("FAFCAS_MODEL_DIR").current_dir(models());
    });
    assert!(
        here.starts_with(&format!(
            "error: expected a model {DEFAULT_MODEL} in {}/fafcas/models or /usr/local/share/fafcas/models, not none",
            home.display()
        )),
        "{here}"
    );

    let runtime = answer(&|command| {
        command.env("FAFCAS_ONNXRUNTIME", home.join("no.so"));
    });
    assert!(
        runtime.contains("expected ONNX Runtime's library libonnxruntime.so in ") && runtime.contains("`make model`"),
        "{runtime}"
    );
}

/// Errors of the runtime itself are told, not printed.
#[test]
fn the_runtime_is_silent_when_it_fails() {
    let home = scratch("silent");
    let folder = home.join("models").join(DEFAULT_MODEL);
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(models().join("libonnxruntime.so"), home.join("models/libonnxruntime.so.1.28.0"))
        .unwrap();
    fs::copy("tests/data/tiny/tokenizer.json", folder.join("tokenizer.json")).unwrap();
    fs::create_dir(folder.join("1_Pooling")).unwrap();
    fs::write(folder.join("1_Pooling/config.json"), r#"{"pooling_mode": "mean"}"#).unwrap();
    fs::write(folder.join("config.json"), r#"{"max_position_embeddings": 8}"#).unwrap();
    let mut child = program(&home).env("FAFCAS_MODEL_DIR", home.join("models")).spawn().unwrap();
    for (onnx, reason) in [
        ("short_table", "ONNX Runtime: "),
        ("flat", "expected last_hidden_state of "),
        ("int32", "expected input_ids of "),
    ] {
        fs::copy(format!("tests/data/tiny/{onnx}.onnx"), folder.join("model.onnx")).unwrap();
        let answer = ask(&mut child, "red");
        assert!(answer.contains(reason), "{answer}");
    }
    fs::write(folder.join("model.onnx"), "garbage").unwrap();
    assert!(ask(&mut child, "red").contains("ONNX Runtime: "));
    fs::copy("tests/data/tiny/tokens.onnx", folder.join("model.onnx")).unwrap();
    assert!(!ask(&mut child, "red").contains("error"));
    assert_eq!(end(child), "");
}

/// As somebody who may not read them; root may, so it becomes somebody else.
#[test]
fn folders_without_permission_are_named() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let home = scratch("locked");
    let closed = home.join("models");
    fs::create_dir_all(closed.join(DEFAULT_MODEL)).unwrap();
    let permissions = |mode| fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    permissions(0o000);
    let mut command = program(&home);
    command.env("FAFCAS_MODEL_DIR", &closed);
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.spawn().unwrap();
    let answer = ask(&mut child, "anything");
    permissions(0o755);
    assert!(answer.contains("expected a readable file or folder, not Permission denied"), "{answer}");
    assert_eq!(end(child), "");
}
