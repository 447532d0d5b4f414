//! A search that waits for the next statement about the same tables. To find a table, its key and its indexes, and to compile
//! what reads them, takes longer than many a search by index.
//!
//! It is kept in the virtual table, which SQLite takes down before it closes the connection, and used again only while
//! nothing that it was made of has changed: SQLite compiles a statement anew when a schema that it reads has changed in
//! any way (by this connection or another, by ROLLBACK, by DETACH), and counts that.

use crate::error::Result;
use crate::kernels::F32Le;
use crate::sqlite::host::args;
use crate::sqlite::host::connection::{Connection, Statement};
use crate::sqlite::host::value::Value;
use crate::sqlite::search::Search;
use crate::sqlite::tables::catalogue::schemas_up_to;
use crate::sqlite::tables::identifier::{Path, paths, quoted};
use std::cell::RefCell;
use std::rc::Rc;

/// The place where one search waits.
#[derive(Clone, Default)]
pub struct WaitingPlace(Rc<RefCell<Option<WaitingSearch>>>);

/// A search with what it was made of: the arguments for tables, column and options.
pub struct WaitingSearch {
    /// The search.
    pub search: Search,
    made_of: [Value; 3],
    watch: Watch,
}

impl WaitingPlace {
    /// A search for this query, made of these arguments: the one that waits here, or one that is opened now.
    pub fn search(&self, connection: Connection, made_of: [Value; 3], query: Vec<F32Le>) -> Result<WaitingSearch> {
        match self.take(&made_of) {
            Some(mut kept) => {
                kept.search.ask(query)?;
                Ok(kept)
            }
            None => WaitingSearch::open(connection, made_of, query),
        }
    }

    fn take(&self, made_of: &[Value; 3]) -> Option<WaitingSearch> {
        let mut kept = self.0.borrow_mut().take()?;
        (kept.made_of == *made_of && kept.watch.is_quiet()).then_some(kept)
    }

    /// Lets a search wait here, in place of another; unless a schema that it does not know decides what it reads.
    pub fn put(&self, kept: WaitingSearch) {
        if kept.search.is_of_tables() {
            *self.0.borrow_mut() = Some(kept);
        }
    }
}

impl WaitingSearch {
    /// Watches the schemas from before the search is opened, so that it sees all that changes since.
    fn open(connection: Connection, made_of: [Value; 3], query: Vec<F32Le>) -> Result<Self> {
        let [table, column, options] = &made_of;
        let table = args::text("table_name as text", table.borrow())?;
        let column = args::text("column_name as text", column.borrow())?;
        let options = args::options(options)?;
        let watch = Watch::new(connection, &paths(table)?)?;
        let search = Search::open(connection, table, column, query, &options)?;
        Ok(Self { search, made_of, watch })
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
        let mut statement = connection.prepare_kept(&format!("SELECT 1 FROM {} LIMIT 0", tables.join(", ")))?;
        statement.step()?;
        statement.reset();
        Ok(Self(statement))
    }

    fn is_quiet(&mut self) -> bool {
        let stepped = self.0.step();
        self.0.reset();
        stepped.is_ok() && self.0.times_recompiled().is_ok_and(|times| times == 0)
    }
}
