//! The scripts in sql/examples do what they say. They need what `make model` fetches.

use rusqlite::Connection;
use std::path::Path;

fn script(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/examples").join(name)).unwrap()
}

fn number(host: &Connection, sql: &str) -> i64 {
    host.query_row(sql, [], |row| row.get(0)).unwrap()
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
    assert_eq!(number(&host, "SELECT count(*) FROM missing"), 2);
    run();
    assert_eq!(number(&host, "SELECT count(*) FROM missing"), 0);
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

/// How many of the questions were chosen because each finds its entry first, as the head of questions.sql tells.
const CHOSEN: i64 = 14;

#[test]
fn the_sample_answers_its_questions() {
    fafcas::register_auto_extension().unwrap();
    let host = Connection::open_in_memory().unwrap();
    host.execute_batch(&script("../schema.sql")).unwrap();
    host.execute_batch(&script("knowledge.sql")).unwrap();
    host.execute_batch(&script("questions.sql")).unwrap();
    host.execute_batch(
        "UPDATE nodes SET embedding = e.embedding FROM embed_rows('stale', 'text') AS e WHERE e.rowid = nodes.seq",
    )
    .unwrap();
    let mut statement = host
        .prepare(
            "SELECT q.question, t.rank FROM questions AS q, vec_topk('nodes', 'embedding', embed(q.question)) AS t
             JOIN nodes AS n ON n.seq = t.rowid WHERE n.id = q.expected AND q.rowid <= ?",
        )
        .unwrap();
    let ranks = statement.query_map([CHOSEN], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let ranks: Vec<(String, i64)> = ranks.map(|rank| rank.unwrap()).collect();
    assert_eq!(ranks.len() as i64, CHOSEN);
    assert!(ranks.iter().all(|(_, rank)| *rank == 1), "{ranks:?}");
}
