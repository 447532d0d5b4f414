//! The knowledge base that ships in sql/examples is sound: of the promised size, linked without loose ends, and the
//! questions to it have an answer there. What a model makes of them is not tested here.

use rusqlite::Connection;
use std::collections::BTreeSet;

const SCHEMA: &str = include_str!("../../sql/schema.sql");
const KNOWLEDGE: &str = include_str!("../../sql/examples/knowledge.sql");
const QUESTIONS: &str = include_str!("../../sql/examples/questions.sql");
const LANGUAGES: &str = include_str!("../../sql/examples/questions_languages.sql");

/// Without the library: the scripts are plain SQL.
fn sample() -> Connection {
    let host = Connection::open_in_memory().unwrap();
    // Off, as in the sqlite3 shell: a loose end is then found by the test that names it.
    host.pragma_update(None, "foreign_keys", false).unwrap();
    host.execute_batch(SCHEMA).unwrap();
    host.execute_batch(KNOWLEDGE).unwrap();
    assert!(host.is_autocommit(), "the script commits what it begins");
    host.execute_batch(QUESTIONS).unwrap();
    host.execute_batch(LANGUAGES).unwrap();
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
fn every_question_expects_entries_that_exist_and_as_many_as_its_kind_has() {
    let host = sample();
    assert_none(&host, "SELECT question FROM questions WHERE expected NOT IN (SELECT id FROM nodes)");
    assert_none(
        &host,
        "SELECT question FROM questions GROUP BY question
         HAVING count(expected) <> CASE min(kind) WHEN 'two' THEN 2 WHEN 'none' THEN 0 ELSE 1 END
         OR     min(kind) <> max(kind) OR count(*) <> max(1, count(expected))",
    );
    assert_none(&host, "SELECT question FROM questions WHERE question = '' OR question <> trim(question)");
}

/// The head of the script has a line for each kind: its name, how many questions it has, what they are.
#[test]
fn there_are_as_many_questions_of_each_kind_as_the_script_says() {
    let host = sample();
    let counted = "SELECT kind || ' ' || count(DISTINCT question) FROM questions GROUP BY kind ORDER BY kind";
    let mut said: Vec<String> = QUESTIONS
        .lines()
        .filter_map(|line| line.strip_prefix("--     ")?.split_once("  "))
        .filter_map(|(kind, rest)| Some(format!("{kind} {}", rest.split_whitespace().next()?)))
        .filter(|line| !line.starts_with("kind "))
        .collect();
    said.sort();
    assert_eq!(texts(&host, counted), said);
    assert_eq!(said.len(), 6);
    assert!(count(&host, "SELECT count(DISTINCT question) FROM questions") >= 120);
}

/// A question and the title and text of the entry that it expects, for all of one kind.
fn asked(host: &Connection, kind: &str) -> Vec<(String, String)> {
    let sql = "SELECT question, title || ' ' || content FROM questions JOIN nodes ON id = expected WHERE kind = ?";
    let mut statement = host.prepare(sql).unwrap();
    let rows = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Words of four letters or more without their endings, as far as five letters tell.
fn stems(text: &str) -> BTreeSet<String> {
    let long = words(text).into_iter().filter(|word| word.chars().count() > 3);
    long.map(|word| word.chars().take(5).collect()).collect()
}

#[test]
fn questions_are_of_the_kind_that_they_are_said_to_be() {
    let host = sample();
    for (question, entry) in asked(&host, "paraphrase") {
        let (asked, entry) = (stems(&question), stems(&entry));
        let shared: Vec<_> = asked.intersection(&entry).collect();
        assert!(shared.len() <= 3, "{question}: {shared:?}");
    }
    for (question, entry) in asked(&host, "keyword") {
        assert!((2..=5).contains(&words(&question).len()), "{question}");
        assert!(!stems(&question).is_disjoint(&stems(&entry)), "{question}");
    }
    for (question, entry) in asked(&host, "name") {
        assert!(words(&question).is_subset(&words(&entry)), "{question}");
    }
    let known = words(&texts(&host, "SELECT title || ' ' || content FROM nodes").join(" "));
    for (question, _) in asked(&host, "typo") {
        assert!(!words(&question).is_subset(&known), "{question}");
    }
}

#[test]
fn the_same_twenty_questions_are_asked_in_each_of_eight_languages() {
    let host = sample();
    assert_none(&host, "SELECT question FROM questions_languages WHERE expected NOT IN (SELECT id FROM nodes)");
    assert_none(&host, "SELECT min(question) FROM questions_languages GROUP BY expected HAVING count(*) <> 8");
    assert_none(&host, "SELECT question FROM questions_languages GROUP BY question HAVING count(*) > 1");
    assert_eq!(count(&host, "SELECT count(DISTINCT expected) FROM questions_languages"), 20);
    let languages = texts(&host, "SELECT DISTINCT language FROM questions_languages ORDER BY language");
    assert_eq!(languages, ["de", "es", "fr", "it", "ja", "pt", "ru", "zh"]);
}

#[test]
fn lines_stay_readable() {
    for line in KNOWLEDGE.lines().chain(QUESTIONS.lines()).chain(LANGUAGES.lines()) {
        assert!(line.chars().count() <= 420, "{line}");
    }
}
