//! One index inside the caller's transaction: its blocks, the rows it is of, and those that changed since.

use super::args::{Value, ValueRef, vector};
use super::connection::{Connection, Reusable, Run, Statement};
use super::identifier::quoted;
use super::list::Members;
use super::source::Source;
use crate::cache::Held;
use crate::codec::fingerprint;
use crate::config::CACHE_BYTES;
use crate::error::{Error, Result};
use crate::index::{self, Batch, Index, Overlay, Part, Row, Rows, Store, Token};
use crate::process::PerProcess;
use crate::vector::check_finite;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tables of an index.
pub struct Shelf {
    connection: Connection,
    blocks: String,
    pending: String,
    /// Tells this index from others in the caches of the process.
    pub scope: u64,
    read: Reusable,
    tail: Reusable,
    token: Reusable,
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
            read: Reusable::default(),
            tail: Reusable::default(),
            token: Reusable::default(),
        }
    }

    /// Gives up what is in memory of the index.
    fn forget(&mut self) {
        [&self.read, &self.tail, &self.token].into_iter().for_each(Reusable::clear);
        index::forget(self.scope);
        let mut kept = kept();
        kept.retain(|other| other.scope != self.scope);
        index::set_aside(trim(&mut kept, budget()));
    }

    /// Makes both tables.
    pub fn create(&self) -> Result<()> {
        self.connection
            .execute(&format!("CREATE TABLE {} (id INTEGER PRIMARY KEY, data BLOB NOT NULL)", self.blocks), &[])?;
        self.connection.execute(&format!("CREATE TABLE {} (rid, token)", self.pending), &[])
    }

    /// Removes both tables, if they are there.
    pub fn drop(&mut self) -> Result<()> {
        self.forget();
        self.connection.execute(&format!("DROP TABLE IF EXISTS {}", self.blocks), &[])?;
        self.connection.execute(&format!("DROP TABLE IF EXISTS {}", self.pending), &[])
    }

    /// Gives both tables the names that go with another name of the index.
    pub fn rename(&mut self, index: &str) -> Result<()> {
        self.forget();
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
        self.count("*")
    }

    /// How many rows changed.
    pub fn changed_count(&self) -> Result<u64> {
        self.count("DISTINCT rid").map(|count| count as u64)
    }

    fn count(&self, what: &str) -> Result<i64> {
        let mut statement = self.connection.prepare(&format!("SELECT count({what}) FROM {}", self.pending))?;
        statement.step()?;
        Ok(statement.integer(0))
    }

    /// The rows of a part that changed, each once.
    pub fn changed(&self, part: Part) -> Result<BTreeSet<i64>> {
        let mut rows = BTreeSet::new();
        self.each_change(0, |rowid| {
            if part.has(rowid) {
                rows.insert(rowid);
            }
            true
        })?;
        Ok(rows)
    }

    /// The rows that changed behind a place in the list, each once; nothing if they are more than `most`.
    fn changed_after(&self, place: i64, most: usize) -> Result<Option<BTreeSet<i64>>> {
        let mut rows = BTreeSet::new();
        self.each_change(place, |rowid| {
            rows.insert(rowid);
            rows.len() <= most
        })?;
        Ok(Some(rows).filter(|rows| rows.len() <= most))
    }

    /// Shows changes to `with` as they were noted, as long as it wants more.
    fn each_change(&self, after: i64, mut with: impl FnMut(i64) -> bool) -> Result<()> {
        let sql = format!("SELECT rid FROM {} WHERE rowid > ?1", self.pending);
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind(1, ValueRef::Integer(after))?;
        while statement.step()? {
            match statement.column(0) {
                ValueRef::Integer(rowid) if with(rowid) => {}
                ValueRef::Integer(_) => break,
                other => return Err(Error::Damaged(format!("{} has {other} where a rowid should be", self.pending))),
            }
        }
        Ok(())
    }

    /// Forgets the changes: they are in the blocks now.
    pub fn forget_changes(&self) -> Result<()> {
        self.connection.execute(&format!("DELETE FROM {}", self.pending), &[])
    }

    /// The last change: its place, and the random token that tells it from any other that ever had the place.
    fn tail(&mut self) -> Result<Option<(i64, Value)>> {
        let sql = || format!("SELECT rowid, token FROM {} ORDER BY rowid DESC LIMIT 1", self.pending);
        let mut run = self.tail.run(self.connection, "tail", sql)?;
        if run.step()? { Ok(Some((run.integer(0), run.column(1).copied()?))) } else { Ok(None) }
    }

    fn token(&mut self, place: i64) -> Result<Option<Value>> {
        let sql = || format!("SELECT token FROM {} WHERE rowid = ?1", self.pending);
        let mut run = self.token.run(self.connection, "token", sql)?;
        run.bind(1, ValueRef::Integer(place))?;
        if run.step()? { run.column(0).copied().map(Some) } else { Ok(None) }
    }
}

