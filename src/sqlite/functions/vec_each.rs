//! `vec_each(vector)`: a row for each element of a vector. The rowid is its place, counted from 0.

use crate::error::{Error, Result};
use crate::planning::plan::{Plan, Slot};
use crate::sqlite::host::args::Args;
use crate::sqlite::host::call::typed;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Listed, Listing, Risk, Table};
use crate::sqlite::search::planner::{Signature, called, choose};
use crate::vector::typed::ElementValue;

/// The table function.
pub struct VecEach;

const SIGNATURE: Signature = Signature { columns: &["value"], arguments: &["vector"], required: 1 };

impl Table for VecEach {
    const NAME: &'static str = "vec_each";
    type Cursor = Listed<Elements>;

    fn connect(_: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self, SIGNATURE.declaration(Risk::Normal)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| planner.info.estimate(1e3, 400)))
    }

    fn open(&self) -> Result<Listed<Elements>> {
        Ok(Listed::new(Elements { vector: Value::Null }))
    }
}

/// The elements of one vector.
pub struct Elements {
    vector: Value,
}

impl Listing for Elements {
    type Row = ElementValue;

    fn list(&mut self, plan: i32, arguments: Args<'_>) -> Result<Vec<ElementValue>> {
        let plan = Plan::from_number(plan);
        let given = called(SIGNATURE, plan, arguments)?.first().copied().unwrap_or(ValueRef::Null);
        self.vector = given.copied()?;
        let subtype = plan.position(Slot::First).map_or(0, |at| arguments.subtype(at));
        match typed(given, subtype)? {
            Some(vector) if vector.dimensions() == 0 => Err(Error::expected("at least 1 dimension", 0)),
            Some(vector) => vector.numbers(),
            None => Ok(Vec::new()),
        }
    }

    fn column(&mut self, element: &ElementValue, _: usize, column: usize) -> Result<Value> {
        match column {
            0 => Ok(Value::from(*element)),
            _ => self.vector.copied(),
        }
    }

    fn rowid(&self, _: &ElementValue, at: usize) -> i64 {
        at as i64
    }
}
