//! The plan of one `vec_topk`: which conditions are passed on, what the search probably costs, and which way it may go.

use super::TopkColumn;
use crate::planning::plan::{Slot, Subject};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;
use crate::sqlite::host::vtab::{Constraint, ConstraintKind};
use crate::sqlite::search::estimates::{ROW_COST, path, rows};
use crate::sqlite::search::planner::Planner;

const K: Slot = Slot::Fourth;

/// Conditions on the id.
const ID_SLOTS: [Slot; 6] = [Slot::IdIs, Slot::IdIn, Slot::IdAbove, Slot::IdFrom, Slot::IdBelow, Slot::IdTo];

/// What the look-up of a row probably costs, in the units of SQLite's planner.
const LOOKUP_COST: f64 = 30.0;

/// Keeps the conditions that are passed on, estimates what the search costs, and describes the way it may go.
pub fn plan(connection: Connection, planner: &mut Planner<'_, '_>) {
    keep_conditions(planner);
    order(planner);
    let size = rows(connection, planner, Slot::First);
    estimate(planner, size);
    let path = path(connection, planner, Slot::Fifth);
    let k = if planner.plan.has(K) { " k=?" } else { "" };
    planner.info.describe(&format!("{path}{k}{}", planner.plan.describe()));
}

fn keep_conditions(planner: &mut Planner<'_, '_>) {
    let k = planner.constraint(K);
    let is_limited = k.is_some_and(|at| planner.info.literal(at) != Some(Value::Null));
    // SQLite tells which columns a statement reads, and not what for. One that only sorts by the rank is taken to read it.
    let ranks = planner.info.reads(TopkColumn::Rank as usize);
    for (at, constraint) in planner.info.constraints().into_iter().enumerate() {
        let Some(slot) = slot(planner, at, constraint).filter(|_| constraint.usable) else { continue };
        let commutes = match slot {
            slot if slot.drops_far_end() => true,
            Slot::Limit | Slot::Offset => !is_limited,
            _ => !is_limited && !ranks,
        };
        let compares_bytes = !ID_SLOTS.contains(&slot) || planner.info.collation(at).eq_ignore_ascii_case("BINARY");
        if commutes && compares_bytes {
            planner.keep(slot, at);
        }
    }
    // Only one list can choose the rows. SQLite checks the other list.
    if planner.plan.has(Slot::IdIn) {
        planner.plan.remove(Slot::RowidIn);
    }
}

fn order(planner: &mut Planner<'_, '_>) {
    let best_first =
        [(TopkColumn::Score as i32, true), (TopkColumn::Distance as i32, false), (TopkColumn::Rank as i32, false)];
    if let [term] = planner.info.order()[..]
        && best_first.contains(&term)
    {
        planner.info.ordered();
    }
}

fn estimate(planner: &mut Planner<'_, '_>, rows: i64) {
    let cost = rows as f64 * ROW_COST;
    let k = planner.constraint(K).map(|at| planner.info.literal(at));
    let may_be_null = planner.may_be_null(K) || planner.may_be_null(Slot::Fifth);
    let has = |slot| planner.plan.has(slot);
    match k {
        Some(Some(Value::Integer(k))) => planner.info.estimate(cost, k.clamp(1, rows.max(1))),
        Some(None) => planner.info.estimate(cost, 10),
        _ if may_be_null => planner.info.estimate(cost, rows),
        _ if has(Slot::RowidIs) || has(Slot::IdIs) => planner.info.estimate(LOOKUP_COST, 1),
        _ if has(Slot::RowidIn) || has(Slot::IdIn) => planner.info.estimate(25.0 * LOOKUP_COST, 25),
        _ => planner.info.estimate(cost, rows),
    }
}

/// The slot of a constraint, if it can be passed on.
fn slot(planner: &mut Planner<'_, '_>, at: usize, constraint: Constraint) -> Option<Slot> {
    let subject = match (constraint.kind, TopkColumn::ALL.into_iter().find(|&known| known as i32 == constraint.column))
    {
        (ConstraintKind::Limit, _) => return Some(Slot::Limit),
        (ConstraintKind::Offset, _) => return Some(Slot::Offset),
        (_, Some(TopkColumn::Score)) => Subject::Score,
        (_, Some(TopkColumn::Distance)) => Subject::Distance,
        (_, Some(TopkColumn::Rowid)) => Subject::Rowid,
        (_, Some(TopkColumn::Id)) => Subject::Id,
        _ => return None,
    };
    planner.slot(subject, at, constraint)
}
