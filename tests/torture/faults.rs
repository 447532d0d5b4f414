//! Reads, writes, syncs and allocations that fail at every point of what is done to an index and to a knowledge base; power
//! that is lost, and processes that are killed. Afterwards the database opens, nothing is half done, and searches are right.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::faulty::{Fault, HERE, Kind, Manner, count, power_returns, with_fault};
use crate::fixture::{DIMENSIONS, Indexed, TABLE, fill, open, vector};
use crate::form::{by_form, child, order, report, seed};
use crate::support::{Random, blob, scratch};
use rusqlite::{Batch, Connection, fallible_iterator::FallibleIterator, ffi, types::Value};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What is done while something fails.
struct Task {
    name: &'static str,
    indexed: Indexed,
    /// Makes the database it is done to.
    prepare: fn(&Connection),
    work: fn(&Connection) -> rusqlite::Result<()>,
    /// Statements whose rows are all that must be as before, or as after.
    contents: &'static [&'static str],
}

const ROWS: usize = 200;
const OF_TABLE: &[&str] =
    &["SELECT id, v, note FROM t ORDER BY id", "SELECT type, name FROM sqlite_schema ORDER BY 1, 2"];
const NODES: Indexed = Indexed { table: "nodes", key: "seq", column: "embedding" };
const OF_KIT: &[&str] = &[
    "SELECT key, value FROM kit ORDER BY 1",
    "SELECT seq, id, title, content, embedding FROM nodes ORDER BY 1",
    "SELECT source, target, type FROM edges ORDER BY 1, 2, 3",
    "SELECT type, name FROM sqlite_schema ORDER BY 1, 2",
];

const TASKS: [Task; 9] = [
    Task { name: "write", indexed: TABLE, prepare: with_index, work: write, contents: OF_TABLE },
    Task { name: "create", indexed: TABLE, prepare: without_index, work: create, contents: OF_TABLE },
    Task { name: "merge", indexed: TABLE, prepare: with_changes, work: |db| command(db, "merge"), contents: OF_TABLE },
    Task {
        name: "rebuild",
        indexed: TABLE,
        prepare: with_changes,
        work: |db| command(db, "rebuild"),
        contents: OF_TABLE,
    },
    Task { name: "rename", indexed: TABLE, prepare: with_changes, work: rename, contents: OF_TABLE },
    Task { name: "drop", indexed: TABLE, prepare: with_changes, work: remove, contents: OF_TABLE },
    Task { name: "search", indexed: TABLE, prepare: with_changes, work: search, contents: OF_TABLE },
    Task { name: "ingest", indexed: NODES, prepare: knowledge_base, work: ingest, contents: OF_KIT },
    Task { name: "migrate", indexed: NODES, prepare: first_version, work: migrate, contents: OF_KIT },
];

/// What fails, and how.
const FAULTS: [(Kind, Manner); 12] = [
    (Kind::Read, Manner::Once(ffi::SQLITE_IOERR_READ)),
    (Kind::Read, Manner::Lasting(ffi::SQLITE_IOERR_READ)),
    (Kind::Write, Manner::Once(ffi::SQLITE_IOERR_WRITE)),
    (Kind::Write, Manner::Lasting(ffi::SQLITE_IOERR_WRITE)),
    (Kind::Write, Manner::Lasting(ffi::SQLITE_FULL)),
    (Kind::Sync, Manner::Once(ffi::SQLITE_IOERR_FSYNC)),
    (Kind::Open, Manner::Once(ffi::SQLITE_CANTOPEN)),
    (Kind::Delete, Manner::Once(ffi::SQLITE_IOERR_DELETE)),
    (Kind::Lock, Manner::Once(ffi::SQLITE_IOERR_LOCK)),
    (Kind::Allocation, Manner::Once(0)),
    (Kind::Allocation, Manner::Lasting(0)),
    (Kind::Write, Manner::Power),
];

const JOURNALS: [&str; 2] = ["DELETE", "WAL"];

fn without_index(db: &Connection) {
    fill(db, ROWS, &mut Random(1));
}

fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("CREATE VIRTUAL TABLE ix USING vec_index(t, v)")
}

fn with_index(db: &Connection) {
    without_index(db);
    create(db).unwrap();
}

fn with_changes(db: &Connection) {
    with_index(db);
    write(db).unwrap();
}

fn write(db: &Connection) -> rusqlite::Result<()> {
    let mut random = Random(2);
    db.execute_batch("BEGIN; DELETE FROM t WHERE id % 9 = 0; UPDATE t SET id = id + 900 WHERE id % 31 = 1")?;
    for id in (20..120).step_by(3) {
        let sql = "INSERT OR REPLACE INTO t(id, v, note) VALUES (?1, ?2, 'another row')";
        db.execute(sql, rusqlite::params![id, blob(&vector(&mut random))])?;
    }
    db.execute_batch("UPDATE t SET v = NULL WHERE id % 41 = 5; COMMIT")
}

fn command(db: &Connection, command: &str) -> rusqlite::Result<()> {
    db.execute("INSERT INTO ix(ix) VALUES (?1)", [command]).map(drop)
}

fn rename(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("ALTER TABLE ix RENAME TO iy")
}

fn remove(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("DROP TABLE ix")
}

/// An answer is right, or an error.
fn search(db: &Connection) -> rusqlite::Result<()> {
    for limit in [3, 50] {
        let query = vector(&mut Random(limit));
        for options in [r#"{"exact": true, "index": "ix"}"#, r#"{"index": false}"#] {
            let found: Vec<i64> =
                TABLE.search(db, &query, limit as usize, options)?.into_iter().map(|(rowid, _)| rowid).collect();
            assert_eq!(found, EXPECTED.with_borrow(|expected| expected[usize::from(limit == 50)].clone()), "{options}");
        }
    }
    command(db, "check")
}

thread_local! {
    /// What `search` must find: no fault meets what computes it.
    static EXPECTED: std::cell::RefCell<[Vec<i64>; 2]> = Default::default();
}

fn expect(db: &Connection) {
    let right = [3, 50].map(|limit| {
        let hits = TABLE.naive(db, &vector(&mut Random(limit)), limit as usize);
        hits.map_or_else(|_| Vec::new(), |hits| hits.into_iter().map(|(rowid, _)| rowid).collect())
    });
    EXPECTED.set(right);
}

fn script(db: &Connection, name: &str, values: &[(&str, Value)]) -> rusqlite::Result<()> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql").join(name)).unwrap();
    let mut statements = Batch::new(db, &text);
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

fn embed_nodes(db: &Connection) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE nodes SET embedding = fafcas_normalize(json_array(seq % 7, seq % 11, seq % 5, 1, seq % 3, seq % 13, seq, 2))
         WHERE embedding IS NULL",
        [],
    )
    .map(drop)
}

