//! A search that waits for the next statement about the same tables. To find a table, its key and its indexes, and to compile
//! what reads them, takes longer than many a search by index.
//!
//! It is kept in the virtual table, which SQLite takes down before it closes the connection, and used again only while
//! nothing that it was made of has changed: SQLite compiles a statement anew when a schema that it reads has changed in
//! any way (by this connection or another, by ROLLBACK, by DETACH), and counts that.

use super::args::Value;
use super::connection::{Connection, Statement};
use super::identifier::{Path, quoted};
use super::search::Search;
use super::source::schemas_up_to;
use crate::error::Result;
use std::cell::RefCell;
use std::rc::Rc;

/// The place where one search waits.
#[derive(Clone, Default)]
pub struct Place(Rc<RefCell<Option<Kept>>>);

/// A search with what it was made of: the arguments for tables, column and options.
pub struct Kept {
    /// The search.
    pub search: Search,
    arguments: [Value; 3],
    watch: Watch,
}

impl Place {
    /// The search that waits here, if it was made of the same.
    pub fn take(&self, arguments: &[Value; 3]) -> Option<Kept> {
        let mut kept = self.0.borrow_mut().take()?;
        (kept.arguments == *arguments && kept.watch.is_quiet()).then_some(kept)
    }

    /// Lets a search wait here, in place of another.
    pub fn put(&self, mut kept: Kept) {
        kept.search.forget_rest();
        *self.0.borrow_mut() = Some(kept);
    }
}

impl Kept {
    /// Opens a search. Watches the schemas from before it is opened, so that it sees all that changes since.
    pub fn open(
        connection: Connection,
        paths: &[Path],
        arguments: [Value; 3],
        open: impl FnOnce() -> Result<Search>,
    ) -> Result<Self> {
        let watch = Watch::new(connection, paths)?;
        Ok(Self { search: open()?, arguments, watch })
    }
}

/// Sees whether schemas change.
struct Watch(Statement);

impl Watch {
    /// Watches every schema that was looked into to find these tables.
    fn new(connection: Connection, paths: &[Path]) -> Result<Self> {
        let mut schemas: Vec<String> = Vec::new();
        for path in paths {
            schemas.extend(schemas_up_to(connection, path)?);
        }
        schemas.sort_unstable();
        schemas.dedup();
        let tables: Vec<String> = schemas.iter().map(|schema| format!("{}.sqlite_schema", quoted(schema))).collect();
        let mut statement = connection.prepare(&format!("SELECT 1 FROM {} LIMIT 0", tables.join(", ")))?;
        statement.step()?;
        statement.reset();
        Ok(Self(statement))
    }

    fn is_quiet(&mut self) -> bool {
        let stepped = self.0.step();
        self.0.reset();
        stepped.is_ok() && self.0.times_recompiled() == 0
    }
}
