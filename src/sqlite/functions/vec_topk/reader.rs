//! The cursor of `vec_topk`. It finds rows in batches, and gives them one by one.

use super::question::TopkQuestion;
use super::{SIGNATURE, TopkColumn, VecTopk};
use crate::error::{Error, Result};
use crate::planning::plan::Plan;
use crate::scan::Rules;
use crate::sqlite::host::args::Args;
use crate::sqlite::host::connection::{Connection, Moment};
use crate::sqlite::host::value::Value;
use crate::sqlite::host::vtab::{Cursor, Table};
use crate::sqlite::search::call::{SearchCall, refused};
use crate::sqlite::search::waiting::{HeldSearch, WaitingPlace};
use crate::sqlite::search::{Hit, hash};
use crate::sqlite::tables::conditions::canonical;

/// The cursor: one search and its present rows.
pub struct TopkReader {
    connection: Connection,
    /// The question that the present hits answer.
    asked: Option<TopkQuestion>,
    /// The moment at which they were found.
    moment: Moment,
    search: HeldSearch,
    hits: Vec<Hit>,
    /// The number of the present row among the hits.
    at: usize,
    /// How many rows earlier batches gave.
    passed: usize,
    /// The size of the last batch, if more rows may follow.
    batch: Option<usize>,
}

impl TopkReader {
    /// A cursor without a question so far.
    pub fn new(connection: Connection, waiting: WaitingPlace) -> Self {
        let (asked, moment, batch, hits) = Default::default();
        Self { connection, asked, moment, search: HeldSearch::new(waiting), hits, at: 0, passed: 0, batch }
    }

    /// Rows of the first batch, if it is not known how many are wanted. An index takes longer for more rows; a scan does not.
    const FIRST_BY_INDEX: usize = 16;
    /// SQLite tells how many are wanted unless there is a join or a sort. Then few of the first rows may be, and each batch of a
    /// scan costs a whole scan. With 1,024, a join that keeps one row in a thousand took 2.4 scans for ten rows.
    const FIRST_BY_SCAN: usize = 1 << 14;
    /// Each batch is so many times as large as the one before. So all batches of an index together cost little more than the
    /// last.
    const GROWTH: usize = 8;
    /// From so many rows on, the next batch of an index is as large as that of a scan, and it may be one: an index fetches each
    /// row, and many that it then leaves out. A join that keeps one row in a thousand of a million fetched 200,000 rows in 5
    /// times the time of a scan.
    const MOST_BY_FETCHES: usize = 1 << 12;
    /// Each batch of a scan costs a whole scan. So the second is as large as can be sorted cheaply. The greatest size limits
    /// the memory to 60 MB.
    const NEXT_BY_SCAN: usize = 1 << 16;
    const MOST_BY_SCAN: usize = 1 << 20;

    /// Whether the present hits answer this question too. The inner loop of a join may ask the same for each outer row.
    fn is_answered(&self, asked: &TopkQuestion) -> bool {
        self.asked.as_ref() == Some(asked) && self.passed == 0 && self.moment == self.connection.moment()
    }

    fn start(&mut self, asked: TopkQuestion) -> Result<()> {
        let before = self.asked.take();
        if !before.is_some_and(|before| before.is_same_search(&asked)) {
            self.search.rest();
            let opened = asked.open(self.connection, self.search.place()).inspect_err(refused(VecTopk::NAME))?;
            if let Some(search) = opened {
                self.search.hold(search);
            }
        }
        self.moment = self.connection.moment();
        self.passed = 0;
        let size = asked.k.or(asked.hint).unwrap_or_else(|| self.first());
        self.find(&asked, size, None)?;
        self.batch = Some(size).filter(|_| asked.k.is_none() && self.hits.len() == size);
        self.asked = Some(asked);
        Ok(())
    }

    fn first(&self) -> usize {
        match self.search.get() {
            // A statement that writes could change rows that a later batch would find. So its first batch has all rows.
            _ if self.connection.is_writing() => usize::MAX,
            Some(search) if search.is_indexed() => Self::FIRST_BY_INDEX,
            _ => Self::FIRST_BY_SCAN,
        }
    }