impl Store for Shelf {
    fn read<T>(&mut self, id: i64, with: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        let sql = || format!("SELECT data FROM {} WHERE id = ?1", self.blocks);
        let mut run = self.read.run(self.connection, "read", sql)?;
        run.bind(1, ValueRef::Integer(id))?;
        if !run.step()? {
            return Ok(None);
        }
        match run.column(0) {
            ValueRef::Blob(blob) => with(blob).map(Some),
            other => Err(Error::Damaged(format!("entry {id} is {other}, not a block; 'rebuild' mends the index"))),
        }
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
    connection: Connection,
    /// The statement for a row.
    one: String,
    fetch: Reusable,
    /// Stands on the row that was fetched last.
    running: Option<Run>,
    /// The same with the id.
    fetch_keyed: Reusable,
    title: String,
    /// The statement for the rows behind one that have a vector.
    behind: String,
    /// The statement for all rows from one to another, in order.
    between: String,
    /// Nothing renumbers the rows: one that is not there was deleted.
    is_stable: bool,
}

impl TableRows {
    /// The rows of a table.
    pub fn new(source: &Source) -> Result<Self> {
        let Some(rowid) = source.rowid_name() else {
            return Err(Error::expected("a table with rowids", &source.title));
        };
        let one = format!(
            "SELECT t.{} FROM {}.{} AS t WHERE t.{rowid} = ?1",
            quoted(source.column()),
            quoted(source.schema()),
            quoted(source.name())
        );
        let behind = format!(
            "SELECT t.{rowid} FROM {}.{} AS t WHERE t.{rowid} > ?1 AND t.{} IS NOT NULL",
            quoted(source.schema()),
            quoted(source.name()),
            quoted(source.column())
        );
        let between = format!(
            "SELECT t.{rowid}, t.{} FROM {}.{} AS t WHERE t.{rowid} BETWEEN ?1 AND ?2 ORDER BY t.{rowid}",
            quoted(source.column()),
            quoted(source.schema()),
            quoted(source.name())
        );
        let (title, is_stable) = (source.describe_column(), source.has_stable_rowids()?);
        let connection = source.connection();
        let (fetch, running, fetch_keyed) = Default::default();
        Ok(Self { connection, one, fetch, running, fetch_keyed, behind, between, title, is_stable })
    }

    /// Gives up its locks until the next row.
    pub fn release(&mut self) {
        self.running = None;
    }

    /// The rows that have one of these ids; the others do not take part.
    pub fn keyed(&self, source: &Source, members: Members) -> Result<KeyedRows<'_>> {
        let fetch = self.fetch_keyed.run(self.connection, "keyed", || source.keyed_sql())?;
        Ok(KeyedRows { fetch, members, title: &self.title, is_stable: self.is_stable })
    }
}

/// Rows of a table of which only those with certain ids take part.
pub struct KeyedRows<'a> {
    fetch: Run,
    members: Members,
    title: &'a str,
    is_stable: bool,
}

impl Rows for KeyedRows<'_> {
    fn fetch(&mut self, rowid: i64) -> Result<Row<'_>> {
        fetched(&mut self.fetch, rowid, self.is_stable)
    }

    fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.title)
    }

    fn takes_part(&mut self) -> Result<bool> {
        Ok(self.members.contains(self.fetch.column(1)))
    }
}

