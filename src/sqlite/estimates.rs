//! What a search is thought to cost and how it may go, as far as its arguments tell before it runs.

use super::args::{self, Value};
use super::connection::Connection;
use super::identifier::paths;
use super::search::indexes;
use super::source::size;
use crate::plan::{Plan, Slot};

/// How many rows a source is thought to have when its name is not known yet. SQLite's planner thinks the same of tables.
pub const ROWS: i64 = 1 << 20;
/// What scoring a row is thought to cost in a scan, in the planner's units.
pub const ROW_COST: f64 = 3.0;

/// About how many rows the named tables have, where that is known.
pub fn rows(connection: Connection, table: &Value) -> Option<i64> {
    let paths = paths(args::text("", table.borrow()).ok()?).ok()?;
    size(connection, &paths)
}

/// The ways that a search with these literal arguments may go; lists and limits, which decide between them, come when it
/// runs. What is wrong with the arguments is said then, too.
pub fn path(connection: Connection, plan: Plan, table: &Value, column: &Value, options: &Value) -> String {
    if plan.has(Slot::RowidIs) || plan.has(Slot::IdIs) {
        return "lookup".into();
    }
    let names = || {
        let table = args::text("table_name as text", table.borrow())?;
        let column = args::text("column_name as text", column.borrow())?;
        indexes(connection, table, column, &args::options(options)?)
    };
    let way = match names() {
        Ok(names) if !names.is_empty() => format!("index {}", names.join(", ")),
        _ => "scan".into(),
    };
    let has_list = plan.has(Slot::RowidIn) || plan.has(Slot::IdIn);
    if has_list { format!("{way} or lookup") } else { way }
}
