//! A table function that finds all rows of a call at once. What such functions have in common: a call that asks the same as the one before
//! is not answered again, and the hidden columns show the arguments.

use super::planner::{KeptQuestion, Signature, called, conditions};
use crate::error::Result;
use crate::planning::plan::Plan;
use crate::sqlite::host::args::Args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Listed, Listing};
use crate::sqlite::tables::conditions::Conditions;

/// Finds the rows. [`FinderCursor`] is a cursor over them.
pub trait Finder {
    /// What is kept for each row.
    type Row;
    /// The columns and the arguments of the function.
    const SIGNATURE: Signature;
    /// All rows of a call with these arguments, and with those conditions that the plan has kept.
    fn find(&mut self, given: &[ValueRef<'_>], conditions: &Conditions) -> Result<Vec<Self::Row>>;
    /// A column of a row. `at` is the place of the row among all.
    fn column(&mut self, row: &Self::Row, at: usize, column: usize) -> Result<Value>;
    /// The rowid of a row. The place serves as one: no two rows have the same, and the same arguments give the same.
    fn rowid(&self, _row: &Self::Row, at: usize) -> i64 {
        at as i64 + 1
    }
}

/// A finder, and the question that its present rows answer.
pub struct Answering<F> {
    connection: Connection,
    finder: F,
    answered: Option<KeptQuestion>,
}

/// A cursor over the rows of a finder.
pub type FinderCursor<F> = Listed<Answering<F>>;

impl<F: Finder> Answering<F> {
    /// A cursor without rows so far.
    pub fn cursor(connection: Connection, finder: F) -> FinderCursor<F> {
        Listed::new(Self { connection, finder, answered: None })
    }
}

impl<F: Finder> Listing for Answering<F> {
    type Row = F::Row;

    fn is_answered(&self, plan: i32, arguments: Args<'_>) -> Result<bool> {
        let Some(answered) = &self.answered else { return Ok(false) };
        let plan = Plan::from_number(plan);
        let given = called(F::SIGNATURE, plan, arguments)?;
        Ok(answered.is_of(self.connection, &given, &conditions(plan, arguments)?))
    }

    fn list(&mut self, plan: i32, arguments: Args<'_>) -> Result<Vec<F::Row>> {
        self.answered = None;
        let plan = Plan::from_number(plan);
        let given = called(F::SIGNATURE, plan, arguments)?;
        let asked = KeptQuestion::new(self.connection, &given, conditions(plan, arguments)?)?;
        let found = self.finder.find(&given, asked.conditions())?;
        self.answered = Some(asked);
        Ok(found)
    }

    fn column(&mut self, row: &F::Row, at: usize, column: usize) -> Result<Value> {
        if column < F::SIGNATURE.columns.len() {
            return self.finder.column(row, at, column);
        }
        F::SIGNATURE.echo(self.answered.as_ref().map_or(&[], KeptQuestion::arguments), column)
    }

    fn rowid(&self, row: &F::Row, at: usize) -> i64 {
        self.finder.rowid(row, at)
    }
}
