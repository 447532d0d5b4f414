//! What a search probably costs, and which way it may go. Only what the arguments tell before it runs is known here.

use super::indexes;
use super::planner::Planner;
use crate::planning::plan::Slot;
use crate::sqlite::host::args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;
use crate::sqlite::tables::catalogue::size;
use crate::sqlite::tables::identifier::paths;

/// How many rows a source is taken to have as long as its name is not known. SQLite's planner takes the same for a table.
const ROWS: i64 = 1 << 20;
/// What scoring a row probably costs in a scan, in the units of SQLite's planner.
pub const ROW_COST: f64 = 3.0;

/// About how many rows the tables have that an argument names. [`ROWS`] if the argument is not known yet.
pub fn rows(connection: Connection, planner: &mut Planner<'_, '_>, tables: Slot) -> i64 {
    let named = |tables: Value| size(connection, &paths(args::text("", tables.borrow()).ok()?).ok()?);
    planner.literal(tables).and_then(named).unwrap_or(ROWS)
}

/// The ways that a search may go, if its first two arguments and its options are literals; else `auto`. Lists and limits
/// decide between the ways when the search runs. Wrong arguments are reported then, too.
pub fn path(connection: Connection, planner: &mut Planner<'_, '_>, options: Slot) -> String {
    let (table, column) = (planner.literal(Slot::First), planner.literal(Slot::Second));
    let options = if planner.plan.has(options) { planner.literal(options) } else { Some(Value::Null) };
    let (Some(table), Some(column), Some(options)) = (table, column, options) else { return "auto".into() };
    let plan = planner.plan;
    if plan.has(Slot::RowidIs) || plan.has(Slot::IdIs) {
        return "lookup".into();
    }
    let names = || {
        let table = args::text("table_name as text", table.borrow())?;
        let column = args::text("column_name as text", column.borrow())?;
        indexes(connection, table, column, &args::options(&options)?)
    };
    let way = match names() {
        Ok(names) if !names.is_empty() => format!("index {}", names.join(", ")),
        _ => "scan".into(),
    };
    let has_list = plan.has(Slot::RowidIn) || plan.has(Slot::IdIn);
    if has_list { format!("{way} or lookup") } else { way }
}
