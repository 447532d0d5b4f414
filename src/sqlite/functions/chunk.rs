//! `chunk(text [, max_tokens [, overlap [, model]]])`: a long text, cut into parts that are short enough for the model.

use super::embedding::named;
use crate::error::Result;
use crate::planning::plan::Plan;
use crate::resources::reserve;
use crate::sqlite::host::args::{self, Args};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Listed, Listing, Risk, Table};
use crate::sqlite::search::call::failed;
use crate::sqlite::search::planner::{Signature, called, choose};
use std::ops::Range;

/// The table function.
pub struct ChunkFunction {
    connection: Connection,
}

const SIGNATURE: Signature = Signature {
    columns: &["seq INTEGER", "start INTEGER", "stop INTEGER", "text TEXT"],
    arguments: &["whole_text", "max_tokens", "overlap", "model"],
    required: 1,
};

impl Table for ChunkFunction {
    const NAME: &'static str = "chunk";
    type Cursor = Listed<Whole>;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection }, SIGNATURE.declaration(Risk::Normal)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| {
            if planner.info.order() == [(0, false)] {
                planner.info.ordered();
            }
            planner.info.estimate(1e4, 10);
        }))
    }

    fn open(&self) -> Result<Listed<Whole>> {
        Ok(Listed::new(Whole { connection: self.connection, arguments: Vec::new() }))
    }
}

/// A text, and the arguments that say how it is cut.
pub struct Whole {
    connection: Connection,
    arguments: Vec<Value>,
}

/// A part of the text.
pub struct Part {
    start: usize,
    stop: usize,
    /// Which bytes of the text it has.
    bytes: Range<usize>,
}

fn cut(connection: Connection, arguments: &[ValueRef<'_>]) -> Result<Vec<Part>> {
    if arguments[0] == ValueRef::Null {
        return Ok(Vec::new());
    }
    let text = args::text("text", arguments[0])?;
    let number = |what, value| match value {
        ValueRef::Null => Ok(None),
        value => args::count(what, value).map(|count| Some(usize::try_from(count).unwrap_or(usize::MAX))),
    };
    let max_tokens = number("max_tokens", arguments[1])?;
    let overlap = number("overlap", arguments[2])?.unwrap_or(0);
    let model = named(arguments[3])?;
    let heartbeat = connection.heartbeat()?;
    let chunks = model.chunks(text, max_tokens, overlap, &|| heartbeat.check())?;
    reserve::collect(chunks.iter().map(|chunk| {
        let first = chunk.text.as_ptr().addr() - text.as_ptr().addr();
        Part { start: chunk.start, stop: chunk.stop, bytes: first..first + chunk.text.len() }
    }))
}

impl Listing for Whole {
    type Row = Part;

    fn list(&mut self, plan: i32, arguments: Args<'_>) -> Result<Vec<Part>> {
        let given = called(SIGNATURE, Plan::from_number(plan), arguments)?;
        let parts = cut(self.connection, &given).inspect_err(failed(ChunkFunction::NAME))?;
        self.arguments = given.into_iter().map(ValueRef::copied).collect::<Result<_>>()?;
        Ok(parts)
    }

    fn column(&mut self, part: &Part, at: usize, column: usize) -> Result<Value> {
        Ok(match column {
            0 => Value::Integer(at as i64 + 1),
            1 => Value::Integer(part.start as i64),
            2 => Value::Integer(part.stop as i64),
            3 => match self.arguments.first() {
                Some(Value::Text(text)) => ValueRef::Text(text.get(part.bytes.clone()).unwrap_or_default()).copied()?,
                _ => Value::Null,
            },
            _ => SIGNATURE.echo(&self.arguments, column)?,
        })
    }
}
