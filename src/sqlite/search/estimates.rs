//! What a search is thought to cost and how it may go, as far as its arguments tell before it runs.

use super::indexes;
use super::planner::Planner;
use crate::planning::plan::Slot;
use crate::sqlite::host::args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;
use crate::sqlite::tables::catalogue::size;
use crate::sqlite::tables::identifier::paths;

/// How many rows a source is thought to have when its name is not known yet. SQLite's planner thinks the same of tables.
const ROWS: i64 = 1 << 20;
/// What scoring a row is thought to cost in a scan, in the planner's units.
pub const ROW_COST: f64 = 3.0;

/// About how many rows the tables have that an argument names; a guess where that is not known yet.
pub fn rows(connection: Connection, planner: &mut Planner<'_, '_>, tables: Slot) -> i64 {
    let named = |tables: Value| size(connection, &paths(args::text("", tables.borrow()).ok()?).ok()?);
    planner.literal(tables).and_then(named).unwrap_or(ROWS)
}

/// The ways that a search may go, as far as its first two arguments and its options are literals; lists and limits, which
/// decide between them, come when it runs. What is wrong with the arguments is said then, too.
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
