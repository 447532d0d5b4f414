//! `fafcas_models`: the models that `embed` finds, with the fingerprints that tell their vectors apart.

use super::args::{Args, Value};
use super::connection::Connection;
use super::vtab::{Choice, Cursor, Declaration, IndexInfo, Risk, Table};
use crate::embed::{Listing, models};
use crate::error::Result;

/// The table.
pub struct FafcasModels;

/// One reading of the folder of models.
pub struct Reader {
    models: Vec<Listing>,
    at: usize,
}

impl Table for FafcasModels {
    const NAME: &'static str = "fafcas_models";
    type Cursor = Reader;

    fn connect(_: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        let schema =
            "CREATE TABLE x(name TEXT, dimensions INTEGER, max_tokens INTEGER, fingerprint TEXT, loaded INTEGER)";
        Ok((Self, Declaration { schema: schema.into(), risk: Risk::Normal }))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        info.estimate(1e4, 3);
        Ok(Choice::Plan(0))
    }

    fn open(&self) -> Result<Reader> {
        Ok(Reader { models: Vec::new(), at: 0 })
    }
}

impl Cursor for Reader {
    fn filter(&mut self, _: i32, _: Args<'_>) -> Result<()> {
        self.models = models()?;
        self.at = 0;
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.at += 1;
        Ok(())
    }

    fn at_end(&self) -> bool {
        self.at >= self.models.len()
    }

    fn column(&mut self, column: usize) -> Result<Value> {
        let Some(model) = self.models.get(self.at) else { return Ok(Value::Null) };
        let number = |number: Option<u64>| number.map_or(Value::Null, |number| Value::Integer(number as i64));
        Ok(match column {
            0 => Value::from(model.name.as_str()),
            1 => number(model.dimensions),
            2 => number(model.max_tokens.map(|tokens| tokens as u64)),
            3 => model.fingerprint.as_deref().map_or(Value::Null, Value::from),
            _ => Value::Integer(model.loaded.into()),
        })
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.at as i64 + 1)
    }
}
