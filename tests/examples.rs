//! The scripts in sql/examples do what they say. They need what `make model` fetches.

use rusqlite::Connection;
use std::path::Path;

fn script(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/examples").join(name)).unwrap()
}

fn number(host: &Connection, sql: &str) -> i64 {
    host.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// How many texts this process has embedded, cached ones not counted.
fn embedded(host: &Connection) -> i64 {
    number(
        host,
        "SELECT coalesce(sum(rows_scanned) - sum(cache_hits), 0) FROM vec_stats WHERE source = 'embed'
         AND column_name = 'all-MiniLM-L6-v2'",
    )
}

#[test]
fn reuse_embeds_each_text_once_and_again_only_for_another_model() {
    fafcas::register_auto_extension().unwrap();
    let host = Connection::open_in_memory().unwrap();
    let script = script("reuse.sql");
    let (setup, updates) = script.split_once("-- Embed what is missing").unwrap();
    let run = || host.execute_batch(&format!("-- {updates}")).unwrap();

    host.execute_batch(setup).unwrap();
    host.execute_batch("INSERT INTO documents(hash, text) VALUES ('a', 'ships'), ('b', 'bread'), ('a', 'ships')")
        .unwrap();
    run();
    assert_eq!(embedded(&host), 2);
    assert_eq!(number(&host, "SELECT count(*) FROM documents WHERE embedding = embed(text)"), 3);

    // A known text takes the vector that exists, even if it is only marked as the wanted model's.
    host.execute_batch("UPDATE documents SET embedding = x'0000803f' WHERE id = 1").unwrap();
    host.execute_batch(
        "DELETE FROM documents WHERE id = 3; INSERT INTO documents(id, hash, text) VALUES (4, 'a', 'ships')",
    )
    .unwrap();
    run();
    assert_eq!(number(&host, "SELECT embedding = x'0000803f' FROM documents WHERE id = 4"), 1);

    // Vectors of another model are replaced.
    host.execute_batch("UPDATE documents SET model = 'another', embedding = x'0000803f'").unwrap();
    run();
    assert_eq!(number(&host, "SELECT count(*) FROM documents WHERE embedding = embed(text)"), 3);
    assert_eq!(number(&host, "SELECT count(DISTINCT model) FROM documents"), 1);
}
