//! `vec_hybrid(table_name, column_name, fts_table, query, words, k [, options])`: the best rows by vectors and words
//! together.
//!
//! The nearest rows are found as `vec_topk` finds them, and the rows with the words by one MATCH. [`hybrid`] computes one
//! score from the two of each row. With k, [`hybrid::candidates`] says how many rows of each list are looked at. Without k,
//! all rows are, or those that meet the conditions on the rowid. Such conditions do not change a score: it depends only on
//! the question, the row and the nearest of all rows.

use crate::analysis::hybrid::{self, HybridFormula};
use crate::error::{Error, Result};
use crate::metric::{Metric, Scorer};
use crate::planning::options::HybridOptions;
use crate::planning::plan::Slot;
use crate::resources::reserve::{self, Reserve};
use crate::scan::Rules;
use crate::sqlite::host::args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::in_list::List;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Risk, Table};
use crate::sqlite::search::call::{SearchCall, refused};
use crate::sqlite::search::estimates::{ROW_COST, path, rows};
use crate::sqlite::search::finder::{Answering, Finder, FinderCursor};
use crate::sqlite::search::planner::{Planner, Signature, choose};
use crate::sqlite::search::waiting::{HeldSearch, WaitingPlace};
use crate::sqlite::search::words::{FullText, Matches};
use crate::sqlite::search::{Search, Sources};
use crate::sqlite::tables::conditions::{Conditions, ListSubject};
use crate::sqlite::tables::identifier::one;
use crate::sqlite::tables::source::Source;
use std::cmp::Ordering;
use std::collections::HashMap;

/// The table function.
pub struct VecHybrid {
    connection: Connection,
    waiting: WaitingPlace,
}

const SIGNATURE: Signature = Signature {
    columns: &["rowid INTEGER", "id", "score REAL", "by_vector REAL", "by_words REAL", "rank INTEGER"],
    arguments: &["table_name", "column_name", "fts_table", "query", "words", "k", "options"],
    required: 5,
};
const K: Slot = Slot::Sixth;
const OPTIONS: Slot = Slot::Seventh;
const ROWID: i32 = 0;
const SCORE: i32 = 2;
const RANK: i32 = 5;

impl Table for VecHybrid {
    const NAME: &'static str = "vec_hybrid";
    type Cursor = FinderCursor<Both>;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection, waiting: WaitingPlace::default() }, SIGNATURE.declaration(Risk::Searching)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| self.plan(planner)))
    }

    fn open(&self) -> Result<FinderCursor<Both>> {
        let (connection, search) = (self.connection, HeldSearch::new(self.waiting.clone()));
        Ok(Answering::cursor(connection, Both { connection, search, table: None }))
    }
}

impl VecHybrid {
    fn plan(&self, planner: &mut Planner<'_, '_>) {
        if [[(RANK, false)], [(SCORE, true)]].iter().any(|order| planner.info.order() == order) {
            planner.info.ordered();
        }
        let size = rows(self.connection, planner, Slot::First);
        keep_conditions(planner);
        let expected = match planner.literal(K) {
            Some(Value::Integer(k)) => k.clamp(1, size.max(1)),
            None if planner.plan.has(K) => 10,
            _ if planner.plan.has(Slot::RowidIs) => 1,
            _ if planner.plan.has(Slot::RowidIn) => 25,
            _ => size,
        };
        planner.info.estimate(size as f64 * ROW_COST, expected);
        let path = path(self.connection, planner, OPTIONS);
        planner.info.describe(&format!("{path}{}", planner.plan.describe()));
    }
}

