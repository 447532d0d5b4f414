//! The two tables of one index, read and written in the transaction of the caller: its blocks, and the list of the rows that
//! changed since they were written.

use super::signs::reshaped;
use super::table_rows::TableRows;
use crate::error::{Error, Result};
use crate::index::{ROWS_IN_MEMORY, Store, Token};
use crate::sqlite::host::connection::{Connection, Reusable, Statement};
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::tables::identifier::quoted;
use crate::vector::shown;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The first two entries of the list of changes. Lists that were begun by an older version do not have them. An older version
/// takes them for two changed rows. That is harmless: the rows are only read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The place of the first of the two entries. A merge that took only the first changes leaves the others where they are,
    /// and writes the anchor in front of them.
    place: i64,
    /// The greatest rowid of the table when the blocks were written.
    pub top: i64,
    /// The rowid at which the next merge begins to compare rows.
    pub cursor: i64,
    /// The schema version of the database.
    pub cookie: i64,
}

impl Anchor {
    /// The least place at which the first entry is written. Place 1 is left free. VACUUM and dumps give new rowids to tables
    /// without a key, and they begin at 1. So if the entry is at 1, the rows of the user's table may have new rowids too.
    const PLACE: i64 = 2;

    /// Whether the rows of the table may have new rowids.
    pub fn is_moved(&self) -> bool {
        self.place < Self::PLACE
    }

    /// The changes come after this place.
    pub fn end(&self) -> i64 {
        self.place + 1
    }
}

/// A part of the list of changes: the entries after a place, and up to another.
#[derive(Debug, Clone, Copy)]
pub struct LogSpan {
    /// The place of the last entry before it.
    pub after: i64,
    /// The place of its last entry; the greatest of all places if it goes up to the end of the list, wherever that is.
    pub upto: i64,
}

impl LogSpan {
    /// The end of the list.
    const END: i64 = i64::MAX;

    /// All entries after a place.
    pub fn after(after: i64) -> Self {
        Self { after, upto: Self::END }
    }
}

/// The rows of a part of the list of changes, each once, in ascending order.
pub struct NotedRows {
    statement: Statement,
    /// The row that comes next.
    next: Option<i64>,
}

impl NotedRows {
    fn step(&mut self) -> Result<()> {
        let now = self.next;
        // After its end, a statement would begin again.
        while self.statement.step()? {
            self.next = Some(self.statement.integer(0));
            if self.next != now {
                return Ok(());
            }
        }
        self.next = None;
        Ok(())
    }

    /// Whether a row is among them. It is asked in ascending order.
    pub fn has(&mut self, rowid: i64) -> Result<bool> {
        while self.next.is_some_and(|next| next < rowid) {
            self.step()?;
        }
        Ok(self.next == Some(rowid))
    }

    /// The next so many. Empty after the last.
    pub fn part(&mut self, most: usize) -> Result<Vec<i64>> {
        let mut part = Vec::new();
        while let Some(rowid) = self.next.filter(|_| part.len() < most) {
            part.push(rowid);
            self.step()?;
        }
        Ok(part)
    }
}

/// How long a part of the list of changes is.
pub struct ChangeCount {
    /// How many changes.
    pub entries: i64,
    /// Whether no entry is missing and each names a row.
    pub is_whole: bool,
}

/// The last entry of the list of changes: its place and its random token. If another entry is ever at the same place, its
/// token differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tail {
    pub place: i64,
    pub token: Value,
}

/// One of the tables of an index.
#[derive(Debug, Clone, Copy)]
enum ShelfTable {
    Blocks,
    Pending,
}

impl ShelfTable {
    fn suffix(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Pending => "pending",
        }
    }

    /// How it is declared. The blocks are without a PRIMARY KEY, as the session extension would carry them into databases
    /// with other rows.
    fn columns(self) -> &'static str {
        match self {
            Self::Blocks => "id INTEGER NOT NULL UNIQUE, data BLOB NOT NULL",
            Self::Pending => "rid, token",
        }
    }

    /// What is read of it, whatever version made it.
    fn read(self) -> &'static str {
        match self {
            Self::Blocks => "t.id, t.data",
            Self::Pending => "t.rowid, t.rid, t.token",
        }
    }
}