/// The row that a statement finds, which stays on it.
fn fetched(statement: &mut Statement, rowid: i64, is_stable: bool) -> Result<Row<'_>> {
    statement.reset();
    statement.bind(1, ValueRef::Integer(rowid))?;
    let value = if statement.step()? { statement.column(0) } else { ValueRef::Null };
    Ok(row(value, is_stable))
}

impl Rows for TableRows {
    fn fetch(&mut self, rowid: i64) -> Result<Row<'_>> {
        let run = match &mut self.running {
            Some(run) => run,
            none => none.insert(self.fetch.run(self.connection, "fetch", || self.one.clone())?),
        };
        fetched(run, rowid, self.is_stable)
    }

    fn describe(&self, rowid: i64) -> String {
        format!("{}, rowid {rowid}", self.title)
    }

    /// Where they are many, the table is read from one end to the other, which costs a third of a look-up a row.
    fn fetch_all(
        &mut self,
        rowids: &[i64],
        rows: u64,
        with: &mut dyn FnMut(usize, Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        const DENSE: u64 = 3;
        let is_dense = rowids.len() as u64 > rows / DENSE;
        let mut passing = if is_dense { Some(self.connection.prepare(&self.between)?) } else { None };
        let ends = rowids.first().zip(rowids.last());
        if let (Some(passing), Some((first, last))) = (&mut passing, ends) {
            passing.bind_all(&[Value::Integer(*first), Value::Integer(*last)])?;
        }
        let mut is_there = passing.as_mut().map_or(Ok(false), Statement::step)?;
        for (at, rowid) in rowids.iter().enumerate() {
            let row = match &mut passing {
                None => self.fetch(*rowid)?,
                Some(passing) => {
                    while is_there && passing.integer(0) < *rowid {
                        is_there = passing.step()?;
                    }
                    let is_met = is_there && passing.integer(0) == *rowid;
                    row(if is_met { passing.column(1) } else { ValueRef::Null }, self.is_stable)
                }
            };
            if !with(at, row)? {
                break;
            }
        }
        Ok(())
    }
}