/// Without k, keeps the conditions on the rowid, unless the statement reads `rank`, which is the place among all rows.
///
/// A comparison with a column of another table is left to SQLite. Otherwise each row of that table would need a search of its
/// own; so all of them share one search. An IN is kept: its list is read once.
fn keep_conditions(planner: &mut Planner<'_, '_>) {
    let is_limited = planner.plan.has(K) && planner.literal(K) != Some(Value::Null);
    if is_limited || planner.may_be_null(OPTIONS) || planner.info.reads(RANK as usize) {
        return;
    }
    planner.rowid_conditions(ROWID);
    for slot in [Slot::RowidIs, Slot::RowidAbove, Slot::RowidFrom, Slot::RowidBelow, Slot::RowidTo] {
        if planner.plan.has(slot) && planner.literal(slot).is_none() {
            planner.plan.remove(slot);
        }
    }
}

/// One running search.
pub struct Both {
    connection: Connection,
    search: HeldSearch,
    /// The table, if only words were asked for.
    table: Option<Source>,
}

/// A row with both of its scores.
pub struct Joined {
    row: i64,
    score: f64,
    by_vector: Option<f64>,
    by_words: Option<f64>,
}

/// What one call asks.
struct HybridQuestion<'a> {
    /// The arguments for the search by vectors.
    made_of: [Value; 3],
    fts_table: &'a str,
    words: &'a str,
    k: Option<usize>,
    options: HybridOptions,
    /// Which rows count, in the form without k.
    conditions: Conditions,
}

impl<'a> HybridQuestion<'a> {
    fn read(given: &[ValueRef<'a>], conditions: Conditions) -> Result<(Self, ValueRef<'a>)> {
        let &[table, column, fts_table, query, words, k, options] = given else {
            return Err(Error::Bug("vec_hybrid was called with other arguments than its own".into()));
        };
        one(args::text("table_name as text", table)?)?;
        let text = match options {
            ValueRef::Null => "{}",
            given => args::text("options as a JSON object", given)?,
        };
        let each = Value::from(HybridOptions::each_to_json(text)?.as_str());
        let k = match k {
            ValueRef::Null => None,
            k => Some(usize::try_from(args::count("k", k)?).unwrap_or(usize::MAX)),
        };
        let words = match words {
            ValueRef::Null => "",
            words => args::text("words as text", words)?,
        };
        let fts_table = args::text("fts_table as text", fts_table)?;
        let made_of = [table.copied()?, column.copied()?, each];
        Ok((Self { made_of, fts_table, words, k, options: HybridOptions::from_json(text)?, conditions }, query))
    }

    /// How many rows of each list are looked at.
    fn candidates(&self) -> usize {
        self.k.map_or(usize::MAX, hybrid::candidates)
    }
}

impl Both {
    /// The rows with the words, and with what words that no row has may have been meant to be.
    fn words(&self, asked: &HybridQuestion<'_>) -> Result<Matches> {
        let full_text = FullText { argument: "fts_table", table: asked.fts_table };
        let mut found = Matches::find(self.connection, full_text, asked.words, &asked.options.weights)?;
        if let Some(table) = &asked.options.fuzzy {
            let strange = full_text.strange(self.connection, asked.words)?;
            found.add_misspelt(self.connection, FullText { argument: "options.fuzzy", table }, &strange)?;
        }
        Ok(found)
    }

