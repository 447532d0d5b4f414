//! Static models, in a process that never finds ONNX Runtime: vectors are those of the package model2vec, damaged files are
//! refused with the reason, and SQL has all it has with other models.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use fafcas::embed::{Model, Places, configure, model};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// The tiny models that scripts/make_tiny_static.py made.
fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/static")
}

/// A folder of models: the tiny ones by link, an ONNX model by link, and what the tests add. There is no runtime.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = support::scratch("embed_static");
    let tiny = fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    for folder in tiny.chain([support::models().join("all-MiniLM-L6-v2")]) {
        std::os::unix::fs::symlink(&folder, root.join(folder.file_name().unwrap())).unwrap();
    }
    configure(Places { models: Some(root.clone()), runtime: Some(root.join("no.so")) });
    root
});

fn tiny(name: &str) -> Arc<Model> {
    LazyLock::force(&ROOT);
    model(name).unwrap()
}

fn message(name: &str) -> String {
    LazyLock::force(&ROOT);
    model(name).err().unwrap_or_else(|| panic!("{name} was loaded")).to_string()
}

/// A model with these files and a tokenizer.
fn made(name: &str, config: &str, table: &[u8]) -> PathBuf {
    let folder = ROOT.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(data().join("f32/tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
    fs::write(folder.join("model.safetensors"), table).unwrap();
    folder
}

/// A safetensors file with this header and so many bytes of values.
fn safetensors(header: &Value, bytes: usize) -> Vec<u8> {
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0x3c; bytes]].concat()
}

fn tensor(dtype: &str, shape: &[usize], place: [usize; 2]) -> Value {
    json!({ "dtype": dtype, "shape": shape, "data_offsets": place })
}

fn open() -> Connection {
    LazyLock::force(&ROOT);
    fafcas::register_auto_extension().unwrap();
    Connection::open_in_memory().unwrap()
}

