//! `embed_rows(table_name, column_name [, model])`: embeds the texts of a column in bulk, and gives rows
//! `(rowid, embedding, fingerprint)`. The fingerprint is that of the model. It should be stored with the vector.
//!
//! All rowids are read first, so that rows that the same statement writes are not read again. Then the texts are read and
//! embedded in windows. The model sorts the texts of a window by their lengths.

use super::embedding::{blob, count, named, threads};
use crate::embed::Model;
use crate::error::{Error, Result};
use crate::planning::plan::{Plan, Slot};
use crate::resources::progress::Progress;
use crate::sqlite::host::args::{self, Args};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;
use crate::sqlite::host::vtab::{Choice, Cursor, Declaration, IndexInfo, Risk, Table};
use crate::sqlite::search::call::{failed, kind};
use crate::sqlite::search::planner::{Signature, called, choose, conditions};
use crate::sqlite::tables::identifier::one;
use crate::sqlite::tables::source::Source;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// The table function.
pub struct EmbedRows {
    connection: Connection,
}

const SIGNATURE: Signature = Signature {
    columns: &["rowid INTEGER", "embedding BLOB", "fingerprint TEXT"],
    arguments: &["table_name", "column_name", "model"],
    required: 2,
};

impl Table for EmbedRows {
    const NAME: &'static str = "embed_rows";
    type Cursor = EmbeddingReader;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection }, SIGNATURE.declaration(Risk::Searching)))
    }

    /// Embedding a row costs the same in every plan, and far more than everything else. It is cheaper if all rows are
    /// embedded in one pass.
    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| {
            planner.rowid_conditions(0);
            let may_be_null = planner.may_be_null(Slot::Third);
            match () {
                () if may_be_null => planner.info.estimate(1e7, 1 << 20),
                () if planner.plan.has(Slot::RowidIs) => planner.info.estimate(3e4, 1),
                () if planner.plan.has(Slot::RowidIn) => planner.info.estimate(3e5, 25),
                () => planner.info.estimate(1e7, 1 << 20),
            }
            planner.info.describe(&format!("embed{}", planner.plan.describe()));
        }))
    }

    fn open(&self) -> Result<EmbeddingReader> {
        Ok(EmbeddingReader {
            connection: self.connection,
            arguments: Vec::new(),
            work: None,
            window: Vec::new(),
            at: 0,
        })
    }
}

/// The cursor: one bulk embedding.
pub struct EmbeddingReader {
    connection: Connection,
    arguments: Vec<Value>,
    work: Option<Work>,
    /// Rows that are embedded and have not been given yet.
    window: Vec<(i64, Arc<[f32]>)>,
    at: usize,
}

struct Work {
    source: Source,
    model: Arc<Model>,
    rowids: std::vec::IntoIter<i64>,
    progress: Progress,
    total: u64,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.source.stats.total.store(0, Relaxed);
    }
}

/// How many texts a window has.
const WINDOW_ROWS: usize = 1024;
const WINDOW_BYTES: usize = 16 << 20;

impl Work {
    fn new(connection: Connection, arguments: &[Value], plan: Plan, given: Args<'_>) -> Result<Self> {
        let table = args::text("table_name as text", arguments[0].borrow())?;
        let column = args::text("column_name as text", arguments[1].borrow())?;
        let mut source = Source::open(connection, &one(table)?, column, None)?;
        if !source.has_rowid() {
            return Err(Error::expected("a source with a rowid", format_args!("{} without one", source.title)));
        }
        let rowids = source.rowids(&conditions(plan, given)?).map_err(|error| source.named(error))?;
        let total = rowids.len() as u64;
        source.stats.begin(total);
        let model = named(arguments[2].borrow())?;
        let progress = Progress::new("embedding", total);
        Ok(Self { source, model, rowids: rowids.into_iter(), progress, total })
    }

    /// Reads the next rows and embeds them. Empty if there are no more. A failure is counted for the column of the texts.
    fn window(&mut self, connection: Connection) -> Result<Vec<(i64, Arc<[f32]>)>> {
        let embedded = self.embedded(connection);
        embedded.inspect_err(|error| self.source.stats.failed(kind(error)))
    }

    fn embedded(&mut self, connection: Connection) -> Result<Vec<(i64, Arc<[f32]>)>> {
        let (rowids, texts) = self.texts()?;
        let lent: Vec<&str> = texts.iter().map(String::as_str).collect();
        let start = Instant::now();
        let vectors = self.model.embed_batch(&lent, threads(), &mut |done| {
            self.tell(lent.len() - done);
            connection.check_interrupt()
        })?;
        if !lent.is_empty() {
            count(&self.model, lent.len() as u64, start);
        }
        self.tell(0);
        Ok(rowids.into_iter().zip(vectors).collect())
    }

    /// Shows the progress. `to_go` is how many texts of this window are not embedded yet.
    fn tell(&self, to_go: usize) {
        let done = self.total - (self.rowids.len() + to_go) as u64;
        self.source.stats.done.store(done, Relaxed);
        self.progress.set(done);
    }

    fn texts(&mut self) -> Result<(Vec<i64>, Vec<String>)> {
        let (mut rowids, mut texts, mut bytes) = (Vec::new(), Vec::new(), 0);
        while texts.len() < WINDOW_ROWS && bytes < WINDOW_BYTES {
            let Some(rowid) = self.rowids.next() else { break };
            let value = self.source.value(rowid)?;
            if value == Value::Null {
                continue;
            }
            args::text("text", value.borrow()).map_err(|error| error.within(self.source.describe(rowid)))?;
            let Value::Text(text) = value else { continue };
            bytes += text.len();
            texts.push(String::from_utf8(text).unwrap_or_default());
            rowids.push(rowid);
        }
        Ok((rowids, texts))
    }
}

impl Cursor for EmbeddingReader {
    fn filter(&mut self, plan: i32, arguments: Args<'_>) -> Result<()> {
        let plan = Plan::from_number(plan);
        self.arguments =
            called(SIGNATURE, plan, arguments)?.into_iter().map(|value| value.copied()).collect::<Result<_>>()?;
        self.work = None;
        let work = Work::new(self.connection, &self.arguments, plan, arguments);
        let mut work = work.inspect_err(failed(EmbedRows::NAME))?;
        self.window = work.window(self.connection)?;
        self.work = Some(work);
        self.at = 0;
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.at += 1;
        if let Some(work) = self.work.as_mut().filter(|_| self.at == self.window.len()) {
            self.window = work.window(self.connection)?;
            self.at = 0;
        }
        Ok(())
    }

    fn at_end(&self) -> bool {
        self.at >= self.window.len()
    }

    fn column(&mut self, column: usize) -> Result<Value> {
        let Some((rowid, vector)) = self.window.get(self.at) else { return Ok(Value::Null) };
        Ok(match column {
            0 => Value::Integer(*rowid),
            1 => blob(vector),
            2 => match &self.work {
                Some(work) => Value::from(work.model.fingerprint()?),
                None => Value::Null,
            },
            _ => SIGNATURE.echo(&self.arguments, column)?,
        })
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.window.get(self.at).map_or(0, |(rowid, _)| *rowid))
    }
}
