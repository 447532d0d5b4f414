//! One index inside the caller's transaction: its blocks, the rows it is of, and those that changed since.

use super::args::{Value, ValueRef, vector};
use super::connection::{Connection, Statement};
use super::identifier::quoted;
use super::source::Source;
use crate::codec::fingerprint;
use crate::error::{Error, Result};
use crate::index::{Batch, Index, Overlay, Row, Rows, Store, Token};
use crate::process::PerProcess;
use crate::vector::check_finite;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tables of an index.
pub struct Shelf {
    connection: Connection,
    blocks: String,
    pending: String,
    /// Tells this index from others in the caches of the process.
    pub scope: u64,
    read: Option<Statement>,
    tail: Option<Statement>,
    token: Option<Statement>,
}

impl Shelf {
    /// The tables of the index of this name. They need not exist.
    pub fn new(connection: Connection, schema: &str, index: &str) -> Self {
        let table = |suffix: &str| format!("{}.{}", quoted(schema), quoted(&format!("{index}_{suffix}")));
        let mut scope = DefaultHasher::new();
        match connection.file_name(schema) {
            Some(file) => file.hash(&mut scope),
            None => connection.hash(&mut scope),
        }
        (schema, index).hash(&mut scope);
        Self {
            connection,
            blocks: table("blocks"),
            pending: table("pending"),
            scope: scope.finish(),
            read: None,
            tail: None,
            token: None,
        }
    }

    /// Makes both tables.
    pub fn create(&self) -> Result<()> {
        self.connection
            .execute(&format!("CREATE TABLE {} (id INTEGER PRIMARY KEY, data BLOB NOT NULL)", self.blocks), &[])?;
        self.connection.execute(&format!("CREATE TABLE {} (rid, token)", self.pending), &[])
    }

    /// Removes both tables, if they are there.
    pub fn drop(&mut self) -> Result<()> {
        (self.read, self.tail, self.token) = (None, None, None);
        self.connection.execute(&format!("DROP TABLE IF EXISTS {}", self.blocks), &[])?;
        self.connection.execute(&format!("DROP TABLE IF EXISTS {}", self.pending), &[])
    }

    /// Gives both tables the names that go with another name of the index.
    pub fn rename(&mut self, index: &str) -> Result<()> {
        (self.read, self.tail, self.token) = (None, None, None);
        for (table, suffix) in [(&self.blocks, "blocks"), (&self.pending, "pending")] {
            let name = quoted(&format!("{index}_{suffix}"));
            self.connection.execute(&format!("ALTER TABLE {table} RENAME TO {name}"), &[])?;
        }
        Ok(())
    }

    /// Bytes of all BLOBs.
    pub fn bytes(&self) -> Result<i64> {
        let mut statement = self.connection.prepare(&format!("SELECT total(length(data)) FROM {}", self.blocks))?;
        statement.step()?;
        Ok(statement.integer(0))
    }

    /// How many changes are noted.
    pub fn pending_count(&self) -> Result<i64> {
        let mut statement = self.connection.prepare(&format!("SELECT count(*) FROM {}", self.pending))?;
        statement.step()?;
        Ok(statement.integer(0))
    }

    /// The rows that changed, each once.
    pub fn changed(&self) -> Result<BTreeSet<i64>> {
        self.changed_after(0)
    }

    fn changed_after(&self, tail: i64) -> Result<BTreeSet<i64>> {
        let sql = format!("SELECT rid FROM {} WHERE rowid > ?1", self.pending);
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind(1, ValueRef::Integer(tail))?;
        let mut rows = BTreeSet::new();
        while statement.step()? {
            match statement.column(0) {
                ValueRef::Integer(rid) => rows.insert(rid),
                other => return Err(Error::Damaged(format!("{} has {other} where a rowid should be", self.pending))),
            };
        }
        Ok(rows)
    }

    /// Forgets the changes: they are in the blocks now.
    pub fn forget_changes(&self) -> Result<()> {
        self.connection.execute(&format!("DELETE FROM {}", self.pending), &[])
    }

    /// The last change: its place, and the random token that tells it from any other that ever had the place.
    fn tail(&mut self) -> Result<Option<(i64, Value)>> {
        let sql = format!("SELECT rowid, token FROM {} ORDER BY rowid DESC LIMIT 1", self.pending);
        one(&mut self.tail, self.connection, &sql, None, |row| (row.integer(0), row.column(1).to_owned()))
    }

    fn token(&mut self, place: i64) -> Result<Option<Value>> {
        let sql = format!("SELECT token FROM {} WHERE rowid = ?1", self.pending);
        one(&mut self.token, self.connection, &sql, Some(place), |row| row.column(0).to_owned())
    }
}

