//! Nothing is loaded before the first text, and without runtime or model everything but `embed` works. One test, because it
//! looks at the whole process.

#![allow(clippy::unwrap_used)]

mod support;

use fafcas::embed::{Places, configure};
use rusqlite::Connection;
use std::fs;
use std::path::Path;

const EVERYTHING_ELSE: [(&str, &str); 9] = [
    ("SELECT vec_dot('[1,2]', '[3,4]')", "11.0"),
    ("SELECT hex(fafcas_normalize('[2,0]'))", "0000803F00000000"),
    ("SELECT group_concat(rowid) FROM vec_topk('nodes', 'v', '[1,0]', 2)", "2,3"),
    ("SELECT value FROM nodes_vec WHERE property = 'state'", "ready"),
    ("SELECT fafcas_config('embed_threads')", "1"),
    ("SELECT json_extract(fafcas_info(), '$.onnxruntime') IS NULL", "1"),
    ("SELECT embed(NULL) IS NULL AND embed_tokens(NULL) IS NULL", "1"),
    ("SELECT count(*) FROM chunk(NULL)", "0"),
    ("SELECT count(*) > 0 FROM vec_stats", "1"),
];

fn answer(host: &Connection, sql: &str) -> Result<String, String> {
    let cell = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
    match host.query_row(sql, [], cell).map_err(|error| error.to_string())? {
        rusqlite::types::Value::Integer(value) => Ok(value.to_string()),
        rusqlite::types::Value::Real(value) => Ok(format!("{value:?}")),
        rusqlite::types::Value::Text(value) => Ok(value),
        other => Ok(format!("{other:?}")),
    }
}

fn everything_else_works(host: &Connection) {
    for (sql, expected) in EVERYTHING_ELSE {
        assert_eq!(answer(host, sql).as_deref(), Ok(expected), "{sql}");
    }
}

fn refused(host: &Connection, sql: &str, reason: &str) {
    let error = answer(host, sql).unwrap_err();
    assert!(error.contains(reason), "{sql}: {error}");
    everything_else_works(host);
}

/// Whether ONNX Runtime is in this process, in whatever file.
fn runtime_is_loaded() -> bool {
    fs::read_to_string("/proc/self/maps").unwrap_or_default().contains("onnxruntime")
}

#[test]
fn nothing_is_loaded_before_the_first_text_and_the_rest_works_without() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let folder = support::scratch("embed_absent");
    let at = |folder: &Path, runtime: &Path| {
        configure(Places { models: Some(folder.to_owned()), runtime: Some(runtime.to_owned()) });
    };
    let real = models.join("libonnxruntime.so");
    at(&models, &real);

    // Everything is there, and nothing is touched.
    fafcas::register_auto_extension().unwrap();
    let host = Connection::open_in_memory().unwrap();
    host.execute_batch(
        "CREATE TABLE nodes(id INTEGER PRIMARY KEY, v BLOB);
         INSERT INTO nodes(v) VALUES ('[0,1]'), ('[1,0]'), (fafcas_normalize('[1,1]'));
         CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, v)",
    )
    .unwrap();
    everything_else_works(&host);
    assert_eq!(answer(&host, "SELECT count(*) || max(loaded) FROM fafcas_models").as_deref(), Ok("30"));
    assert!(!runtime_is_loaded());

    // Neither model nor runtime, then one of them.
    at(&folder, &folder.join("no.so"));
    let no_model = format!(
        "embed: expected a model all-MiniLM-L6-v2 in {}, not none: the program chose that folder",
        folder.display()
    );
    refused(&host, "SELECT embed('a')", &no_model);
    refused(&host, "SELECT embed_tokens('a')", &no_model.replace("embed:", "embed_tokens:"));
    refused(&host, "SELECT count(*) FROM embed_rows('nodes', 'v')", &no_model.replace("embed:", "embed_rows:"));
    refused(&host, "SELECT count(*) FROM chunk('a')", &no_model.replace("embed:", "chunk:"));
    assert_eq!(answer(&host, "SELECT count(*) FROM fafcas_models").as_deref(), Ok("0"));
    at(&models, &folder.join("no.so"));
    refused(&host, "SELECT embed('a')", "expected ONNX Runtime's library libonnxruntime.so in ");
    assert!(!runtime_is_loaded());

    // A model that is none, on a runtime that is one.
    let broken = folder.join("broken");
    fs::create_dir_all(broken.join("1_Pooling")).unwrap();
    for file in ["tokenizer.json", "config.json", "1_Pooling/config.json"] {
        fs::copy(models.join("all-MiniLM-L6-v2").join(file), broken.join(file)).unwrap();
    }
    fs::write(broken.join("model.onnx"), "garbage").unwrap();
    at(&folder, &real);
    let error = answer(&host, "SELECT embed('a', 'broken')").unwrap_err();
    assert!(error.contains("embed: model broken: ONNX Runtime: "), "{error}");

    // Mended, in the same process and connection.
    at(&models, &real);
    assert_eq!(answer(&host, "SELECT length(embed('a'))").as_deref(), Ok("1536"));
    assert_eq!(runtime_is_loaded(), cfg!(target_os = "linux"));
    host.close().unwrap();
}
