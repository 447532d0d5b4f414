//! The knowledge base that ships in sql/examples is sound: of the promised size, linked without loose ends, and the
//! questions to it have an answer there. What a model makes of them is not tested here.

use rusqlite::Connection;

const SCHEMA: &str = include_str!("../../sql/schema.sql");
const KNOWLEDGE: &str = include_str!("../../sql/examples/knowledge.sql");
const QUESTIONS: &str = include_str!("../../sql/examples/questions.sql");

/// Without the library: the scripts are plain SQL.
fn sample() -> Connection {
    let host = Connection::open_in_memory().unwrap();
    // Off, as in the sqlite3 shell: a loose end is then found by the test that names it.
    host.pragma_update(None, "foreign_keys", false).unwrap();
    host.execute_batch(SCHEMA).unwrap();
    host.execute_batch(KNOWLEDGE).unwrap();
    assert!(host.is_autocommit(), "the script commits what it begins");
    host.execute_batch(QUESTIONS).unwrap();
    host
}

fn count(host: &Connection, sql: &str) -> i64 {
    host.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The first column of all rows, to name the culprits when a test fails.
fn texts(host: &Connection, sql: &str) -> Vec<String> {
    let mut statement = host.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[track_caller]
fn assert_none(host: &Connection, sql: &str) {
    assert_eq!(texts(host, sql), [] as [String; 0], "{sql}");
}

#[test]
fn a_few_hundred_entries_and_more_links_than_entries() {
    let host = sample();
    let nodes = count(&host, "SELECT count(*) FROM nodes");
    let edges = count(&host, "SELECT count(*) FROM edges");
    assert!((300..400).contains(&nodes), "{nodes} entries");
    assert!((nodes..2 * nodes).contains(&edges), "{edges} links");
    assert_eq!(count(&host, "SELECT count(*) FROM nodes WHERE embedding IS NOT NULL"), 0);
}

#[test]
fn entries_are_short_and_told_apart_by_title_and_text() {
    let host = sample();
    assert_none(&host, "SELECT title FROM nodes GROUP BY lower(title) HAVING count(*) > 1");
    assert_none(&host, "SELECT min(id) FROM nodes GROUP BY content HAVING count(*) > 1");
    assert_none(&host, "SELECT id FROM nodes WHERE length(content) NOT BETWEEN 100 AND 350");
    assert_none(&host, "SELECT id FROM nodes WHERE length(title) NOT BETWEEN 2 AND 60");
    assert_none(
        &host,
        "SELECT id FROM nodes WHERE content GLOB '*  *' OR content <> trim(content) OR content NOT GLOB '*[.?!]'",
    );
}

#[test]
fn ids_are_slugs_and_kinds_come_from_short_lists() {
    let host = sample();
    assert_none(&host, "SELECT id FROM nodes WHERE id GLOB '*[^a-z0-9-]*' OR id GLOB '-*' OR id GLOB '*-'");
    let types = texts(&host, "SELECT DISTINCT type FROM nodes ORDER BY type");
    assert_eq!(types, ["concept", "fact", "how-to", "law", "person", "place", "recipe", "tool"]);
    assert_eq!(count(&host, "SELECT count(DISTINCT domain) FROM nodes WHERE domain IS NOT NULL"), 10);
    let links = texts(&host, "SELECT DISTINCT type FROM edges ORDER BY type");
    assert_eq!(links, ["contrasts", "explains", "originated", "part_of", "related", "requires"]);
}

#[test]
fn every_link_has_two_ends_and_every_entry_a_link() {
    let host = sample();
    assert_none(
        &host,
        "SELECT source || ' to ' || target FROM edges
         WHERE  source NOT IN (SELECT id FROM nodes) OR target NOT IN (SELECT id FROM nodes)",
    );
    assert_none(&host, "SELECT \"table\" FROM pragma_foreign_key_check");
    assert_none(&host, "SELECT source FROM edges WHERE source = target");
    assert_none(
        &host,
        "SELECT a.source FROM edges AS a JOIN edges AS b ON a.source = b.target AND a.target = b.source",
    );
    assert_none(&host, "SELECT source FROM edges GROUP BY source, target HAVING count(*) > 1");
    assert_none(
        &host,
        "SELECT id FROM nodes
         WHERE  id NOT IN (SELECT source FROM edges) AND id NOT IN (SELECT target FROM edges)",
    );
}

#[test]
fn read_twice_it_changes_nothing() {
    let host = sample();
    let before = count(&host, "SELECT max(seq) FROM history");
    host.execute_batch(KNOWLEDGE).unwrap();
    assert_eq!(count(&host, "SELECT max(seq) FROM history"), before);
}

#[test]
fn every_question_expects_an_entry_that_exists() {
    let host = sample();
    assert!((10..=20).contains(&count(&host, "SELECT count(DISTINCT expected) FROM questions")));
    assert_none(&host, "SELECT question FROM questions WHERE expected NOT IN (SELECT id FROM nodes)");
}

#[test]
fn lines_stay_readable() {
    for line in KNOWLEDGE.lines().chain(QUESTIONS.lines()) {
        assert!(line.chars().count() <= 420, "{line}");
    }
}
