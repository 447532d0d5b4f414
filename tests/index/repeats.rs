//! A search asked again may be answered from memory, and never with what is not so any more: whatever changed the rows,
//! with triggers or behind their backs.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::{Random, blob, scratch};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};

const ROWS: i64 = 3000;
const DIMENSIONS: usize = 24;
const KEYED: &str = "id INTEGER PRIMARY KEY, slug UNIQUE";

struct Case {
    connection: Connection,
    query: Vec<u8>,
    source: String,
}

impl Case {
    fn new(name: &str, columns: &str) -> Self {
        fafcas::register_auto_extension().unwrap();
        let connection = Connection::open(scratch(&format!("repeats-{name}")).join("test.db")).unwrap();
        let table = format!("t_{name}");
        connection.execute_batch(&format!("CREATE TABLE {table}({columns}, v); BEGIN")).unwrap();
        let mut random = Random(11);
        for row in 1..=ROWS {
            let sql = format!("INSERT INTO {table}(rowid, slug, v) VALUES (?1, 's' || ?1, ?2)");
            connection.prepare_cached(&sql).unwrap().execute(params![row, vector(&mut random)]).unwrap();
        }
        let index = format!("COMMIT; CREATE VIRTUAL TABLE i USING vec_index({table}, v)");
        connection.execute_batch(&index).unwrap();
        Self { connection, query: vector(&mut random), source: table }
    }

    fn execute(&self, sql: &str) {
        self.connection.execute_batch(&sql.replace(" t ", &format!(" {} ", self.source))).unwrap();
    }

    fn ask_with(&self, connection: &Connection, k: usize, options: &str) -> Vec<(i64, f64)> {
        let sql = format!("SELECT rowid, score FROM vec_topk('{}', 'v', ?1, {k}, '{{{options}}}')", self.source);
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let rows = statement.query_map([&self.query], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// The answer, which must be the scan's, and whether memory gave it.
    fn ask(&self) -> (Vec<(i64, f64)>, bool) {
        let before = self.repeated();
        let hits = self.ask_with(&self.connection, 10, "");
        let repeated = self.repeated() > before;
        assert_eq!(hits, self.ask_with(&self.connection, 10, r#""index":false"#));
        (hits, repeated)
    }

    fn repeated(&self) -> i64 {
        let sql = "SELECT coalesce(max(repeated), 0) FROM vec_stats WHERE source = 'main.' || ?1";
        self.connection.query_row(sql, [&self.source], |row| row.get(0)).unwrap()
    }
}

fn vector(random: &mut Random) -> Vec<u8> {
    blob(&(0..DIMENSIONS).map(|_| random.real() as f32).collect::<Vec<_>>())
}

#[test]
fn nothing_changed_and_memory_answers() {
    let case = Case::new("same", KEYED);
    let (first, repeated) = case.ask();
    assert!(!repeated);
    assert_eq!(case.ask(), (first.clone(), true));
    // Another question each time.
    assert_eq!(case.ask_with(&case.connection, 11, "")[..10], first[..]);
    assert_ne!(case.ask_with(&case.connection, 10, r#""metric":"l2""#), first);
    assert_eq!(case.repeated(), 1);
    // Another connection shares it.
    let other = Connection::open(case.connection.path().unwrap()).unwrap();
    assert_eq!(case.ask_with(&other, 10, ""), first);
    assert_eq!(case.repeated(), 2);
}

#[test]
fn whatever_changes_a_row_changes_the_answer() {
    let case = Case::new("changed", KEYED);
    let (first, _) = case.ask();
    let best = first[0].0;
    let no_trigger = "UPDATE OR REPLACE t SET slug = 's{}' WHERE id = 3000";
    let changes = [
        "UPDATE t SET v = (SELECT v FROM t WHERE id = 1) WHERE id = {}",
        "DELETE FROM t WHERE id = {}",
        "UPDATE t SET v = NULL WHERE id = {}",
        "UPDATE t SET id = 9000 WHERE id = {}",
        "INSERT OR REPLACE INTO t (id, v) SELECT {}, v FROM t WHERE id = 2",
        // Deletes the other row of that slug, and no trigger fires.
        no_trigger,
    ];
    for change in changes {
        let change = change.replace("{}", &best.to_string());
        assert!(case.ask().1, "{change}");
        case.execute(&format!("BEGIN; {change}"));
        let (changed, repeated) = case.ask();
        assert!(!repeated && changed != first, "{change}");
        case.execute("ROLLBACK");
        assert_eq!(case.ask().0, first, "{change}, undone");
        case.execute(&format!("SAVEPOINT s; {change}"));
        assert_eq!(case.ask().0, changed, "{change}, again");
        case.execute("ROLLBACK TO s; RELEASE s");
        assert_eq!(case.ask().0, first, "{change}, undone again");
    }
}

#[test]
fn changes_without_triggers_are_seen() {
    let case = Case::new("untold", KEYED);
    let (first, _) = case.ask();
    assert!(case.ask().1);
    case.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    case.execute(&format!("UPDATE t SET v = (SELECT v FROM t WHERE id = 1) WHERE id = {}", first[0].0));
    let (changed, repeated) = case.ask();
    assert!(!repeated && changed != first);
}

#[test]
fn rows_with_other_numbers_are_seen() {
    let case = Case::new("renumbered", "id, slug");
    case.execute("DELETE FROM t WHERE rowid < 5; INSERT INTO i(i) VALUES ('merge')");
    let (first, _) = case.ask();
    assert!(case.ask().1);
    case.execute("VACUUM");
    let (renumbered, repeated) = case.ask();
    assert!(!repeated && renumbered != first);
    assert_eq!(
        renumbered.iter().map(|hit| hit.1).collect::<Vec<_>>(),
        first.iter().map(|hit| hit.1).collect::<Vec<_>>()
    );
}

/// In WAL mode each connection is answered as of its own snapshot, also by what another asked.
#[test]
fn each_snapshot_has_its_own_answers() {
    let case = Case::new("snapshots", KEYED);
    case.connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    let other = Connection::open(case.connection.path().unwrap()).unwrap();
    other.execute_batch("BEGIN").unwrap();
    let first = case.ask_with(&other, 10, "");
    case.execute(&format!("DELETE FROM t WHERE id = {}", first[0].0));
    for _ in 0..2 {
        assert_eq!(case.ask().0[0], first[1]);
        assert_eq!(case.ask_with(&other, 10, ""), first);
    }
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(case.ask_with(&other, 10, "")[0], first[1]);
}
