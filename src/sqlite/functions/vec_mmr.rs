//! `vec_mmr(table_name, column_name, query, k, lambda [, options])`: k rows that are near the query and unlike each other.
//!
//! The nearest rows are found as `vec_topk` finds them, and [`ranking::mmr`] chooses among them. How alike two rows are is the
//! score of one row if the other is the query.

use crate::analysis::ranking;
use crate::error::Result;
use crate::kernels::F32Le;
use crate::metric::Scorer;
use crate::planning::plan::Slot;
use crate::resources::reserve::{self, Reserve};
use crate::scan::Rules;
use crate::sqlite::host::args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Risk, Table};
use crate::sqlite::search::call::{SearchCall, refused};
use crate::sqlite::search::estimates::{ROW_COST, path, rows};
use crate::sqlite::search::finder::{Answering, Finder, FinderCursor};
use crate::sqlite::search::planner::{Planner, Signature, choose};
use crate::sqlite::search::waiting::{HeldSearch, WaitingPlace, WaitingSearch};
use crate::sqlite::search::{Hit, Search, copied};
use crate::sqlite::tables::conditions::Conditions;
use crate::sqlite::tables::identifier::one;

/// The table function.
pub struct VecMmr {
    connection: Connection,
    waiting: WaitingPlace,
}

const SIGNATURE: Signature = Signature {
    columns: &["rowid INTEGER", "id", "score REAL", "rank INTEGER"],
    arguments: &["table_name", "column_name", "query", "k", "lambda", "options"],
    required: 5,
};
const K: Slot = Slot::Fourth;
const OPTIONS: Slot = Slot::Sixth;
const RANK: i32 = 3;

impl Table for VecMmr {
    const NAME: &'static str = "vec_mmr";
    type Cursor = FinderCursor<Diverse>;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection, waiting: WaitingPlace::default() }, SIGNATURE.declaration(Risk::Searching)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| self.plan(planner)))
    }

    fn open(&self) -> Result<FinderCursor<Diverse>> {
        let (connection, search) = (self.connection, HeldSearch::new(self.waiting.clone()));
        Ok(Answering::cursor(connection, Diverse { connection, search }))
    }
}

impl VecMmr {
    fn plan(&self, planner: &mut Planner<'_, '_>) {
        if planner.info.order() == [(RANK, false)] {
            planner.info.ordered();
        }
        let size = rows(self.connection, planner, Slot::First);
        let expected = if let Some(Value::Integer(k)) = planner.literal(K) { k.clamp(1, size.max(1)) } else { 10 };
        planner.info.estimate(size as f64 * ROW_COST, expected);
        let path = path(self.connection, planner, OPTIONS);
        planner.info.describe(&path);
    }
}

/// One running search.
pub struct Diverse {
    connection: Connection,
    search: HeldSearch,
}

/// What one call asks, with its search opened.
struct MmrQuestion {
    kept: WaitingSearch,
    k: usize,
    lambda: f64,
}

impl Diverse {
    /// What is asked. `None` if the query is NULL.
    fn read(&self, given: &[ValueRef<'_>]) -> Result<Option<MmrQuestion>> {
        let &[table, column, query, k, lambda, options] = given else { return Ok(None) };
        one(args::text("table_name as text", table)?)?;
        let k = usize::try_from(args::count("k", k)?).unwrap_or(usize::MAX);
        let lambda = args::share("lambda", lambda)?;
        let made_of = [table.copied()?, column.copied()?, options.copied()?];
        let element = args::options(&made_of[2])?.query_element();
        let query = args::query(query, element).map_err(|error| error.within("query"))?;
        let Some(query) = query else { return Ok(None) };
        let kept = self.search.place().search(self.connection, made_of, query.into_owned())?;
        Ok(Some(MmrQuestion { kept, k, lambda }))
    }
}

fn diverse(connection: Connection, search: &mut Search, k: usize, lambda: f64) -> Result<Vec<Hit>> {
    // With lambda 1, only the score counts.
    let is_plain = lambda == 1.0 || k == 0;
    let seen = if is_plain { k } else { ranking::candidates(k) };
    let mut hits = search.run(seen, &Rules::default(), &Conditions::default())?;
    if is_plain || hits.is_empty() {
        return Ok(hits);
    }
    let vectors = vectors(search, &mut hits)?;
    let scores = reserve::collect(hits.iter().map(|hit| hit.place.score))?;
    let metric = search.metric();
    let order = ranking::mmr(&scores, k, lambda, |from, to| {
        connection.check_interrupt()?;
        let scorer = Scorer::new(metric, vectors[from].clone())?;
        let mut similarities = Vec::new();
        similarities.reserve_room(to.len())?;
        to.iter().try_for_each(|&at| scorer.score(&vectors[at]).map(|similarity| similarities.push(similarity)))?;
        Ok(similarities)
    })?;
    let mut chosen = Vec::new();
    chosen.reserve_room(order.len())?;
    for at in order {
        chosen.push(copied(&hits[at])?);
    }
    Ok(chosen)
}

/// The vectors of the hits. A row that another connection has deleted since it was found is dropped from the hits.
fn vectors(search: &mut Search, hits: &mut Vec<Hit>) -> Result<Vec<Vec<F32Le>>> {
    let dimensions = search.scorer().query().len();
    let rows = reserve::collect(hits.iter().map(|hit| hit.place.row))?;
    let Some(first) = hits.first() else { return Ok(Vec::new()) };
    let found = search.source(first)?.vectors(&rows)?;
    let mut is_there = found.iter().map(|vector| vector.as_ref().is_some_and(|vector| vector.len() == dimensions));
    hits.retain(|_| is_there.next().unwrap_or(false));
    let mut vectors = Vec::new();
    vectors.reserve_room(hits.len())?;
    vectors.extend(found.into_iter().flatten().filter(|vector| vector.len() == dimensions));
    Ok(vectors)
}

impl Finder for Diverse {
    type Row = Hit;
    const SIGNATURE: Signature = SIGNATURE;

    fn find(&mut self, given: &[ValueRef<'_>], _: &Conditions) -> Result<Vec<Hit>> {
        self.search.rest();
        let Some(asked) = self.read(given).inspect_err(refused(VecMmr::NAME))? else { return Ok(Vec::new()) };
        let MmrQuestion { mut kept, k, lambda } = asked;
        let call = SearchCall::begin(VecMmr::NAME);
        let hits = diverse(self.connection, &mut kept.search, k, lambda);
        call.end(kept.search.sources(), Some(k), hits.as_ref().map(Vec::len));
        let hits = hits?;
        self.search.hold(kept);
        Ok(hits)
    }

    fn column(&mut self, hit: &Hit, at: usize, column: usize) -> Result<Value> {
        let Some(search) = self.search.get_mut() else { return Ok(Value::Null) };
        Ok(match column {
            0 if !search.source(hit)?.has_rowid() => Value::Null,
            0 => Value::Integer(hit.place.row),
            1 => search.source(hit)?.id(hit.place.row, &hit.note)?,
            2 => Value::Real(hit.place.score),
            _ => Value::Integer(at as i64 + 1),
        })
    }
}