/// What stands under the name of a table of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A table with our columns.
    Ours,
    /// Nothing: it was dropped.
    Nothing,
    /// A view, or a table of somebody else's.
    Other,
}

/// The tables of an index.
pub struct Shelf {
    pub(super) connection: Connection,
    /// The name of the schema as it is, and below it the quoted one.
    schema_name: String,
    schema: String,
    index: String,
    blocks: String,
    pending: String,
    /// A number for the database file and the index. It tells the index from others in the caches of the process.
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
            schema_name: schema.to_string(),
            schema: quoted(schema),
            index: index.to_string(),
            blocks: table("blocks"),
            pending: table("pending"),
            scope: scope.finish(),
            read: Reusable::default(),
            tail: Reusable::default(),
            token: Reusable::default(),
        }
    }

    /// Makes those of the tables that are not there.
    pub fn create(&self) -> Result<()> {
        for (part, table) in self.tables() {
            match self.standing(part, table)? {
                Standing::Ours => {}
                Standing::Nothing => {
                    self.connection.execute(&format!("CREATE TABLE {table} ({})", part.columns()), &[])?
                }
                Standing::Other => {
                    let name = shown(&self.name(part)).to_string();
                    let what = format!("{name} for the index alone, to be dropped or renamed if it is another's");
                    return Err(Error::expected(what, "another table or view of that name"));
                }
            }
        }
        Ok(())
    }

    /// Empties both tables, as far as they are there: within CREATE VIRTUAL TABLE, SQLite drops none.
    pub fn clear(&mut self) -> Result<()> {
        self.each_of_ours(|table, _| format!("DELETE FROM {table}"))
    }

    /// Removes both tables, as far as they are there. What is not ours stays.
    pub fn drop(&mut self) -> Result<()> {
        self.each_of_ours(|table, _| format!("DROP TABLE {table}"))
    }

    /// Renames both tables after the new name of the index.
    pub fn rename(&mut self, index: &str) -> Result<()> {
        self.each_of_ours(|table, part| {
            format!("ALTER TABLE {table} RENAME TO {}", quoted(&format!("{index}_{}", part.suffix())))
        })
    }

    fn each_of_ours(&self, statement: impl Fn(&str, ShelfTable) -> String) -> Result<()> {
        for (part, table) in self.tables() {
            if self.standing(part, table)? == Standing::Ours {
                self.connection.execute(&statement(table, part), &[])?;
            }
        }
        Ok(())
    }

    /// Whether both tables are there as they were made. Somebody may have dropped one, or put a view in its place.
    pub fn is_whole(&self) -> Result<bool> {
        for (part, table) in self.tables() {
            if self.standing(part, table)? != Standing::Ours {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn tables(&self) -> [(ShelfTable, &str); 2] {
        [(ShelfTable::Blocks, &self.blocks), (ShelfTable::Pending, &self.pending)]
    }

    fn name(&self, part: ShelfTable) -> String {
        format!("{}_{}", self.index, part.suffix())
    }

    /// What stands under the name of a table of ours.
    fn standing(&self, part: ShelfTable, table: &str) -> Result<Standing> {
        let sql = format!(
            "SELECT type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' FROM {}.sqlite_schema \
             WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')",
            self.schema
        );
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind(1, ValueRef::Text(self.name(part).as_bytes()))?;
        if !statement.step()? {
            return Ok(Standing::Nothing);
        }
        if statement.integer(0) == 0 {
            return Ok(Standing::Other);
        }
        match self.connection.prepare(&format!("SELECT {} FROM {table} AS t", part.read())) {
            Ok(_) => Ok(Standing::Ours),
            Err(error) if error.is_of_sql() => Ok(Standing::Other),
            Err(error) => Err(error),
        }
    }

    /// Bytes of all BLOBs.
    pub fn bytes(&self) -> Result<i64> {
        let mut statement = self.connection.prepare(&format!("SELECT total(length(data)) FROM {}", self.blocks))?;
        statement.step()?;
        Ok(statement.integer(0))
    }

    /// How many entries a part of the list has, and whether they are complete.
    pub fn noted(&self, LogSpan { after, upto }: LogSpan) -> Result<ChangeCount> {
        let sql = format!(
            "SELECT count(*), max(rowid), count(*) FILTER (WHERE typeof(rid) = 'integer') FROM {} \
             WHERE rowid > ?1 AND rowid <= ?2",
            self.pending
        );
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind_all(&[Value::Integer(after), Value::Integer(upto)])?;
        statement.step()?;
        let entries = statement.integer(0);
        let reaches = statement.integer(1).checked_sub(after) == Some(entries);
        let is_whole = entries == 0 || reaches && entries == statement.integer(2);
        Ok(ChangeCount { entries, is_whole })
    }

    /// The part of the list after a place that names so many different rows, or all that follows if that names no more.
    pub fn first_changes(&self, after: i64, most: u64) -> Result<LogSpan> {
        let most = most.min(ROWS_IN_MEMORY as u64);
        let (mut rows, mut upto) = (BTreeSet::new(), after);
        let mut is_more = false;
        self.each_change(LogSpan::after(after), |place, rowid| {
            is_more = rowid.is_some_and(|rowid| !rows.contains(&rowid)) && rows.len() as u64 >= most;
            if !is_more {
                rows.extend(rowid);
                upto = place;
            }
            !is_more
        })?;
        Ok(if is_more { LogSpan { after, upto } } else { LogSpan::after(after) })
    }

    /// How many different rows a part of the list has.
    pub fn changed_count(&self, LogSpan { after, upto }: LogSpan) -> Result<u64> {
        let sql = format!("SELECT count(DISTINCT rid) FROM {} WHERE rowid > ?1 AND rowid <= ?2", self.pending);
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind_all(&[Value::Integer(after), Value::Integer(upto)])?;
        statement.step()?;
        Ok(statement.integer(0) as u64)
    }

    /// Whether the list has a row after a place.
    pub fn is_noted(&self, after: i64, rowid: i64) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE rowid > ?1 AND rid = ?2 LIMIT 1", self.pending);
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind_all(&[Value::Integer(after), Value::Integer(rowid)])?;
        statement.step()
    }

    /// The rows of a part of the list. SQLite sorts them, and takes to a file of its own what is too much for memory.
    pub fn noted_rows(&self, LogSpan { after, upto }: LogSpan) -> Result<NotedRows> {
        let sql = format!(
            "SELECT rid FROM {} WHERE rowid > ?1 AND rowid <= ?2 AND typeof(rid) = 'integer' ORDER BY rid",
            self.pending
        );
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind_all(&[Value::Integer(after), Value::Integer(upto)])?;
        let mut rows = NotedRows { statement, next: None };
        rows.step()?;
        Ok(rows)
    }

    /// All rows of a part of the list, and others, in order. `None` if they are too many for memory.
    pub fn listed(&self, span: LogSpan, count: u64, others: &[i64]) -> Result<Option<Vec<i64>>> {
        if count > ROWS_IN_MEMORY as u64 {
            return Ok(None);
        }
        let mut rows = self.noted_rows(span)?.part(ROWS_IN_MEMORY)?;
        rows.extend(others);
        rows.sort_unstable();
        rows.dedup();
        Ok(Some(rows))
    }

    /// Whether a row with a rowid above `behind` is missing in the list after the place `after`. `select` is the statement
    /// that gives such rows; its parameter is `behind`.
    pub(super) fn has_unnoted(&self, select: &str, behind: i64, after: i64) -> Result<bool> {
        let sql = format!(
            "SELECT 1 FROM ({select}) WHERE rowid NOT IN \
             (SELECT rid FROM {} WHERE rowid > ?2 AND rid IS NOT NULL) LIMIT 1",
            self.pending
        );
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind_all(&[Value::Integer(behind), Value::Integer(after)])?;
        statement.step()
    }

    /// A statement that holds the present snapshot of the database until it is dropped.
    pub(super) fn hold(&self) -> Result<Statement> {
        let mut statement = self.connection.prepare(&format!("SELECT 1 FROM {}.sqlite_schema", self.schema))?;
        statement.step()?;
        Ok(statement)
    }

    /// Calls `with` for each entry of a part of the list, in order, until it returns false. It gets the place and the rowid;
    /// `None` if the entry names no row.
    pub(super) fn each_change(
        &self,
        LogSpan { after, upto }: LogSpan,
        mut with: impl FnMut(i64, Option<i64>) -> bool,
    ) -> Result<()> {
        let sql = format!("SELECT rowid, rid FROM {} WHERE rowid > ?1 AND rowid <= ?2", self.pending);
        let mut statement = self.connection.prepare(&sql)?;
        statement.bind_all(&[Value::Integer(after), Value::Integer(upto)])?;
        while statement.step()? {
            let rowid = if let ValueRef::Integer(rowid) = statement.column(1) { Some(rowid) } else { None };
            if !with(statement.integer(0), rowid) {
                break;
            }
        }
        Ok(())
    }

    /// The anchor at the beginning of the list, if it was written together with this state of the blocks.
    pub fn anchor(&self, generation: Token) -> Result<Option<Anchor>> {
        let sql = format!("SELECT rowid, rid, token FROM {} ORDER BY rowid LIMIT 2", self.pending);
        let mut statement = self.connection.prepare(&sql)?;
        let mut entries = Vec::new();
        while statement.step()? {
            let entry = [0, 1, 2].map(|at| match statement.column(at) {
                ValueRef::Integer(number) => Some(number),
                _ => None,
            });
            entries.push(entry);
        }
        Ok(match entries.as_slice() {
            [[Some(place), Some(top), Some(bound)], [Some(second), Some(cursor), Some(cookie)]]
                if *place >= 1 && *second == place + 1 && *bound == generation.number() =>
            {
                Some(Anchor { place: *place, top: *top, cursor: *cursor, cookie: *cookie })
            }
            _ => None,
        })
    }

    /// Deletes the entries of the list up to the end of a part of it, because the blocks have their changes now, and writes a
    /// new anchor in front of those that stay. Returns how many entries were deleted, with those of the old anchor.
    pub fn restart(&mut self, generation: Token, top: i64, cursor: i64, LogSpan { upto, .. }: LogSpan) -> Result<i64> {
        let before = self.connection.total_changes();
        self.connection.execute(&format!("DELETE FROM {} WHERE rowid <= ?1", self.pending), &[Value::Integer(upto)])?;
        let gone = self.connection.total_changes() - before;
        let place = if upto == LogSpan::END { Anchor::PLACE } else { (upto - 1).max(Anchor::PLACE) };
        let anchor = Anchor { place, top, cursor, cookie: self.cookie()? };
        let sql = format!("INSERT INTO {} (rowid, rid, token) VALUES (?1, ?2, ?3), (?4, ?5, ?6)", self.pending);
        let values = [anchor.place, top, generation.number(), anchor.place + 1, cursor, anchor.cookie];
        self.connection.execute(&sql, &values.map(Value::Integer))?;
        // An authorizer may turn a statement into one that does nothing.
        match self.anchor(generation)? {
            Some(written) if written == anchor => Ok(gone),
            _ => Err(reshaped(&self.pending)),
        }
    }

    /// The schema version. SQLite changes this number with every change of the schema.
    pub fn cookie(&self) -> Result<i64> {
        let mut statement = self.connection.prepare(&format!("PRAGMA {}.schema_version", self.schema))?;
        if statement.step()? {
            return Ok(statement.integer(0));
        }
        Err(reshaped("PRAGMA schema_version"))
    }

    /// Whether the open transaction has written to this database.
    pub(super) fn has_written(&self) -> bool {
        self.connection.has_written(&self.schema_name)
    }

    /// The last entry of the list, and the greatest rowid of the table that has the index, read in the same statement. `None` if
    /// the list is empty. The statement is kept, and an index has only one table.
    pub(super) fn tail(&mut self, rows: &TableRows) -> Result<Option<(Tail, Value)>> {
        let sql = || format!("SELECT rowid, token, {} FROM {} ORDER BY rowid DESC LIMIT 1", rows.top, self.pending);
        let mut run = self.tail.run(self.connection, "tail", sql)?;
        if !run.step()? {
            return Ok(None);
        }
        let tail = Tail { place: run.integer(0), token: run.column(1).copied()? };
        Ok(Some((tail, run.column(2).copied()?)))
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
