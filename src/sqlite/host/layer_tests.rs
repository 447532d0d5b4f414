//! The layer of virtual tables on a real SQLite. Its table keeps rows in memory, and notes which callbacks were called.

use super::args::Args;
use super::connection::Connection;
use super::value::Value;
use super::vtab::{Change, Choice, Cursor, Declaration, IndexInfo, Risk, Table, Writable, register_module};
use crate::error::{Error, Result};
use crate::resources::config::SchemaSearch;
use rusqlite::Connection as Host;
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static DIARY: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static ROWS: RefCell<BTreeMap<i64, Value>> = const { RefCell::new(BTreeMap::new()) };
    /// How many tables and cursors have been made and not dropped.
    static ALIVE: RefCell<i32> = const { RefCell::new(0) };
    /// The callback that must fail, and whether it must panic.
    static TRAP: RefCell<Option<(&'static str, bool)>> = const { RefCell::new(None) };
}

/// Notes a callback. Fails if the test wants that callback to fail.
fn note(event: impl Into<String>) -> Result<()> {
    let event = event.into();
    let trap = TRAP.with_borrow(|trap| trap.filter(|(name, _)| event.starts_with(name)));
    DIARY.with_borrow_mut(|diary| diary.push(event));
    match trap {
        Some((_, true)) => panic!("100%s %n panic"),
        Some((_, false)) => Err(Error::Mistake("50%s%n of it".into())),
        None => Ok(()),
    }
}

struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.with_borrow_mut(|count| *count += 1);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.with_borrow_mut(|count| *count -= 1);
    }
}

struct Scratch {
    _alive: Alive,
}

struct Reader {
    rows: Vec<(i64, Value)>,
    at: usize,
    _alive: Alive,
}

impl Table for Scratch {
    const NAME: &'static str = "scratch";
    type Cursor = Reader;

    fn connect(_: Connection, arguments: &[&str]) -> Result<(Self, Declaration)> {
        note(format!("connect {}", arguments.join(" ")))?;
        let schema = "CREATE TABLE x(value, other)".into();
        Ok((Self { _alive: Alive::new() }, Declaration { schema, risk: Risk::Normal }))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        note("best_index")?;
        info.describe("50%s%n");
        Ok(Choice::Plan(7))
    }

    fn open(&self) -> Result<Reader> {
        note("open")?;
        Ok(Reader { rows: Vec::new(), at: 0, _alive: Alive::new() })
    }
}

impl Cursor for Reader {
    fn filter(&mut self, plan: i32, _: Args<'_>) -> Result<()> {
        note(format!("filter {plan}"))?;
        self.at = 0;
        self.rows = ROWS.with_borrow(|rows| rows.iter().map(|(rowid, value)| (*rowid, value.clone())).collect());
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.at += 1;
        note("next")
    }

    fn at_end(&self) -> bool {
        self.at >= self.rows.len()
    }

    fn column(&mut self, column: usize) -> Result<Value> {
        note("column")?;
        Ok(if column == 0 { self.rows[self.at].1.clone() } else { Value::Null })
    }

    fn rowid(&self) -> Result<i64> {
        note("rowid")?;
        Ok(self.rows[self.at].0)
    }
}

impl Writable for Scratch {
    fn create(connection: Connection, arguments: &[&str]) -> Result<(Self, Declaration)> {
        note("create")?;
        Self::connect(connection, arguments)
    }

    fn destroy(&self) -> Result<()> {
        note("destroy")
    }

    fn change(&self, change: Change<'_>) -> Result<i64> {
        note("change")?;
        ROWS.with_borrow_mut(|rows| {
            Ok(match change {
                Change::Delete(rowid) => {
                    rows.remove(&rowid);
                    rowid
                }
                Change::Insert(values) => {
                    let rowid = rows.keys().last().map_or(1, |last| last + 1);
                    rows.insert(rowid, values.get(0).copied()?);
                    rowid
                }
                Change::Update => return Err(Error::Mistake("no UPDATE".into())),
            })
        })
    }

    fn rename(&self, name: &str) -> Result<()> {
        note(format!("rename {name}"))
    }

    fn shadow_name(suffix: &str) -> bool {
        suffix == "data"
    }

    fn integrity(&self, quick: bool) -> Result<Option<String>> {
        note(format!("integrity quick={quick}"))?;
        Ok(Some("50%s%n of it is gone".into()))
    }
}

/// A connection with the scratch module and one table of it.
fn host() -> Host {
    crate::register_auto_extension().unwrap();
    let host = Host::open_in_memory().unwrap();
    // SAFETY: rusqlite's handle is open as long as `host`, which outlives the registration.
    let connection = unsafe { Connection::new(host.handle().cast()) }.unwrap();
    register_module::<Scratch>(connection, SchemaSearch::Refused).unwrap();
    host.execute_batch("CREATE VIRTUAL TABLE s USING scratch(a, b)").unwrap();
    diary();
    host
}