/// The first row of a statement that is kept for the next time.
fn one<T>(
    kept: &mut Option<Statement>,
    connection: Connection,
    sql: &str,
    parameter: Option<i64>,
    read: impl FnOnce(&Statement) -> T,
) -> Result<Option<T>> {
    let statement = match kept {
        Some(statement) => statement,
        None => kept.insert(connection.prepare(sql)?),
    };
    if let Some(parameter) = parameter {
        statement.bind(1, ValueRef::Integer(parameter))?;
    }
    let found = statement.step()?.then(|| read(statement));
    statement.reset();
    Ok(found)
}

impl Store for Shelf {
    fn read<T>(&mut self, id: i64, with: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        let sql = format!("SELECT data FROM {} WHERE id = ?1", self.blocks);
        let shown = one(&mut self.read, self.connection, &sql, Some(id), |row| match row.column(0) {
            ValueRef::Blob(blob) => with(blob),
            other => Err(Error::Damaged(format!("entry {id} is {other}, not a block; 'rebuild' mends the index"))),
        })?;
        shown.transpose()
    }

    fn write(&mut self, id: i64, blob: &[u8]) -> Result<()> {
        let sql =
            format!("INSERT INTO {} (id, data) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET data = ?2", self.blocks);
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind(1, ValueRef::Integer(id))?;
        statement.bind(2, ValueRef::Blob(blob))?;
        statement.step().map(drop)
    }

    fn delete(&mut self, id: i64) -> Result<()> {
        self.connection.execute(&format!("DELETE FROM {} WHERE id = ?1", self.blocks), &[Value::Integer(id)])
    }

    fn ids(&mut self) -> Result<Vec<i64>> {
        let mut statement = self.connection.prepare(&format!("SELECT id FROM {} ORDER BY id", self.blocks))?;
        let mut ids = Vec::new();
        while statement.step()? {
            ids.push(statement.integer(0));
        }
        Ok(ids)
    }
}

/// The rows an index is of.
pub struct TableRows {
    fetch: Statement,
    title: String,
    /// The statement for the rows behind one that have a vector.
    behind: String,
    /// Nothing renumbers the rows: one that is not there was deleted.
    is_stable: bool,
}

impl TableRows {
    /// The rows of a table.
    pub fn new(source: &Source) -> Result<Self> {
        let Some(rowid) = source.rowid_name() else {
            return Err(Error::expected("a table with rowids", &source.title));
        };
        let sql = format!(
            "SELECT t.{} FROM {}.{} AS t WHERE t.{rowid} = ?1",
            quoted(source.column()),
            quoted(source.schema()),
            quoted(source.name())
        );
        let fetch = source.connection().prepare(&sql)?;
        let behind = format!(
            "SELECT t.{rowid} FROM {}.{} AS t WHERE t.{rowid} > ?1 AND t.{} IS NOT NULL",
            quoted(source.schema()),
            quoted(source.name()),
            quoted(source.column())
        );
        Ok(Self { fetch, behind, title: source.describe_column(), is_stable: source.has_stable_rowids()? })
    }

    /// Gives up its locks until the next row.
    pub fn release(&mut self) {
        self.fetch.reset();
    }
}

impl Rows for TableRows {
    /// What is no vector comes back as one of no dimensions, which fits no index.
    fn fetch(&mut self, rowid: i64) -> Result<Row<'_>> {
        self.fetch.reset();
        self.fetch.bind(1, ValueRef::Integer(rowid))?;
        let value = if self.fetch.step()? { self.fetch.column(0) } else { ValueRef::Null };
        Ok(match vector(value) {
            Ok(Some(vector)) if check_finite(&vector).is_ok() => Row::Vector(vector),
            Ok(Some(_)) | Err(_) => Row::Vector(Cow::Owned(Vec::new())),
            Ok(None) if self.is_stable => Row::Gone,
            Ok(None) => Row::Doubtful,
        })
    }

    fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.title)
    }
}

/// The rows that changed since an index was written, as a search needs them.
#[derive(Clone)]
pub struct Changes {
    /// Their codes.
    pub overlay: Overlay,
    /// Those that have something else than a vector of the index's dimensions.
    pub strays: Arc<HashSet<i64>>,
    /// The place and token of the last of them.
    pub tail: Option<(i64, i64)>,
}

/// Changes up to a tail. The table of changes is only ever appended to, so where the same token stands in the same place,
/// all before it is the same, and so are the vectors of those rows.
struct Kept {
    scope: u64,
    generation: Token,
    place: i64,
    token: Value,
    changes: Changes,
}

static KEPT: PerProcess<Mutex<Vec<Kept>>> = PerProcess::new(|| Mutex::new(Vec::new()));

/// How many tails are remembered: of a few indexes, each in the snapshots of a few transactions.
const MOST_KEPT: usize = 16;

