//! A search that waits for the next statement about the same tables. Finding a table, its key and its indexes, and compiling
//! the statements that read them, often takes longer than a search by index.
//!
//! The search is kept in the virtual table, which SQLite destroys before it closes the connection. It is used again only if
//! nothing has changed that it was made of. SQLite itself notices that: it compiles a statement again if a schema that the
//! statement reads has changed in any way (by this connection or another one, by ROLLBACK, by DETACH), and it counts how
//! often.

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

/// Keeps one search between two statements.
#[derive(Clone, Default)]
pub struct WaitingPlace(Rc<RefCell<Option<WaitingSearch>>>);

/// A search, and the arguments that it was made of: tables, column and options.
pub struct WaitingSearch {
    /// The search.
    pub search: Search,
    made_of: [Value; 3],
    watch: Watch,
}

impl WaitingPlace {
    /// A search for this query, made of these arguments. If none waits here, it is opened now.
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

    /// Lets a search wait here, and drops the one that waited before. A search of views does not wait, because a schema that
    /// is not watched may decide what a view reads.
    pub fn put(&self, kept: WaitingSearch) {
        if kept.search.is_of_tables() {
            *self.0.borrow_mut() = Some(kept);
        }
    }
}

/// The search of a cursor. It goes back to the place where it waits when the cursor asks for another, and when the cursor ends.
pub struct HeldSearch {
    place: WaitingPlace,
    held: Option<WaitingSearch>,
}

impl HeldSearch {
    /// None so far.
    pub fn new(place: WaitingPlace) -> Self {
        Self { place, held: None }
    }

    /// The place.
    pub fn place(&self) -> &WaitingPlace {
        &self.place
    }

    /// The search that is held.
    pub fn get(&self) -> Option<&Search> {
        self.held.as_ref().map(|held| &held.search)
    }

    /// The same, to read its rows.
    pub fn get_mut(&mut self) -> Option<&mut Search> {
        self.held.as_mut().map(|held| &mut held.search)
    }

    /// Holds a search.
    pub fn hold(&mut self, search: WaitingSearch) {
        self.held = Some(search);
    }

    /// Gives the search away, to run it. A search that fails is not held or used again.
    pub fn take(&mut self) -> Option<WaitingSearch> {
        self.held.take()
    }

    /// Lets the search wait for the next statement.
    pub fn rest(&mut self) {
        if let Some(search) = self.held.take() {
            self.place.put(search);
        }
    }
}

impl Drop for HeldSearch {
    fn drop(&mut self) {
        self.rest();
    }
}

impl WaitingSearch {
    /// The watch on the schemas begins before the search is opened, so that no change is missed.
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

/// Notices changes of schemas: a statement that reads them, and finds no row.
struct Watch(Statement);

impl Watch {
    /// Watches every schema in which these tables were looked for.
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