fn diary() -> Vec<String> {
    DIARY.with_borrow_mut(std::mem::take)
}

fn rows(host: &Host) -> Vec<(i64, String)> {
    let mut statement = host.prepare("SELECT rowid, value FROM s").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(|row| row.unwrap()).collect()
}

/// Runs a statement to its last row.
fn run(host: &Host, sql: &str) -> rusqlite::Result<()> {
    let mut statement = host.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn row(rowid: i64, value: &str) -> (i64, String) {
    (rowid, value.into())
}

#[test]
fn writes_of_every_kind_reach_the_table() {
    let host = host();
    host.execute_batch("INSERT INTO s(value) VALUES ('a'), ('b')").unwrap();
    assert_eq!(host.last_insert_rowid(), 2);
    let refusal = host.execute_batch("UPDATE s SET value = 'B' WHERE rowid = 2").unwrap_err().to_string();
    assert!(refusal.contains("scratch: no UPDATE"), "{refusal}");
    host.execute_batch("DELETE FROM s WHERE rowid = 1").unwrap();
    assert_eq!(rows(&host), [row(2, "b")]);
}

#[test]
fn renaming_dropping_and_reattaching_are_told_to_the_table() {
    let host = host();
    host.execute_batch("ALTER TABLE s RENAME TO r").unwrap();
    assert!(diary().contains(&"rename r".into()));
    host.execute_batch("DROP TABLE r").unwrap();
    assert!(diary().contains(&"destroy".into()));
}

#[test]
fn nothing_outlives_the_connection() {
    let host = host();
    host.execute_batch("INSERT INTO s(value) VALUES ('a')").unwrap();
    rows(&host);
    host.execute_batch("ALTER TABLE s RENAME TO r; DROP TABLE r; CREATE VIRTUAL TABLE s USING scratch").unwrap();
    drop(host);
    assert_eq!(ALIVE.take(), 0);
}

#[test]
fn an_error_or_panic_in_any_callback_is_a_message() {
    for (callback, sql) in [
        ("connect", "CREATE VIRTUAL TABLE t USING scratch"),
        ("create", "CREATE VIRTUAL TABLE t USING scratch"),
        ("best_index", "SELECT * FROM s"),
        ("open", "SELECT * FROM s"),
        ("filter", "SELECT * FROM s"),
        ("next", "SELECT * FROM s"),
        ("column", "SELECT * FROM s"),
        ("rowid", "SELECT rowid FROM s"),
        ("change", "INSERT INTO s(value) VALUES ('b')"),
        ("rename", "ALTER TABLE s RENAME TO r"),
        ("destroy", "DROP TABLE s"),
    ] {
        for panics in [false, true] {
            let host = host();
            host.execute_batch("INSERT INTO s(value) VALUES ('a')").unwrap();
            TRAP.set(Some((callback, panics)));
            let outcome = run(&host, sql);
            TRAP.set(None);
            let message = outcome.unwrap_err().to_string();
            let expected = if panics { "panic: 100%s %n panic (this is a bug" } else { "scratch: 50%s%n of it" };
            // SQLite does not pass on the message of xDestroy.
            assert!(message.contains(expected) || callback == "destroy", "{callback}: {message}");
            assert!(rows(&host).contains(&row(1, "a")), "{callback}");
        }
    }
    assert_eq!(ALIVE.take(), 0);
}

#[test]
fn explain_shows_the_description_as_it_is() {
    let plan: String = host().query_row("EXPLAIN QUERY PLAN SELECT * FROM s", [], |row| row.get("detail")).unwrap();
    assert_eq!(plan, "SCAN s VIRTUAL TABLE INDEX 7:50%s%n");
}

#[test]
fn shadow_tables_are_protected_in_defensive_mode() {
    use rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE;
    let host = host();
    host.execute_batch("CREATE TABLE s_data(x); CREATE TABLE s_notes(x)").unwrap();
    host.set_db_config(SQLITE_DBCONFIG_DEFENSIVE, true).unwrap();
    host.execute_batch("INSERT INTO s_notes VALUES (1)").unwrap();
    assert!(host.execute_batch("INSERT INTO s_data VALUES (1)").is_err());
}

#[test]
fn integrity_check_asks_the_table() {
    let host = host();
    let report = |sql| host.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(report("PRAGMA integrity_check"), "50%s%n of it is gone");
    report("PRAGMA quick_check");
    let asked: Vec<String> = diary().into_iter().filter(|event| event.starts_with("integrity")).collect();
    assert_eq!(asked, ["integrity quick=false", "integrity quick=true"]);
}
