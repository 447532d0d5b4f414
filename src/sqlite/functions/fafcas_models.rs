//! `fafcas_models`: the models that `embed` finds, with their fingerprints. Vectors of models with different fingerprints
//! cannot be compared.

use crate::embed;
use crate::error::Result;
use crate::sqlite::host::args::Args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Listed, Listing, Risk, Table};
use crate::sqlite::search::planner::Signature;

/// The table.
pub struct FafcasModels;

const SIGNATURE: Signature = Signature {
    columns: &[
        "name TEXT",
        "dimensions INTEGER",
        "max_tokens INTEGER",
        "fingerprint TEXT",
        "loaded INTEGER",
        "kind TEXT",
        "pooling TEXT",
        "query_prompt TEXT",
        "document_prompt TEXT",
        "languages TEXT",
        "spread REAL",
    ],
    arguments: &[],
    required: 0,
};

impl Table for FafcasModels {
    const NAME: &'static str = "fafcas_models";
    type Cursor = Listed<Models>;

    fn connect(_: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self, SIGNATURE.declaration(Risk::Normal)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        info.estimate(1e4, 3);
        Ok(Choice::Plan(0))
    }

    fn open(&self) -> Result<Listed<Models>> {
        Ok(Listed::new(Models))
    }
}

/// The models in the folder.
pub struct Models;

impl Listing for Models {
    type Row = embed::ModelListing;

    fn list(&mut self, _: i32, _: Args<'_>) -> Result<Vec<embed::ModelListing>> {
        embed::models()
    }

    fn column(&mut self, model: &embed::ModelListing, _: usize, column: usize) -> Result<Value> {
        let number = |number: Option<u64>| number.map_or(Value::Null, |number| Value::Integer(number as i64));
        let some = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
        Ok(match column {
            0 => Value::from(model.name.as_str()),
            1 => number(model.dimensions),
            2 => number(model.max_tokens.map(|tokens| tokens as u64)),
            3 => model.fingerprint.as_deref().map_or(Value::Null, Value::from),
            4 => Value::Integer(model.loaded.into()),
            5 => model.kind.map_or(Value::Null, |kind| Value::from(kind.name())),
            6 => model.pooling.as_deref().map_or(Value::Null, Value::from),
            7 => some(&model.prompts.query),
            8 => some(&model.prompts.document),
            9 => some(&model.languages.join(" ")),
            _ => model.spread.map_or(Value::Null, Value::Real),
        })
    }
}