fn texts_of(host: &Connection, sql: &str) -> Vec<String> {
    let mut statement = host.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn refused(host: &Connection, sql: &str) -> String {
    host.query_row(sql, [], |_| Ok(())).unwrap_err().to_string()
}

fn near(vector: &[f32], expected: &[f64]) -> bool {
    let norm = expected.iter().map(|value| value * value).sum::<f64>().sqrt();
    let close = |(&a, &b): (&f32, &f64)| (f64::from(a) - b / norm).abs() < 2e-3;
    vector.len() == expected.len() && vector.iter().zip(expected).all(close)
}

#[test]
fn vectors_are_those_of_model2vec() {
    let expected: Value = serde_json::from_str(&fs::read_to_string(data().join("expected.json")).unwrap()).unwrap();
    let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
    let models = expected["vectors"].as_object().unwrap();
    assert_eq!(models.len(), 10);
    for (name, vectors) in models {
        let vectors: Vec<Vec<f64>> = serde_json::from_value(vectors.clone()).unwrap();
        let lent = texts.iter().map(String::as_str).collect::<Vec<_>>();
        let model = tiny(name);
        let together = model.embed_batch(&lent, 2, &mut |_| Ok(())).unwrap();
        for ((text, expected), vector) in texts.iter().zip(&vectors).zip(together) {
            if expected.iter().all(|value| *value == 0.0) {
                // No known token is left. Here that is one unknown token; see the next test.
                continue;
            }
            assert!(near(&vector, expected), "{name}: {text:?} is {vector:?}, expected {expected:?}");
            assert_eq!(vector, tiny(name).embed(text, 1).unwrap(), "{name}: {text:?} alone");
        }
    }
}

#[test]
fn a_text_without_a_known_token_is_one_unknown_token() {
    let model = tiny("f32");
    let unknown = model.embed("unheard", 1).unwrap();
    for text in ["of", "unheard of", "🙂🙂", ""] {
        assert_eq!(model.embed(text, 1).unwrap(), unknown, "{text:?}");
    }
    assert_eq!(model.embed("unheard of green", 1).unwrap(), model.embed("green", 1).unwrap());
    // This tokenizer has none.
    let error = tiny("byte_pairs").embed("xyz", 1).unwrap_err().to_string();
    assert_eq!(error, "expected text that makes a token, not one that makes none");
}

#[test]
fn tokens_beyond_the_limit_are_cut_off() {
    assert_eq!(
        (tiny("short").max_tokens(), tiny("f32").max_tokens(), tiny("endless").max_tokens()),
        (4, 512, 1_000_000)
    );
    assert_eq!(tiny("short").count_tokens("red a b green blue").unwrap(), 4);
    let model = tiny("f32");
    assert_eq!(model.count_tokens(&"b ".repeat(600)).unwrap(), 512);
    // The median token has four characters; what is behind 4 * 512 of them is not read.
    assert_eq!(model.count_tokens(&format!("red{}green", " ".repeat(2045))).unwrap(), 1);
    assert_eq!(model.count_tokens(&format!("red{}green", " ".repeat(2040))).unwrap(), 2);
    let long = "é ".repeat(1_000_000) + "red";
    assert_eq!(model.embed(&long, 1).unwrap(), model.embed("é", 1).unwrap());
    assert_eq!(tiny("endless").count_tokens(&"b ".repeat(6000)).unwrap(), 6000);
}

#[test]
fn damaged_files_are_refused_with_the_reason() {
    let rows = |dtype, shape: &[usize], stop| json!({ "embeddings": tensor(dtype, shape, [0, stop]) });
    let with = |name: &str, second: Value| json!({ "embeddings": tensor("F32", &[12, 2], [0, 96]), name: second });
    let long = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = [(deep.len() as u64).to_le_bytes().as_slice(), deep.as_bytes()].concat();
    let cases: [(&str, Vec<u8>, &str); 29] = [
        ("empty", vec![], "expected safetensors, which begin with the length of a header, not 0 bytes"),
        ("cut-length", vec![1, 0, 0], "expected safetensors, which begin with the length of a header, not 3 bytes"),
        (
            "long-header",
            long,
            "expected safetensors with a header of at most 2 bytes, not one of 18446744073709551615 in a",
        ),
        ("no-json", [&4u64.to_le_bytes()[..], b"\xff\xfe{}"].concat(), "expected a header of JSON, not "),
        ("deep", deep, "expected a header of JSON, not recursion limit exceeded"),
        ("list", safetensors(&json!([1]), 0), "expected a header of JSON, not invalid type: sequence, expected a map"),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n".to_vec(), "`git lfs pull`"),
        ("nothing", safetensors(&json!({}), 0), "not tensors none"),
        ("metadata", safetensors(&json!({ "__metadata__": { "embeddings": "no" } }), 0), "not tensors none"),
        (
            "transformer",
            safetensors(&json!({ "encoder.weight": tensor("F32", &[1], [0, 4]) }), 4),
            "expected a static model with a tensor embeddings, or an ONNX file of any other model, not tensors encoder.weight",
        ),
        (
            "cut",
            safetensors(&rows("F32", &[12, 2], 96), 95),
            "expected embeddings with data_offsets as two numbers in order, up to 95, not [0,96]",
        ),
        (
            "more",
            safetensors(&rows("F32", &[12, 2], 96), 97),
            "expected 96 bytes of values, as the header says, not 97",
        ),
        ("backwards", safetensors(&json!({ "embeddings": tensor("F32", &[0, 2], [8, 0]) }), 8), "not [8,0]"),
        ("no-place", safetensors(&json!({ "embeddings": { "dtype": "F32", "shape": [12, 2] } }), 96), "not null"),
        ("three", safetensors(&json!({ "embeddings": { "data_offsets": [0, 96, 96] } }), 96), "not [0,96,96]"),
        ("negative", safetensors(&json!({ "embeddings": { "data_offsets": [-1, 96] } }), 96), "not [-1,96]"),
        (
            "wide",
            safetensors(&rows("F32", &[12, 3], 96), 96),
            "expected values of F32 in the shape [12,3], not 96 bytes: data_offsets [0,96]",
        ),
        (
            "overflow",
            safetensors(&rows("F32", &[1 << 62, 4], 0), 0),
            "expected values of F32 in the shape [4611686018427387904,4], not 0 bytes",
        ),
        (
            "shape",
            safetensors(&json!({ "embeddings": { "dtype": "F32", "shape": ["a"], "data_offsets": [0, 0] } }), 0),
            "expected shape as whole numbers, not [\"a\"]",
        ),
        (
            "dtype",
            safetensors(&rows("F8_E4M3", &[12, 2], 24), 24),
            "expected dtype out of F64, F32, F16, I8, I32, I64, not \"F8_E4M3\"",
        ),
        ("doubles", safetensors(&rows("F64", &[12, 2], 192), 192), "expected embeddings as F32, F16 or I8, not F64"),
        (
            "flat",
            safetensors(&rows("F32", &[24], 96), 96),
            "expected embeddings of tokens x dimensions, from 1 to 65536 of them, not the shape [24]",
        ),
        ("no-rows", safetensors(&rows("F32", &[0, 2], 0), 0), "not the shape [0, 2]"),
        ("no-columns", safetensors(&rows("F32", &[12, 0], 0), 0), "not the shape [12, 0]"),
        (
            "few",
            safetensors(&rows("F32", &[11, 2], 88), 88),
            "expected embeddings for the 12 tokens of the tokenizer, not 11",
        ),
        (
            "few-rows",
            safetensors(&with("mapping", tensor("I32", &[11], [96, 140])), 140),
            "expected mapping of token 0 from 0 to 11, not 1010580540",
        ),
        (
            "mapping",
            safetensors(&with("mapping", tensor("F32", &[12], [96, 144])), 144),
            "expected mapping as I32 or I64, not F32",
        ),
        (
            "weights",
            safetensors(&with("weights", tensor("F32", &[3, 4], [96, 144])), 144),
            "expected weights as a list, not the shape [3, 4]",
        ),
        (
            "few-weights",
            safetensors(&with("weights", tensor("F32", &[11], [96, 140])), 140),
            "expected weights for the 12 tokens of the tokenizer, not 11",
        ),
    ];
    for (name, table, reason) in cases {
        made(name, "{}", &table);
        let found = message(name);
        assert!(found.contains(reason) && found.contains(&format!("{name}/model.safetensors")), "{name}: {found}");
        assert!(found.starts_with(&format!("model {name}: ")) && !found.contains('\n'), "{found}");
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    let ones = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let header = json!({ "embeddings": tensor("F32", &[12, 1], [0, 48]), "weights": tensor("F32", &[12], [48, 96]) });
    let table = |rows: &[f32], weights: &[f32]| [safetensors(&header, 0), ones(rows), ones(weights)].concat();
    made("weight-nan", "{}", &table(&[1.0; 12], &[f32::NAN; 12]));
    assert!(message("weight-nan").ends_with("expected weights as finite numbers, not NaN for token 0"));
    for (name, value, shown) in [("nan", f32::NAN, "NaN"), ("infinite", f32::INFINITY, "inf"), ("zeros", 0.0, "0")] {
        made(name, "{}", &table(&[value; 12], &[1.0; 12]));
        let error = tiny(name).embed("red", 1).unwrap_err().to_string();
        assert_eq!(error, format!("expected a vector of finite length from the model, not {shown}"));
    }
}

/// Every length a file can be cut to, and every byte of the header turned over: an error or vectors, and the host lives on.
#[test]
fn no_damage_ends_the_process() {
    let whole = fs::read(data().join("mapped/model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut refused = 0;
    let mut tried = |name: String, table: &[u8]| {
        made(&name, "{}", table);
        refused += usize::from(model(&name).is_err_and(|error| error.to_string().contains("model.safetensors: ")));
        fs::remove_dir_all(ROOT.join(&name)).unwrap();
    };
    for length in 0..whole.len() {
        tried(format!("cut-to-{length}"), &whole[..length]);
    }
    for (at, flip) in (0..header).flat_map(|at| [1u8, 0x80].map(|flip| (at, flip))) {
        let mut damaged = whole.clone();
        damaged[at] ^= flip;
        tried(format!("flip-{at}-{flip}"), &damaged);
    }
    assert!(refused > whole.len() + header, "{refused}");
}

#[test]
fn other_files_of_the_folder_are_checked() {
    let table = fs::read(data().join("f32/model.safetensors")).unwrap();
    for (name, config, reason) in [
        ("config-text", "no", "config.json: expected JSON, not "),
        ("limit-text", r#"{"max_length": "many"}"#, "config.json: expected max_length as a whole number, not \"many\""),
        ("limit-zero", r#"{"max_length": 0}"#, "config.json: expected max_length of at least 1, not 0"),
    ] {
        made(name, config, &table);
        assert!(message(name).contains(reason), "{}", message(name));
    }
    let folder = made("no-tokenizer", "{}", &table);
    fs::write(folder.join("tokenizer.json"), "{}").unwrap();
    assert!(message("no-tokenizer").contains("tokenizer.json: expected a tokenizer, not "));
    let folder = made("table-folder", "{}", &table);
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    fs::create_dir(folder.join("model.safetensors")).unwrap();
    assert!(message("table-folder").contains("model.safetensors: expected a file, not a folder"));
    // A folder of an ONNX model has the weights of the transformer beside it.
    let folder = made("both", "{}", &table);
    fs::write(folder.join("model.onnx"), "anything").unwrap();
    assert!(!message("both").contains("safetensors"), "{}", message("both"));
    let folder = made("both-static", r#"{"model_type": "model2vec"}"#, &table);
    fs::write(folder.join("model.onnx"), "anything").unwrap();
    assert_eq!(tiny("both-static").embed("red", 1).unwrap(), tiny("f32").embed("red", 1).unwrap());
}

#[test]
fn everything_of_sql_works_without_the_runtime() {
    let host = open();
    host.execute_batch(
        "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, v BLOB);
         INSERT INTO notes(body) VALUES ('red green'), ('blue'), (NULL), ('a b a');
         UPDATE notes SET v = (SELECT embedding FROM embed_rows('notes', 'body', 'f32') WHERE rowid = notes.id)",
    )
    .unwrap();
    let best =
        "SELECT t.rowid || ' ' || round(score, 3) FROM vec_topk('notes', 'v', embed('green red', 'f32'), 1) AS t";
    assert_eq!(texts_of(&host, best), ["1 1.0"]);
    assert_eq!(texts_of(&host, "SELECT embed_tokens('red green unheard', 'f32') || ''"), ["2"]);
    assert_eq!(texts_of(&host, "SELECT text FROM chunk('red a b green', 2, 0, 'f32')"), ["red a", "b green"]);
    let listed = "SELECT name || ' ' || kind || ' ' || dimensions || ' ' || max_tokens || ' ' || length(fingerprint) || ' ' || loaded
                  FROM fafcas_models WHERE name IN ('all-MiniLM-L6-v2', 'f32', 'mapped_int32')";
    let [onnx, f32, mapped] = texts_of(&host, listed).try_into().unwrap();
    assert_eq!(onnx, "all-MiniLM-L6-v2 onnx 384 256 64 0");
    assert_eq!(f32, "f32 static 5 512 64 1");
    assert!(mapped.starts_with("mapped_int32 static 5 512 64 "), "{mapped}");
    let different =
        "SELECT count(DISTINCT fingerprint) || '' FROM fafcas_models WHERE name IN ('f32', 'short', 'endless')";
    assert_eq!(texts_of(&host, different), ["3"]);

    // The error of the default model names what works at once.
    let error = refused(&host, "SELECT embed('red')");
    assert!(
        error.contains("expected ONNX Runtime's library") && error.contains("`fafcas model static-MiniLM`"),
        "{error}"
    );
    std::os::unix::fs::symlink(data().join("f32"), ROOT.join("static-MiniLM")).unwrap();
    let error = refused(&host, "SELECT embed('red')");
    assert!(error.ends_with("embed(text, 'static-MiniLM') works without it"), "{error}");
    assert_eq!(texts_of(&host, "SELECT length(embed('red', 'static-MiniLM')) || ''"), ["20"]);
    assert!(!fs::read_to_string("/proc/self/maps").unwrap_or_default().contains("onnxruntime"));
    host.close().unwrap();
}

/// A static model of sentence-transformers: a module in a folder of its own, with its tokenizer.
fn of_module(name: &str, truncation: &Value, path: &str) -> Arc<Model> {
    let folder = ROOT.join(name);
    let module = folder.join(path);
    fs::create_dir_all(&module).unwrap();
    let list = json!([{ "type": "sentence_transformers.models.StaticEmbedding", "path": path }, { "type": "models.Normalize", "path": "1_Normalize" }]);
    fs::write(folder.join("modules.json"), list.to_string()).unwrap();
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(data().join("f32/tokenizer.json")).unwrap()).unwrap();
    tokenizer["truncation"] = truncation.clone();
    fs::write(module.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let rows =
        (0..12).flat_map(|row| [row as f32, (row % 3) as f32, 1.0]).flat_map(f32::to_le_bytes).collect::<Vec<_>>();
    let header = json!({ "embedding.weight": tensor("F32", &[12, 3], [0, rows.len()]) });
    let start = safetensors(&header, 0);
    fs::write(module.join("model.safetensors"), [start, rows].concat()).unwrap();
    model(name).unwrap()
}

/// The unit vector of the sum of these rows.
fn of_rows(ids: &[u16]) -> Vec<f32> {
    let sum = ids.iter().fold([0.0; 3], |sum, &id| [sum[0] + f64::from(id), sum[1] + f64::from(id % 3), sum[2] + 1.0]);
    let norm = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    sum.iter().map(|value| (value / norm) as f32).collect()
}

#[test]
fn the_layout_of_sentence_transformers_is_read_as_that_package_reads_it() {
    let model = of_module("of-module", &Value::Null, "0_StaticEmbedding");
    // No special tokens; unknown ones count; red is 4, green 5, [UNK] 1.
    assert_eq!(*model.embed("red unheard Green", 1).unwrap(), *of_rows(&[4, 1, 5]));
    assert_eq!(*model.embed("blueish", 1).unwrap(), *of_rows(&[6, 7]));
    // A text without a token has no direction there. Here it is one unknown token.
    assert_eq!(*model.embed("", 1).unwrap(), *of_rows(&[1]));
    assert_eq!((model.dimensions(), model.max_tokens(), model.kind()), (3, 1_000_000, fafcas::embed::Kind::Static));
    // Only the truncation of its tokenizer cuts a text.
    assert_eq!(model.count_tokens(&"b ".repeat(6000)).unwrap(), 6000);
    let cut = json!({ "max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right" });
    let short = of_module("of-module-cut", &cut, "0_StaticEmbedding");
    assert_eq!(*short.embed("red green blue", 1).unwrap(), *of_rows(&[4, 5]));
    // The older form, with everything in one folder.
    let beside = of_module("of-module-beside", &Value::Null, "");
    assert_eq!(*beside.embed("red unheard", 1).unwrap(), *of_rows(&[4, 1]));
    assert_ne!(beside.fingerprint().unwrap(), short.fingerprint().unwrap());
    let listed = texts_of(
        &open(),
        "SELECT name FROM fafcas_models WHERE name IN ('of-module', 'of-module-beside', 'of-module-cut') AND kind = 'static' ORDER BY name",
    );
    assert_eq!(listed, ["of-module", "of-module-beside", "of-module-cut"]);
}

#[test]
fn a_module_that_does_not_fit_is_refused() {
    of_module("of-module-damaged", &Value::Null, "0_StaticEmbedding");
    let module = ROOT.join("of-module-damaged/0_StaticEmbedding");
    let copied = |name: &str| {
        let folder = ROOT.join(name);
        fs::create_dir_all(folder.join("0_StaticEmbedding")).unwrap();
        fs::copy(module.join("../modules.json"), folder.join("modules.json")).unwrap();
        for file in ["tokenizer.json", "model.safetensors"] {
            fs::copy(module.join(file), folder.join("0_StaticEmbedding").join(file)).unwrap();
        }
        folder
    };
    fs::remove_file(copied("of-module-no-table").join("0_StaticEmbedding/model.safetensors")).unwrap();
    assert!(message("of-module-no-table").contains("0_StaticEmbedding/model.safetensors: expected a readable file"));
    let left = copied("of-module-left").join("0_StaticEmbedding/tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&left).unwrap()).unwrap();
    tokenizer["truncation"] = json!({ "max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Left" });
    fs::write(left, tokenizer.to_string()).unwrap();
    assert!(message("of-module-left").contains("tokenizer.json: expected truncation of direction Right, not Left"));
    let outside = copied("of-module-outside").join("modules.json");
    fs::write(outside, json!([{ "type": "models.StaticEmbedding", "path": "../of-module" }]).to_string()).unwrap();
    assert!(message("of-module-outside").contains("the path of StaticEmbedding as a folder of the model, not"));
}