fn kept() -> MutexGuard<'static, Vec<Kept>> {
    KEPT.get().lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// The rows that changed since the index was written, encoded once for all searches of the process.
    pub fn changes(&mut self, index: &Index, rows: &mut TableRows, threads: usize) -> Result<Option<Changes>> {
        let Some((place, token)) = self.tail()? else { return Ok(None) };
        let (from, mut changes) = self.known(index, place)?;
        if from == place {
            return Ok(Some(changes));
        }
        let (mut batch, mut without) = (Batch::default(), Vec::new());
        let mut strays = HashSet::clone(&changes.strays);
        for rowid in self.changed_after(from)? {
            strays.remove(&rowid);
            match rows.fetch(rowid)? {
                Row::Vector(vector) if vector.len() == index.header.dimensions => batch.push(rowid, &vector),
                other => {
                    if matches!(other, Row::Vector(_)) {
                        strays.insert(rowid);
                    }
                    without.push(rowid);
                }
            }
        }
        rows.release();
        changes.overlay.change(batch, &without, threads)?;
        changes.strays = Arc::new(strays);
        changes.tail = if let Value::Integer(token) = token { Some((place, token)) } else { None };
        if !rows.is_stable && self.is_renumbered(index, rows, &changes)? {
            mark_stale(self, index);
            return Ok(None);
        }
        self.keep(index.header.generation, place, token, &changes);
        Ok(Some(changes))
    }

    /// Whether VACUUM, or a dump and restore, gave the rows of a table without INTEGER PRIMARY KEY other rowids, so that the
    /// noted changes name the wrong ones.
    ///
    /// Rows are renumbered from 1 without gaps. Where the last row with a code is still where it was, so are all before it;
    /// and whatever comes behind it has to be among the changes. A few more rows guard against equal vectors.
    fn is_renumbered(&mut self, index: &Index, rows: &mut TableRows, changes: &Changes) -> Result<bool> {
        const SAMPLE: usize = 8;
        let sample = index.sample(self, SAMPLE, |rowid| changes.overlay.contains(rowid))?;
        for (rowid, expected) in &sample {
            let is_same = match rows.fetch(*rowid)? {
                Row::Vector(vector) => fingerprint(&vector) == *expected,
                Row::Gone | Row::Doubtful => false,
            };
            if !is_same {
                return Ok(true);
            }
        }
        rows.release();
        let last = sample.last().map_or(i64::MIN, |(rowid, _)| *rowid);
        let strays = &index.directory().strays;
        let is_known = |rowid: i64| changes.overlay.contains(rowid) || strays.contains(&rowid);
        let behind = self.connection.prepare(&rows.behind)?;
        first_unknown(behind, last, is_known)
    }

    /// The longest beginning of the changes that is known already, and where it ends.
    fn known(&mut self, index: &Index, tail: i64) -> Result<(i64, Changes)> {
        let generation = index.header.generation;
        let mut known: Vec<(i64, Value, Changes)> = kept()
            .iter()
            .filter(|kept| kept.scope == self.scope && kept.generation == generation && kept.place <= tail)
            .map(|kept| (kept.place, kept.token.clone(), kept.changes.clone()))
            .collect();
        known.sort_by_key(|(place, ..)| std::cmp::Reverse(*place));
        for (place, token, changes) in known {
            if self.token(place)? == Some(token) {
                return Ok((place, changes));
            }
        }
        Ok((0, Changes { overlay: Overlay::new(index.space().clone()), strays: Arc::default(), tail: None }))
    }

    fn keep(&self, generation: Token, place: i64, token: Value, changes: &Changes) {
        let mut kept = kept();
        kept.retain(|other| other.scope != self.scope || other.generation == generation);
        if kept.len() >= MOST_KEPT {
            kept.remove(0);
        }
        kept.push(Kept { scope: self.scope, generation, place, token, changes: changes.clone() });
    }
}

/// Whether one of the rows behind this one is not known.
fn first_unknown(mut behind: Statement, last: i64, is_known: impl Fn(i64) -> bool) -> Result<bool> {
    behind.bind(1, ValueRef::Integer(last))?;
    while behind.step()? {
        if !is_known(behind.integer(0)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An index in one state, by its scope and generation.
type State = (u64, [u8; 16]);

/// Indexes that were found not to belong to their table any more. They are not used again until they are written anew.
static STALE: PerProcess<Mutex<BTreeSet<State>>> = PerProcess::new(|| Mutex::new(BTreeSet::new()));

fn stale() -> MutexGuard<'static, BTreeSet<State>> {
    STALE.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that an index needs a rebuild.
pub fn mark_stale(shelf: &Shelf, index: &Index) {
    stale().insert((shelf.scope, index.header.generation.0));
}

/// Whether an index needs a rebuild, as far as a search of this process has found out.
pub fn is_stale(shelf: &Shelf, index: &Index) -> bool {
    stale().contains(&(shelf.scope, index.header.generation.0))
}
