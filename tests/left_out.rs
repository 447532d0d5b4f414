//! What SQL says in a library that was built without a feature: the functions are there, and name what is left out. With the
//! default features there is nothing to test here.
//!
//!     cargo test --no-default-features --test left_out
//!     cargo test --no-default-features --features text --test left_out

#![cfg(not(feature = "onnx"))]
#![allow(clippy::unwrap_used)]

use fafcas::embed::{Places, configure};
use rusqlite::Connection;
use std::path::Path;

fn open() -> Connection {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/static");
    configure(Places { models: Some(data), runtime: None });
    fafcas::register_auto_extension().unwrap();
    let host = Connection::open_in_memory().unwrap();
    host.execute_batch(
        "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, v BLOB); INSERT INTO notes(body) VALUES ('red')",
    )
    .unwrap();
    host
}

fn error(host: &Connection, sql: &str) -> String {
    host.query_row(sql, [], |_| Ok(())).unwrap_err().to_string()
}

fn answer(host: &Connection, sql: &str) -> String {
    host.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
}

#[cfg(not(feature = "text"))]
#[test]
fn without_text_each_function_names_the_feature() {
    let host = open();
    for (function, sql) in [
        ("embed", "SELECT embed('red')"),
        ("embed", "SELECT embed('red', 'f32')"),
        ("embed_tokens", "SELECT embed_tokens('red')"),
        ("embed_rows", "SELECT * FROM embed_rows('notes', 'body')"),
        ("chunk", "SELECT * FROM chunk('red')"),
    ] {
        let expected = "expected a library with the feature text, not one that was built without";
        assert_eq!(error(&host, sql), format!("{function}: {expected}"), "{sql}");
    }
    assert_eq!(answer(&host, "SELECT count(*) || '' FROM fafcas_models"), "0");
    assert_eq!(answer(&host, "SELECT (embed(NULL) IS NULL) || ''"), "1");
}

#[cfg(feature = "text")]
#[test]
fn without_onnx_static_models_work_and_others_name_the_feature() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("left_out/models");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::create_dir_all(folder.join("tokens")).unwrap();
    std::fs::copy(data.join("tiny/tokens.onnx"), folder.join("tokens/model.onnx")).unwrap();
    std::fs::copy(data.join("tiny/tokenizer.json"), folder.join("tokens/tokenizer.json")).unwrap();
    std::fs::write(folder.join("tokens/config.json"), r#"{"max_position_embeddings": 8}"#).unwrap();

    let host = open();
    assert_eq!(answer(&host, "SELECT length(embed('red', 'f32')) || ''"), "20");
    assert_eq!(answer(&host, "SELECT length(embedding) || '' FROM embed_rows('notes', 'body', 'int8')"), "20");
    assert_eq!(answer(&host, "SELECT text FROM chunk('red', NULL, 0, 'f32')"), "red");
    configure(Places { models: Some(folder), runtime: None });
    let found = error(&host, "SELECT embed('red', 'tokens')");
    assert!(
        found.starts_with("embed: model tokens: ")
            && found.contains("expected a library with the feature onnx, not one without"),
        "{found}"
    );
    assert!(found.contains("embed(text, 'static-MiniLM') works"), "{found}");
    assert_eq!(answer(&host, "SELECT kind FROM fafcas_models"), "onnx");
}
