//! Everything that one `vec_topk` is asked, as its cursor gets it.

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

/// Everything a search is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct TopkQuestion {
    /// The five arguments as they came, which the hidden columns echo.
    pub arguments: [Value; 5],
    /// The k of the form with k.
    pub k: Option<usize>,
    /// How many rows the reader is known to want.
    pub hint: Option<usize>,
    /// Which rows count.
    pub rules: Rules,
    /// Conditions on rowid and id.
    pub conditions: Conditions,
}

impl TopkQuestion {
    /// What SQLite passed on by the plan.
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

    /// Whether only the number of rows differs, or which of them count.
    pub fn is_same_search(&self, other: &Self) -> bool {
        self.arguments[..3] == other.arguments[..3] && self.arguments[4] == other.arguments[4]
    }

    /// The search, opened or found waiting; nothing where the query is NULL.
    pub fn open(&self, connection: Connection, waiting: &WaitingPlace) -> Result<Option<WaitingSearch>> {
        let [table, column, query, _, options] = &self.arguments;
        let Some(query) = args::vector(query.borrow()).map_err(|error| error.within("query"))? else { return Ok(None) };
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