    /// The table alone, for words without a vector.
    fn source(&self, asked: &HybridQuestion<'_>) -> Result<Source> {
        let [table, column, _] = &asked.made_of;
        let (table, column) =
            (args::text("table_name as text", table.borrow())?, args::text("column_name as text", column.borrow())?);
        let mut found = Sources::open(self.connection, table, column, &asked.options.each)?;
        found.tables.pop().ok_or_else(|| Error::Bug("a table was named and not found".into()))
    }
}

fn check_rowids(source: &Source) -> Result<()> {
    if source.has_rowid() {
        return Ok(());
    }
    Err(Error::expected(
        format_args!("rows with rowids in {}, to find them in the full text", source.title),
        source.kind(),
    ))
}

/// A row of the full text, and its BM25.
struct WordRow {
    row: i64,
    bm25: f64,
}

impl WordRow {
    /// The best come first. Rows with equal values are in ascending order of their rowids.
    fn order(a: &Self, b: &Self) -> Ordering {
        b.bm25.total_cmp(&a.bm25).then(a.row.cmp(&b.row))
    }
}

/// The rows with the highest values, in any order.
fn best(words: &HashMap<i64, f64>, limit: usize) -> Result<Vec<WordRow>> {
    let mut rows = reserve::collect(words.iter().map(|(&row, &bm25)| WordRow { row, bm25 }))?;
    if limit < rows.len() {
        rows.select_nth_unstable_by(limit, WordRow::order);
        rows.truncate(limit);
    }
    Ok(rows)
}

fn by_words(source: &mut Source, asked: &HybridQuestion<'_>, words: Matches) -> Result<Vec<Joined>> {
    check_rowids(source)?;
    let spread = asked.options.spread.map_or_else(|| spread(source, asked.options.each.metric), Ok)?;
    let formula = HybridFormula::new(spread, asked.options.weight, &[], words.bound);
    let mut joined = Vec::new();
    let mut rows = best(&words.bm25, usize::MAX)?;
    rows.sort_unstable_by(WordRow::order);
    for WordRow { row, bm25 } in rows {
        if joined.len() >= asked.k.unwrap_or(usize::MAX) {
            break;
        }
        if source.has_row(row)? {
            let score = formula.score(None, Some(bm25));
            reserve::push(&mut joined, Joined { row, score, by_vector: None, by_words: Some(bm25) })?;
        }
    }
    Ok(joined)
}

fn by_both(search: &mut Search, asked: &HybridQuestion<'_>, words: Matches) -> Result<Vec<Joined>> {
    let Some(source) = search.sources().first() else { return Ok(Vec::new()) };
    check_rowids(source)?;
    let Matches { bm25: mut words, bound } = words;
    let has_words = !words.is_empty();
    let spread = match asked.options.spread {
        Some(spread) => spread,
        None if has_words => spread(source, search.metric())?,
        None => hybrid::USUAL_SPREAD,
    };
    // Without words the score is the cosine. It does not depend on the nearest of all rows.
    let nearest_of_all = match (asked.conditions.is_empty(), has_words) {
        (true, _) => search.run(asked.candidates(), &Rules::default(), &Conditions::default())?,
        (false, true) => search.run(hybrid::NEAREST, &Rules::default(), &Conditions::default())?,
        (false, false) => Vec::new(),
    };
    let scores: Vec<f64> = nearest_of_all.iter().take(hybrid::NEAREST).map(|hit| hit.place.score).collect();
    let formula = HybridFormula::new(spread, asked.options.weight, &scores, bound);
    let nearest = if asked.conditions.is_empty() {
        nearest_of_all
    } else {
        search.run(usize::MAX, &Rules::default(), &asked.conditions)?
    };
    let mut cosines: HashMap<i64, Option<f64>> = HashMap::new();
    cosines.reserve_room(nearest.len())?;
    cosines.extend(nearest.iter().map(|hit| (hit.place.row, Some(hit.place.score))));
    if has_words {
        if let Some(set) = search.first_source()?.row_set(&asked.conditions)?.filter(|_| !asked.conditions.is_empty()) {
            words.retain(|row, _| set.contains(*row));
        }
        add_missing(search, &mut cosines, &best(&words, asked.candidates())?)?;
    }
    let mut joined = reserve::collect(cosines.into_iter().map(|(row, by_vector)| {
        let by_words = words.get(&row).copied();
        Joined { row, score: formula.score(by_vector, by_words), by_vector, by_words }
    }))?;
    joined.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    joined.truncate(asked.k.unwrap_or(usize::MAX));
    Ok(joined)
}

/// Adds the cosines of rows that the words found and the vectors did not: `None` for a row without a vector. Rows of the full
/// text that the table does not have are left out.
fn add_missing(search: &mut Search, cosines: &mut HashMap<i64, Option<f64>>, words: &[WordRow]) -> Result<()> {
    let mut missing = Vec::new();
    for WordRow { row, .. } in words.iter().filter(|found| !cosines.contains_key(&found.row)) {
        reserve::push(&mut missing, *row)?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    cosines.reserve_room(missing.len())?;
    missing.sort_unstable();
    let list = List::collect(|with| missing.iter().try_for_each(|&row| with(ValueRef::Integer(row))))?;
    let conditions = Conditions { list: Some((ListSubject::Rowid, list)), ..Conditions::default() };
    for hit in search.run(missing.len(), &Rules::default(), &conditions)? {
        // The search may give more rows than the list has.
        if missing.binary_search(&hit.place.row).is_ok() {
            cosines.insert(hit.place.row, Some(hit.place.score));
        }
    }
    let source = search.first_source()?;
    for row in missing {
        if !cosines.contains_key(&row) && source.has_row(row)? {
            cosines.insert(row, None);
        }
    }
    Ok(())
}

/// How much the vectors of a table differ, from a sample of them. The sample depends only on the table.
fn spread(source: &Source, metric: Metric) -> Result<f64> {
    const ROWS: i64 = 64;
    let sample = source.sample(ROWS)?;
    let mut products = Vec::new();
    for (at, vector) in sample.iter().enumerate() {
        let Ok(scorer) = Scorer::new(metric, vector.clone()) else { continue };
        // A vector of another length is left out: the search itself reports it.
        products.extend(sample.iter().take(at).filter_map(|other| scorer.score(other).ok()));
    }
    Ok(hybrid::spread(&products))
}

impl Finder for Both {
    type Row = Joined;
    const SIGNATURE: Signature = SIGNATURE;

    fn find(&mut self, given: &[ValueRef<'_>], conditions: &Conditions) -> Result<Vec<Joined>> {
        self.search.rest();
        self.table = None;
        let refused = refused(VecHybrid::NAME);
        let (asked, query) = HybridQuestion::read(given, conditions.clone()).inspect_err(&refused)?;
        let query = args::vector(query).map_err(|error| error.within("query")).inspect_err(&refused)?;
        let call = SearchCall::begin(VecHybrid::NAME);
        let words = self.words(&asked).inspect_err(&refused)?;
        let Some(query) = query else {
            let mut source = self.source(&asked).inspect_err(&refused)?;
            let found = by_words(&mut source, &asked, words);
            call.end(std::slice::from_ref(&source), asked.k, found.as_ref().map(Vec::len));
            self.table = Some(source);
            return found;
        };
        let kept = self.search.place().search(self.connection, asked.made_of.clone(), query.into_owned());
        let mut kept = kept.inspect_err(&refused)?;
        let found = by_both(&mut kept.search, &asked, words);
        call.end(kept.search.sources(), asked.k, found.as_ref().map(Vec::len));
        let found = found?;
        self.search.hold(kept);
        Ok(found)
    }

    fn column(&mut self, found: &Joined, at: usize, column: usize) -> Result<Value> {
        let real = |number: Option<f64>| number.map_or(Value::Null, Value::Real);
        Ok(match column {
            0 => Value::Integer(found.row),
            1 => match (self.search.get_mut(), &mut self.table) {
                (Some(search), _) => search.first_source()?.id(found.row, &None)?,
                (None, Some(source)) => source.id(found.row, &None)?,
                (None, None) => Value::Null,
            },
            2 => Value::Real(found.score),
            3 => real(found.by_vector),
            4 => real(found.by_words),
            _ => Value::Integer(at as i64 + 1),
        })
    }

    /// The rowid itself, not the place in the list. Each term of an OR is a search of its own, and may find the same row at
    /// another place.
    fn rowid(&self, found: &Joined, _: usize) -> i64 {
        found.row
    }
}
