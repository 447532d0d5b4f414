//! What one call of `vec_topk` asks, as the cursor gets it.

use super::SIGNATURE;
use crate::error::Result;
use crate::planning::plan::{Plan, Slot};
use crate::scan::Rules;
use crate::sqlite::host::args::{self, Args};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::search::planner::{called, conditions, rules};
use crate::sqlite::search::waiting::{WaitingPlace, WaitingSearch};
use crate::sqlite::tables::conditions::Conditions;

/// What one call asks.
#[derive(Debug, Clone, PartialEq)]
pub struct TopkQuestion {
    /// The five arguments, which the hidden columns show.
    pub arguments: [Value; 5],
    /// k, in the form with k.
    pub k: Option<usize>,
    /// How many rows are wanted, if LIMIT tells.
    pub hint: Option<usize>,
    /// Which rows count.
    pub rules: Rules,
    /// Conditions on rowid and id.
    pub conditions: Conditions,
}

impl TopkQuestion {
    /// Reads the arguments and conditions that SQLite passes by this plan.
    pub fn read(plan: Plan, arguments: Args<'_>) -> Result<Self> {
        let given = called(SIGNATURE, plan, arguments)?;
        let value = |slot| plan.position(slot).map(|at| arguments.get(at));
        let k = match given[3] {
            ValueRef::Null => None,
            k => Some(usize::try_from(args::count("k", k)?).unwrap_or(usize::MAX)),
        };
        let copy = |at: usize| given[at].copied();
        Ok(Self {
            arguments: [copy(0)?, copy(1)?, copy(2)?, copy(3)?, copy(4)?],
            k,
            hint: value(Slot::Limit).and_then(|limit| hint(limit, value(Slot::Offset))),
            rules: rules(plan, arguments),
            conditions: conditions(plan, arguments)?,
        })
    }

    /// Whether both ask the same search. The number of rows and the conditions may differ.
    pub fn is_same_search(&self, other: &Self) -> bool {
        self.arguments[..3] == other.arguments[..3] && self.arguments[4] == other.arguments[4]
    }

    /// The search: the one that waits, or one that is opened now. `None` if the query is NULL.
    pub fn open(&self, connection: Connection, waiting: &WaitingPlace) -> Result<Option<WaitingSearch>> {
        let [table, column, query, _, options] = &self.arguments;
        let element = args::options(options)?.query_element();
        let query = args::stored(query.borrow(), element).map_err(|error| error.within("query"))?;
        let Some(query) = query else { return Ok(None) };
        let made_of = [table.copied()?, column.copied()?, options.copied()?];
        waiting.search(connection, made_of, query.into_owned()).map(Some)
    }
}

fn hint(limit: ValueRef<'_>, offset: Option<ValueRef<'_>>) -> Option<usize> {
    let ValueRef::Integer(limit) = limit else { return None };
    let offset = match offset {
        Some(ValueRef::Integer(offset)) => offset.max(0),
        _ => 0,
    };
    usize::try_from(limit.checked_add(offset)?).ok().filter(|_| limit >= 0)
}