    fn next(&self, size: usize) -> usize {
        let more = size.max(1).saturating_mul(Self::GROWTH);
        match self.search.get() {
            Some(search) if search.is_scanned() && size >= Self::NEXT_BY_SCAN => {
                more.clamp(size, size.max(Self::MOST_BY_SCAN))
            }
            Some(search) if search.is_scanned() || more > Self::MOST_BY_FETCHES => more.max(Self::NEXT_BY_SCAN),
            _ => more,
        }
    }

    fn find(&mut self, asked: &TopkQuestion, size: usize, after: Option<Hit>) -> Result<()> {
        self.at = 0;
        self.hits.clear();
        if let Some(mut kept) = self.search.take() {
            let rules = Rules { after: after.map(|last| last.place), ..asked.rules.clone() };
            let call = SearchCall::begin(VecTopk::NAME);
            let found = kept.search.run(size, &rules, &asked.conditions);
            call.end(kept.search.sources(), Some(size).filter(|size| *size < usize::MAX), found.as_ref().map(Vec::len));
            self.hits = found?;
            self.search.hold(kept);
        }
        Ok(())
    }

    fn next_batch(&mut self, size: usize) -> Result<()> {
        let Some(asked) = self.asked.take() else { return Ok(()) };
        let size = self.next(size);
        self.passed += self.hits.len();
        let last = self.hits.pop();
        self.find(&asked, size, last)?;
        self.batch = Some(size).filter(|_| self.hits.len() == size);
        self.asked = Some(asked);
        Ok(())
    }

    fn result(&mut self, column: TopkColumn) -> Result<Value> {
        let rank = self.passed + self.at + 1;
        let hit = present(&self.hits, self.at)?;
        let Some(search) = self.search.get_mut() else { return Ok(Value::Null) };
        let score = hit.place.score;
        Ok(match column {
            TopkColumn::Score => Value::Real(score),
            TopkColumn::Distance => Value::Real(search.metric().distance(score)),
            TopkColumn::Rank => Value::Integer(rank as i64),
            TopkColumn::Source => Value::from(&*search.source(hit)?.title),
            TopkColumn::Rowid if !search.source(hit)?.has_rowid() => Value::Null,
            TopkColumn::Rowid => Value::Integer(hit.place.row),
            TopkColumn::Id => search.source(hit)?.id(hit.place.row, &hit.note)?,
        })
    }
}

fn present(hits: &[Hit], at: usize) -> Result<&Hit> {
    hits.get(at).ok_or_else(|| Error::Bug("a row was read past the end".into()))
}

impl Cursor for TopkReader {
    fn filter(&mut self, plan: i32, arguments: Args<'_>) -> Result<()> {
        let asked = TopkQuestion::read(Plan::from_number(plan), arguments).inspect_err(refused(VecTopk::NAME))?;
        if self.is_answered(&asked) {
            self.at = 0;
            return Ok(());
        }
        self.start(asked)
    }

    fn advance(&mut self) -> Result<()> {
        self.at += 1;
        match self.batch {
            Some(size) if self.at == self.hits.len() => self.next_batch(size),
            _ => Ok(()),
        }
    }

    fn at_end(&self) -> bool {
        self.at >= self.hits.len()
    }

    fn column(&mut self, column: usize) -> Result<Value> {
        match (TopkColumn::ALL.get(column), &self.asked) {
            (Some(column), _) => self.result(*column),
            (None, Some(asked)) => SIGNATURE.echo(&asked.arguments, column),
            (None, None) => Ok(Value::Null),
        }
    }

    /// The rowid of the row, if it identifies the row alone. Otherwise a hash of source and key. For an OR, SQLite takes two
    /// rows with the same rowid for one.
    fn rowid(&self) -> Result<i64> {
        let hit = present(&self.hits, self.at)?;
        let is_keyed = hit.note.is_some();
        let is_first = hit.place.source == 0;
        if is_first && !is_keyed {
            return Ok(hit.place.row);
        }
        let key =
            hit.note.as_ref().map(|id| canonical(id.borrow())).unwrap_or_else(|| hit.place.row.to_le_bytes().into());
        Ok(hash(&[&hit.place.source.to_le_bytes(), key.as_slice()].concat()))
    }
}
