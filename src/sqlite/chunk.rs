//! `chunk(text [, max_tokens [, overlap [, model]]])`: a long text in parts that the model has room for.

use super::args::{self, Args, Value, ValueRef};
use super::connection::Connection;
use super::embedding::named;
use super::planner::{Arguments, Planner, Signature, called};
use super::vtab::{Choice, Cursor, Declaration, IndexInfo, Risk, Table};
use crate::error::Result;
use crate::plan::Plan;

/// The table function.
pub struct Chunk;

const SIGNATURE: Signature =
    Signature { first: 4, names: &["whole_text", "max_tokens", "overlap", "model"], required: 1 };

impl Table for Chunk {
    const NAME: &'static str = "chunk";
    type Cursor = Reader;

    fn connect(_: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        let schema = "CREATE TABLE x(seq INTEGER, start INTEGER, stop INTEGER, text TEXT, \
                      whole_text HIDDEN, max_tokens HIDDEN, overlap HIDDEN, model HIDDEN)";
        Ok((Self, Declaration { schema: schema.into(), risk: Risk::Normal }))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        let mut planner = Planner::new(info);
        match planner.arguments(SIGNATURE) {
            Arguments::Later => return Ok(Choice::Unusable),
            Arguments::Missing => return Ok(Choice::Plan(planner.incomplete().number())),
            Arguments::Known => {}
        }
        if planner.info.order() == [(0, false)] {
            planner.info.ordered();
        }
        planner.info.estimate(1e4, 10);
        Ok(Choice::Plan(planner.hand_over().number()))
    }

    fn open(&self) -> Result<Reader> {
        Ok(Reader { arguments: Vec::new(), chunks: Vec::new(), at: 0 })
    }
}

/// One text, cut.
pub struct Reader {
    arguments: Vec<Value>,
    chunks: Vec<Part>,
    at: usize,
}

struct Part {
    start: usize,
    stop: usize,
    text: String,
}

fn cut(arguments: &[ValueRef<'_>]) -> Result<Vec<Part>> {
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
    let chunks = model.chunks(text, max_tokens, overlap)?;
    Ok(chunks.iter().map(|chunk| Part { start: chunk.start, stop: chunk.stop, text: chunk.text.to_owned() }).collect())
}

impl Cursor for Reader {
    fn filter(&mut self, plan: i32, arguments: Args<'_>) -> Result<()> {
        let given = called(SIGNATURE, Plan::from_number(plan), arguments)?;
        self.chunks = cut(&given)?;
        self.arguments = given.into_iter().map(ValueRef::to_owned).collect();
        self.at = 0;
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.at += 1;
        Ok(())
    }

    fn at_end(&self) -> bool {
        self.at >= self.chunks.len()
    }

    fn column(&mut self, column: usize) -> Result<Value> {
        let Some(part) = self.chunks.get(self.at) else { return Ok(Value::Null) };
        Ok(match column {
            0 => Value::Integer(self.at as i64 + 1),
            1 => Value::Integer(part.start as i64),
            2 => Value::Integer(part.stop as i64),
            3 => Value::from(part.text.as_str()),
            _ => self.arguments.get(column - 4).cloned().unwrap_or(Value::Null),
        })
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.at as i64 + 1)
    }
}
