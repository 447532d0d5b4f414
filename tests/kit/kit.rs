//! The kit in sql/: its scripts in the sqlite3 shell as their own headers tell, on rows that its schema must refuse, and
//! `make ingest`, `make health` and `make migrate`. What its statements answer is in `tests/slt/kit.slt`, on every host.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{absent, environment, library, models, python_with, runs, scratch, succeed};
use rusqlite::{Batch, Connection, fallible_iterator::FallibleIterator, types::Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script(name: &str) -> String {
    fs::read_to_string(root().join("sql").join(name)).unwrap()
}

fn queries() -> Vec<String> {
    let files = fs::read_dir(root().join("sql/queries")).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn knowledge_base() -> Connection {
    fafcas::register_auto_extension().unwrap();
    let host = Connection::open_in_memory().unwrap();
    host.execute_batch(&script("harden.sql")).unwrap();
    host.execute_batch(&script("schema.sql")).unwrap();
    host
}

/// Runs a script whose parameters have these values.
fn run(host: &Connection, name: &str, values: &[(&str, Value)]) -> rusqlite::Result<()> {
    let text = script(name);
    let mut statements = Batch::new(host, &text);
    while let Some(mut statement) = statements.next()? {
        for (parameter, value) in values {
            if let Some(index) = statement.parameter_index(parameter)? {
                statement.raw_bind_parameter(index, value)?;
            }
        }
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
    }
    Ok(())
}

fn number(host: &Connection, sql: &str) -> i64 {
    host.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn each_query_is_in_the_guide_and_in_a_test() {
    let guide = script("README.md");
    let tests: String = [
        "tests/slt/kit.slt",
        "tests/slt/documents.slt",
        "python/fafcas/kit/health.py",
        "tests/kit/kit.rs",
        "tests/prometheus.rs",
        "tests/trace.rs",
        "tests/kit/operate.rs",
    ]
    .map(|file| fs::read_to_string(root().join(file)).unwrap())
    .concat();
    for name in queries() {
        assert!(guide.contains(&format!("`{name}`")), "{name} is not in sql/README.md");
        assert!(tests.contains(&format!("queries/{name}")), "{name} is in no test");
        assert!(script(&format!("queries/{name}")).starts_with("-- "), "{name} does not say what it is for");
    }
}

/// Each query with the parameters that its header sets, on the sample, in the shell of the system.
#[test]
fn each_query_runs_in_the_shell_as_its_header_tells() {
    if !runs("sqlite3", "--version") {
        return absent("the sqlite3 shell");
    }
    let database = scratch("kit-shell").join("sample.db");
    let shell = |commands: &[String]| {
        let mut shell = Command::new("sqlite3");
        shell.current_dir(root()).args(["-bail", "-batch"]).arg(&database).args(commands);
        succeed(&mut shell).0
    };
    let begin = [format!(".load {}", library().display()), ".read sql/harden.sql".into()];
    let make = [".read sql/schema.sql", ".read sql/examples/knowledge.sql", ".parameter set :model all-MiniLM-L6-v2"];
    let make = make.into_iter().chain([".parameter set :batch 1000", ".read sql/queries/reembed.sql"]);
    shell(&begin.iter().cloned().chain(make.map(String::from)).collect::<Vec<_>>());

    for name in queries() {
        let text = script(&format!("queries/{name}"));
        let header = text.lines().take_while(|line| line.starts_with("--"));
        let parameters: Vec<String> = header
            .filter_map(|line| Some(line.split_once(".parameter")?.1))
            .map(|rest| format!(".parameter{rest}"))
            .collect();
        let named: BTreeSet<&str> = parameters.iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
        for parameter in text.lines().filter_map(|line| line.strip_prefix("-- :")) {
            let parameter = format!(":{}", parameter.split(' ').next().unwrap());
            let optional = text.contains("NULL, or not set") || text.contains("NULL for any");
            assert!(named.contains(&*parameter) || optional, "{name}: {parameter} is not set in the header");
        }
        let read = [".print rows".into(), format!(".read sql/queries/{name}")];
        let said = shell(&begin.iter().chain(&parameters).chain(&read).cloned().collect::<Vec<_>>());
        let rows = said.split_once("rows").unwrap().1;
        let silent =
            ["ingest.sql", "reembed.sql", "similar.sql", "duplicates.sql", "orphans.sql", "slow.sql", "alerts.sql"];
        let silent = silent.contains(&&*name);
        assert!(silent || !rows.is_empty(), "{name}: no rows");
    }
}

#[test]
fn the_bytes_of_all_tables_are_the_bytes_of_the_file() {
    let host = knowledge_base();
    host.execute_batch(&script("examples/knowledge.sql")).unwrap();
    let mut statement = host.prepare(&script("queries/bytes.sql")).unwrap();
    let sizes = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let sizes: Vec<(String, i64)> = sizes.map(|size| size.unwrap()).collect();
    let used = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    assert_eq!(sizes.iter().map(|(_, bytes)| bytes).sum::<i64>(), number(&host, used));
    assert!(sizes.is_sorted_by(|a, b| a.1 >= b.1), "{sizes:?}");
    assert_eq!(sizes[0].0, "nodes_text_data");
}

#[test]
fn a_batch_with_an_edge_to_nowhere_is_taken_back_whole() {
    let host = knowledge_base();
    let nodes = Value::from(r#"[{"id": "mars", "title": "Mars"}]"#.to_string());
    let edges = |target: &str| Value::from(format!(r#"[{{"source": "mars", "target": "{target}"}}]"#));
    let failed = run(&host, "queries/ingest.sql", &[(":nodes", nodes.clone()), (":edges", edges("phobos"))]);
    assert!(failed.unwrap_err().to_string().contains("FOREIGN KEY"));
    host.execute_batch("ROLLBACK").unwrap();
    assert_eq!(number(&host, "SELECT count(*) FROM nodes"), 0);

    // In a transaction of the caller, the other end may still come.
    host.execute_batch("BEGIN").unwrap();
    run(&host, "queries/ingest.sql", &[(":nodes", nodes), (":edges", edges("phobos"))]).unwrap();
    host.execute_batch("INSERT INTO nodes (id, title, content) VALUES ('phobos', 'Phobos', ''); COMMIT").unwrap();
    assert_eq!(number(&host, "SELECT count(*) FROM edges"), 1);
}

#[test]
fn what_is_no_node_or_edge_is_refused() {
    let host = knowledge_base();
    host.execute_batch("INSERT INTO nodes (id, title) VALUES ('a', 'A')").unwrap();
    for (sql, reason) in [
        ("INSERT INTO nodes (id, title) VALUES ('', 'B')", "CHECK"),
        ("INSERT INTO nodes (id, title) VALUES ('a', 'B')", "UNIQUE"),
        ("INSERT INTO nodes (id) VALUES ('b')", "NOT NULL"),
        ("INSERT INTO nodes (id, title, embedding) VALUES ('b', 'B', x'00')", "CHECK"),
        ("INSERT INTO nodes (id, title, embedding) VALUES ('b', 'B', '[1,2]')", "TEXT value"),
        ("INSERT INTO nodes (id, title, meta) VALUES ('b', 'B', '{')", "CHECK"),
        ("INSERT INTO nodes (id, title, model) VALUES ('b', 'B', 7)", "FOREIGN KEY"),
        ("INSERT INTO edges (source, target) VALUES ('a', 'nowhere')", "FOREIGN KEY"),
        ("INSERT INTO edges (source, target, confidence) VALUES ('a', 'a', 1.5)", "CHECK"),
    ] {
        let error = host.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains(reason), "{sql}: {error}");
    }
    assert_eq!(number(&host, "SELECT count(*) FROM nodes"), 1);
}

/// With the settings of harden.sql even a REPLACE leaves full text and history true.
#[test]
fn full_text_and_history_follow_every_kind_of_write() {
    let host = knowledge_base();
    host.execute_batch(
        "INSERT INTO nodes (id, title, content) VALUES ('a', 'Old', 'words'), ('b', 'Other', 'text');
         REPLACE INTO nodes (id, title, content) VALUES ('a', 'New', 'sentences');
         UPDATE nodes SET seq = 99, id = 'c' WHERE id = 'b';
         INSERT INTO nodes (id, title) VALUES ('c', 'Third') ON CONFLICT (id) DO UPDATE SET title = excluded.title;
         DELETE FROM nodes WHERE id = 'a';
         INSERT INTO nodes_text (nodes_text, rank) VALUES ('integrity-check', 1);
         INSERT INTO nodes_fuzzy (nodes_fuzzy, rank) VALUES ('integrity-check', 1);",
    )
    .unwrap();
    let events = "SELECT group_concat(event || ' ' || id, ', ') FROM (SELECT * FROM history ORDER BY seq)";
    let events: String = host.query_row(events, [], |row| row.get(0)).unwrap();
    assert_eq!(events, "insert a, insert b, delete a, insert a, update c, update c, delete a");
}

#[test]
fn a_model_that_is_not_there_is_an_error_and_no_vector_is_lost() {
    let host = knowledge_base();
    host.execute_batch("INSERT INTO nodes (id, title) VALUES ('a', 'A')").unwrap();
    let values = [(":model", Value::from("no-such-model".to_string())), (":batch", Value::from(5))];
    let error = run(&host, "queries/reembed.sql", &values).unwrap_err().to_string();
    assert!(error.contains("no-such-model"), "{error}");
    assert_eq!(number(&host, "SELECT count(*) FROM kit WHERE key = 'model'"), 0);
}

#[test]
fn the_map_has_a_dot_for_each_vector_and_a_line_for_each_edge_between_two() {
    let host = knowledge_base();
    let map = || host.query_row(&script("queries/map.sql"), [], |row| row.get::<_, String>(0)).unwrap();
    assert!(!map().contains("<circle"), "{}", map());
    host.execute_batch(
        "INSERT INTO nodes (id, type, title, embedding) VALUES
             ('a', 'x<y', 'Salt & <pepper>', fafcas_normalize('[1,0,0]')), ('b', 'z', 'B', fafcas_normalize('[1,2,0]')),
             ('c', 'z', 'C', fafcas_normalize('[1,0,3]')), ('d', 'z', 'without a vector', NULL);
         INSERT INTO edges (source, target) VALUES ('a', 'b'), ('a', 'd')",
    )
    .unwrap();
    let (first, again) = (map(), map());
    assert_eq!(first, again);
    let (dots, legend) = (3, 2);
    assert_eq!(first.matches("<circle").count(), dots + legend, "{first}");
    assert_eq!(first.matches("<title>").count(), dots, "{first}");
    assert_eq!(first.matches('L').count(), 1, "one line: {first}");
    assert!(first.contains("<title>Salt &amp; &lt;pepper&gt;</title>"), "{first}");
    assert!(first.contains(">x&lt;y, 1</text>") && first.contains(">z, 2</text>"), "{first}");
    assert!(first.starts_with("<svg ") && first.ends_with("</svg>"), "{first}");
}

/// README shows it; it is small enough to be kept.
#[test]
fn the_picture_of_the_sample_is_that_of_the_sample() {
    let picture = fs::read_to_string(root().join("sql/examples/map.svg")).unwrap();
    assert!(picture.len() < 200_000);
    let host = knowledge_base();
    host.execute_batch(&script("examples/knowledge.sql")).unwrap();
    let titles = picture.matches("<title>").count() as i64;
    assert_eq!(titles, number(&host, "SELECT count(*) FROM nodes"));
}

#[test]
fn notes_are_ingested_again_and_again_and_when_killed() {
    python_tests("ingest.py");
}

#[test]
fn knowledge_bases_are_made_migrated_and_looked_after() {
    python_tests("care.py");
}

#[test]
fn the_command_does_what_it_says_and_says_what_it_cannot() {
    python_tests("command.py");
}

#[test]
fn a_collection_is_a_table() {
    python_tests("collection.py");
}

#[test]
fn notes_of_every_format_are_read() {
    python_tests("formats.py");
}

#[test]
fn notes_that_a_fuzzer_made_up_are_read() {
    python_tests("kept.py");
}

/// With the model that the notebook asks for.
#[test]
fn the_notebook_prints_what_it_shows() {
    let Some(python) = python_with(&environment(), "apsw, numpy") else { return };
    let (models, mut command) = (models(), Command::new(python));
    command.arg("tests/kit/notebook.py").env("LIBRARY", library()).env("FAFCAS_MODEL_DIR", &models);
    succeed(command.env("FAFCAS_ONNXRUNTIME", models.join("libonnxruntime.so")));
}

fn python_tests(file: &str) {
    let Some(python) = python_with(&environment(), "apsw, charset_normalizer, click, numpy, pypdf, yaml") else {
        return;
    };
    let models = tiny_model(&scratch(&format!("kit-{file}")));
    let mut command = Command::new(python);
    command.arg(format!("tests/kit/{file}")).env("LIBRARY", library()).env("FAFCAS_MODEL_DIR", models);
    if let Some(models) = std::env::var_os("FAFCAS_MODEL_DIR") {
        command.env("FAFCAS_ONNXRUNTIME", Path::new(&models).join("libonnxruntime.so"));
    }
    succeed(&mut command);
}

/// A model that takes no time, with room for 64 tokens.
fn tiny_model(folder: &Path) -> PathBuf {
    let (data, model) = (root().join("tests/data/tiny"), folder.join("tiny"));
    fs::create_dir_all(model.join("1_Pooling")).unwrap();
    fs::copy(data.join("tokens.onnx"), model.join("model.onnx")).unwrap();
    fs::copy(data.join("tokenizer.json"), model.join("tokenizer.json")).unwrap();
    let config = r#"{"max_position_embeddings": 64, "hidden_size": 4, "vocab_size": 12}"#;
    fs::write(model.join("config.json"), config).unwrap();
    fs::write(model.join("1_Pooling/config.json"), r#"{"pooling_mode": "mean"}"#).unwrap();
    folder.into()
}