/// What is no vector comes back as one of no dimensions, which fits no index.
fn row(value: ValueRef<'_>, is_stable: bool) -> Row<'_> {
    match vector(value) {
        Ok(Some(vector)) if check_finite(&vector).is_ok() => Row::Vector(vector),
        Ok(Some(_)) | Err(_) => Row::Vector(Cow::Owned(Vec::new())),
        Ok(None) if is_stable => Row::Gone,
        Ok(None) => Row::Doubtful,
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

/// What changed since an index was written.
pub enum Changed {
    /// Nothing.
    Nothing,
    /// These rows.
    Rows(Changes),
    /// The index is of no use to a search: more rows changed than memory is meant for, or nobody knows which.
    TooMuch,
}

/// Changes up to a tail. The table of changes is only ever appended to, so where the same token stands in the same place,
/// all before it is the same, and so are the vectors of those rows.
struct Kept {
    scope: u64,
    generation: Token,
    place: i64,
    token: Value,
    changes: Changes,
    /// What it takes beyond the newer tails of its index.
    held: Held,
}

static KEPT: PerProcess<Mutex<Vec<Kept>>> = PerProcess::new(|| Mutex::new(Vec::new()));

/// How many tails of one index are remembered, for the snapshots of a few transactions. They share most of their codes.
const MOST_KEPT: usize = 4;
/// Changed rows take one part in so many of the memory that indexes may use; a few always fit.
const SHARE: usize = 4;
const ALWAYS: usize = 4 << 20;
/// Bytes of vectors that are read before all threads encode them.
const BATCH_BYTES: usize = 4 << 20;

fn kept() -> MutexGuard<'static, Vec<Kept>> {
    KEPT.get().lock().unwrap_or_else(PoisonError::into_inner)
}

fn budget() -> usize {
    (usize::try_from(CACHE_BYTES.get()).unwrap_or(usize::MAX) / SHARE).max(ALWAYS)
}

impl Shelf {
    /// The rows that changed since the index was written, encoded once for all searches of the process. Adds to `encoded`
    /// how many that were.
    pub fn changes(
        &mut self,
        index: &Index,
        rows: &mut TableRows,
        threads: usize,
        encoded: &AtomicU64,
    ) -> Result<Changed> {
        let Some((place, token)) = self.tail()? else { return Ok(Changed::Nothing) };
        let (from, mut changes) = self.known(index, place)?;
        if from == place {
            return Ok(Changed::Rows(changes));
        }
        let most = (budget() / changes.overlay.row_bytes()).saturating_sub(changes.overlay.len());
        let Some(changed) = self.changed_after(from, most)? else { return Ok(Changed::TooMuch) };
        encoded.fetch_add(changed.len() as u64, Relaxed);
        changes.take(changed, index.header.dimensions, rows, threads)?;
        rows.release();
        changes.tail = if let Value::Integer(token) = token { Some((place, token)) } else { None };
        if !rows.is_stable && self.is_renumbered(index, rows, &changes)? {
            mark_stale(self, index);
            return Ok(Changed::TooMuch);
        }
        self.keep(index, place, token, &changes);
        Ok(Changed::Rows(changes))
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
            .iter_mut()
            .filter(|kept| kept.scope == self.scope && kept.generation == generation && kept.place <= tail)
            .map(|kept| {
                kept.held.pass_to(index.account());
                (kept.place, kept.token.clone(), kept.changes.clone())
            })
            .collect();
        known.sort_by_key(|(place, ..)| std::cmp::Reverse(*place));
        for (place, token, changes) in known {
            if self.token(place)? == Some(token) {
                return Ok((place, changes));
            }
        }
        Ok((0, Changes { overlay: Overlay::new(index.space().clone()), strays: Arc::default(), tail: None }))
    }

    fn keep(&self, index: &Index, place: i64, token: Value, changes: &Changes) {
        let (scope, generation, held) = (self.scope, index.header.generation, Held::new(index.account(), 0));
        let mut kept = kept();
        kept.retain(|other| other.scope != scope || other.generation == generation);
        kept.push(Kept { scope, generation, place, token, changes: changes.clone(), held });
        index::set_aside(trim(&mut kept, budget()));
    }
}

/// Forgets the oldest tails: of each index beyond a few, and of all beyond the budget. Gives the bytes of those that stay.
fn trim(kept: &mut Vec<Kept>, budget: usize) -> usize {
    let (mut indexes, mut total) = (HashMap::<u64, (usize, usize)>::new(), 0);
    let mut newest_first = std::mem::take(kept);
    newest_first.reverse();
    for mut tail in newest_first {
        let (tails, bytes) = indexes.entry(tail.scope).or_default();
        let more = tail.changes.overlay.bytes().saturating_sub(*bytes);
        if kept.is_empty() || *tails < MOST_KEPT && total + more <= budget {
            (*tails, *bytes, total) = (*tails + 1, *bytes + more, total + more);
            tail.held.set(more);
            kept.push(tail);
        }
    }
    kept.reverse();
    total
}

impl Changes {
    /// Reads and encodes rows.
    fn take(&mut self, changed: BTreeSet<i64>, dimensions: usize, rows: &mut TableRows, threads: usize) -> Result<()> {
        let (mut batch, mut without) = (Batch::default(), Vec::new());
        let mut strays = HashSet::clone(&self.strays);
        for rowid in changed {
            strays.remove(&rowid);
            match rows.fetch(rowid)? {
                Row::Vector(vector) if vector.len() == dimensions => batch.push(rowid, &vector),
                other => {
                    if matches!(other, Row::Vector(_)) {
                        strays.insert(rowid);
                    }
                    without.push(rowid);
                }
            }
            if batch.bytes() >= BATCH_BYTES {
                self.overlay.change(std::mem::take(&mut batch), &[], threads)?;
            }
        }
        self.overlay.change(batch, &without, threads)?;
        self.strays = Arc::new(strays);
        Ok(())
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
