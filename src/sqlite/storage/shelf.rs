//! One index inside the caller's transaction: its blocks, and the list of the rows that changed since.

use crate::error::{Error, Result};
use crate::index::{RowidPart, Store};
use crate::sqlite::host::connection::{Connection, Reusable};
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::tables::identifier::quoted;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The tables of an index.
pub struct Shelf {
    pub(super) connection: Connection,
    blocks: String,
    pending: String,
    /// Tells this index from others in the caches of the process.
    pub scope: u64,
    pub(super) read: Reusable,
    pub(super) tail: Reusable,
    pub(super) token: Reusable,
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

    /// Makes both tables.
    pub fn create(&self) -> Result<()> {
        self.connection
            .execute(&format!("CREATE TABLE {} (id INTEGER PRIMARY KEY, data BLOB NOT NULL)", self.blocks), &[])?;
        self.connection.execute(&format!("CREATE TABLE {} (rid, token)", self.pending), &[])
    }

    /// Removes both tables, if they are there.
    pub fn drop(&mut self) -> Result<()> {
        self.connection.execute(&format!("DROP TABLE IF EXISTS {}", self.blocks), &[])?;
        self.connection.execute(&format!("DROP TABLE IF EXISTS {}", self.pending), &[])
    }

    /// Gives both tables the names that go with another name of the index.
    pub fn rename(&mut self, index: &str) -> Result<()> {
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
    pub fn changed(&self, part: RowidPart) -> Result<BTreeSet<i64>> {
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
    pub(super) fn changed_after(&self, place: i64, most: usize) -> Result<Option<BTreeSet<i64>>> {
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
    pub(super) fn tail(&mut self) -> Result<Option<(i64, Value)>> {
        let sql = || format!("SELECT rowid, token FROM {} ORDER BY rowid DESC LIMIT 1", self.pending);
        let mut run = self.tail.run(self.connection, "tail", sql)?;
        if run.step()? { Ok(Some((run.integer(0), run.column(1).copied()?))) } else { Ok(None) }
    }

    pub(super) fn token(&mut self, place: i64) -> Result<Option<Value>> {
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