fn notes(from: usize, to: usize) -> [(&'static str, Value); 2] {
    let nodes =
        (from..to).map(|n| format!(r#"{{"id": "note {n}", "title": "Note {n}", "content": "The tide of day {n}."}}"#));
    let edges = (from..to).map(|n| format!(r#"{{"source": "note {n}", "target": "note {}"}}"#, n * 7 % to));
    [(":nodes", nodes.collect::<Vec<_>>()), (":edges", edges.collect())]
        .map(|(name, objects)| (name, Value::Text(format!("[{}]", objects.join(",")))))
}

fn knowledge_base(db: &Connection) {
    script(db, "schema.sql", &[]).unwrap();
    script(db, "queries/ingest.sql", &notes(0, 60)).unwrap();
    embed_nodes(db).unwrap();
    db.execute_batch("CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, embedding)").unwrap();
}

fn command_of_kit(db: &Connection) -> rusqlite::Result<()> {
    db.execute("INSERT INTO nodes_vec(nodes_vec) VALUES ('merge')", []).map(drop)
}

fn ingest(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("BEGIN")?;
    script(db, "queries/ingest.sql", &notes(40, 90))?;
    embed_nodes(db)?;
    command_of_kit(db)?;
    db.execute_batch("COMMIT")
}

fn first_version(db: &Connection) {
    script(db, "migrations/1.sql", &[]).unwrap();
    script(db, "queries/ingest.sql", &notes(0, 40)).unwrap();
}

/// Each step is a transaction of its own, so that this is one step.
fn migrate(db: &Connection) -> rusqlite::Result<()> {
    script(db, "migrations/2.sql", &[])
}

type Contents = Vec<String>;

/// A task in one kind of journal: the file it begins with, and what it makes of it.
struct Trial {
    task: &'static Task,
    journal: &'static str,
    path: PathBuf,
    start: Vec<u8>,
    before: Contents,
    after: Contents,
    random: Random,
}

impl Trial {
    fn new(task: &'static Task, journal: &'static str, folder: &Path) -> Self {
        let path = folder.join(format!("{}-{journal}.db", task.name));
        let db = open(&path);
        // Small pages and a small cache, so that one task reads and writes many.
        db.execute_batch("PRAGMA page_size = 1024; PRAGMA auto_vacuum = NONE").unwrap();
        db.query_row(&format!("PRAGMA journal_mode = {journal}"), [], |_| Ok(())).unwrap();
        (task.prepare)(&db);
        let before = contents(&db, task).unwrap();
        db.close().unwrap();
        let start = std::fs::read(&path).unwrap();
        let random = Random(seed() ^ start.len() as u64);
        let mut trial = Self { task, journal, path, start, before, after: Vec::new(), random };
        let db = trial.begin();
        trial.work(&db).unwrap();
        trial.after = contents(&db, task).unwrap();
        trial
    }

    fn begin(&self) -> Connection {
        self.clear();
        std::fs::write(&self.path, &self.start).unwrap();
        self.opened()
    }

    fn clear(&self) {
        for ending in ["", "-journal", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", self.path.display()));
        }
    }

    fn opened(&self) -> Connection {
        let db = open(&self.path);
        db.execute_batch("PRAGMA cache_size = 10; PRAGMA synchronous = FULL").unwrap();
        db
    }

    fn work(&self, db: &Connection) -> rusqlite::Result<()> {
        (self.task.work)(db)
    }

    fn prepared(&self) -> Connection {
        let db = self.begin();
        expect(&db);
        db
    }

    /// One fault of each of these numbers. Gives how many were met.
    fn run(&mut self, kind: Kind, manner: Manner, most: u32) -> usize {
        let db = self.prepared();
        let total = count(kind, manner, || self.work(&db).unwrap());
        drop(db);
        let step = (total / most).max(1);
        let first = 1 + self.random.below(step as usize) as u32;
        (first..=total).step_by(step as usize).filter(|at| self.fault(Fault { kind, manner, at: *at })).count()
    }

    fn fault(&mut self, fault: Fault) -> bool {
        let db = self.prepared();
        let (result, is_met) = with_fault(fault, || self.work(&db));
        let what = format!("{}, {}, {fault:?}: {result:?}", self.task.name, self.journal);
        if fault.manner == Manner::Power && is_met {
            drop(db);
            let random = &mut self.random;
            power_returns(|choices| random.below(choices));
            let _ = std::fs::remove_file(format!("{}-shm", self.path.display()));
        } else {
            self.assert_sound_here(&db, result.is_ok(), &what);
            drop(db);
        }
        let db = self.opened();
        self.assert_sound(&db, result.is_ok(), &what);
        is_met
    }

    /// The connection that met the fault goes on.
    fn assert_sound_here(&mut self, db: &Connection, is_done: bool, what: &str) {
        if !db.is_autocommit() {
            db.execute_batch("ROLLBACK").unwrap_or_else(|error| panic!("{what}; rolled back: {error}"));
        }
        self.assert_sound(db, is_done, &format!("{what}; same connection"));
    }

    fn assert_sound(&mut self, db: &Connection, is_done: bool, what: &str) {
        let unsound = self.task.indexed.unsound(db, &mut self.random);
        let unsound = unsound.unwrap_or_else(|error| Some(error.to_string()));
        assert!(unsound.is_none(), "{what}\n{}", unsound.unwrap_or_default());
        let now = contents(db, self.task).unwrap_or_else(|error| panic!("{what}: {error}"));
        let differs =
            |from: &Contents| from.iter().filter(|row| !now.contains(row)).take(3).cloned().collect::<Vec<_>>();
        assert!(
            now == self.after || now == self.before && !is_done,
            "{what}\nhalf done: {} rows, without {:?} of before and {:?} of after",
            now.len(),
            differs(&self.before),
            differs(&self.after)
        );
    }
}

fn contents(db: &Connection, task: &Task) -> rusqlite::Result<Contents> {
    let mut all = Vec::new();
    for sql in task.contents {
        let mut statement = db.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let values: rusqlite::Result<Vec<Value>> = (0..columns).map(|column| row.get(column)).collect();
            all.push(format!("{:?}", values?));
        }
    }
    Ok(all)
}

#[test]
fn whatever_fails_nothing_is_half_done_and_searches_are_right() {
    let folder = scratch("torture-faults");
    let (mut met, mut allocations) = (0, 0);
    for task in &TASKS {
        for journal in JOURNALS {
            let mut trial = Trial::new(task, journal, &folder);
            for (kind, manner) in FAULTS {
                let count = trial.run(kind, manner, by_form(3, 60));
                met += count;
                allocations += if kind == Kind::Allocation { count } else { 0 };
            }
        }
    }
    report("faults", &format!("{met} faults met, {allocations} of them of allocations, all databases sound"));
    assert!(met >= by_form(200, 5000), "only {met} faults were met");
}

/// What a child does that is going to be killed: task, write to wait at, file.
#[test]
fn killed() {
    let Some(order) = order("faults::killed") else { return };
    let mut words = order.splitn(3, '|');
    let (task, at, path) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let task = TASKS.iter().find(|known| known.name == task).unwrap();
    let db = open(Path::new(path));
    db.execute_batch("PRAGMA cache_size = 10").unwrap();
    expect(&db);
    let fault = Fault { kind: Kind::Write, manner: Manner::Kill, at: at.parse().unwrap() };
    with_fault(fault, || (task.work)(&db).unwrap());
}

#[test]
fn a_process_that_is_killed_leaves_nothing_half_done() {
    let folder = scratch("torture-kills");
    let mut killed = 0;
    for task in TASKS.iter().filter(|task| task.name != "search") {
        for journal in JOURNALS {
            let mut trial = Trial::new(task, journal, &folder);
            let db = trial.prepared();
            let total = count(Kind::Write, Manner::Kill, || trial.work(&db).unwrap());
            drop(db);
            let most = by_form(2, 40);
            let point = |nth| 1 + (nth * total + trial.random.below(total as usize) as u32) / most;
            for at in (0..most).map(point).collect::<Vec<_>>() {
                drop(trial.begin());
                killed += usize::from(kill_at(&trial, at));
                let db = trial.opened();
                trial.assert_sound(&db, false, &format!("{}, {journal}, killed at write {at}", task.name));
            }
        }
    }
    report("kills", &format!("{killed} processes killed with SIGKILL, all databases sound"));
    assert!(killed >= by_form(20, 500), "only {killed} were killed");
}

/// Whether the child came so far.
fn kill_at(trial: &Trial, at: u32) -> bool {
    let mut child = child("faults::killed", &format!("{}|{at}|{}", trial.task.name, trial.path.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_here = lines.map_while(Result::ok).any(|line| line.contains(HERE));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(is_here || status.success(), "the child failed: {status}");
    is_here
}

/// So that a change of the fixtures is noticed: an index with one block has all its BLOBs.
#[test]
fn the_fixture_has_an_index_and_changes() {
    let db = open(&scratch("torture-fixture").join("test.db"));
    with_changes(&db);
    let blocks: i64 = db.query_row("SELECT count(*) FROM ix_blocks", [], |row| row.get(0)).unwrap();
    let pending: i64 = db.query_row("SELECT count(*) FROM ix_pending", [], |row| row.get(0)).unwrap();
    assert!(blocks >= 4 && pending > 50, "{blocks} blocks, {pending} changes, {DIMENSIONS} dimensions");
}
