//! A search through an index: whether one can answer, and its answer.

use crate::error::{Error, Result};
use crate::index::{self, Accept, Index, Opened, Outcome, Overlay, Request, Stats, Trial, many};
use crate::metric::Scorer;
use crate::planning::cost::{self, ByKey, Read, Sizes};
use crate::planning::options::{IndexChoice, Options};
use crate::planning::rowset::RowSet;
use crate::resources::config;
use crate::scan::Rules;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::in_list::ListMembers;
use crate::sqlite::storage::changes::{Changed, Changes, Guard};
use crate::sqlite::storage::shelf::Shelf;
use crate::sqlite::storage::table_rows::TableRows;
use crate::sqlite::storage::triggers::{Tracked, WatchedIndex, tracked, watched};
use crate::sqlite::storage::trust::{is_stale, mark_stale};
use crate::sqlite::tables::conditions::Conditions;
use crate::sqlite::tables::source::Source;
use crate::topk::Place;
use crate::vector::shown;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// An index of a source's column that may answer searches.
pub struct IndexReader {
    /// The user named it: it answers wherever it can, also where a scan would be faster.
    is_named: bool,
    /// The rows must be those of a scan.
    is_exact: bool,
    shelf: Shelf,
    rows: TableRows,
    guard: Guard,
}

/// In fewer rows than this a scan is as fast as any index, or so fast that it does not matter: a tenth of a millisecond.
const FEW: u64 = 1000;
/// For more than this share of the rows, exact searches and those of many queries are scans: they would fetch most of them
/// one by one.
const SHARE: u64 = 8;

/// Which rows the codes are asked for.
enum Filter {
    /// All, and SQLite drops those that do not meet the conditions.
    None,
    /// These.
    Rows(Arc<RowSet>),
    /// All, and of those found only rows with these keys.
    Keys(ListMembers, Trial),
    /// The table itself is the cheaper way.
    Table,
}

/// How a search by an index ended.
enum Tried {
    Found(Vec<Place>),
    /// The table has to answer.
    Vain,
    /// Rows do not tell by their keys fast enough.
    GivenUp,
}

/// The name of the index that a search of this source would use.
pub fn chosen(source: &Source, options: &Options) -> Result<Option<String>> {
    Ok(choose(source, options, tracked, |tracked| tracked)?.map(|tracked| tracked.index))
}

/// One of the indexes that `list` finds for a table.
fn choose<T>(
    source: &Source,
    options: &Options,
    list: fn(Connection, &str, &str) -> Result<Vec<T>>,
    tracked: fn(&T) -> &Tracked,
) -> Result<Option<T>> {
    let Some(rowid) = source.rowid_name() else { return named_but_absent(source, options) };
    let has_codes = options.metric.has_codes();
    if options.index == IndexChoice::Never || !has_codes {
        return Ok(None);
    }
    let mut indexes = list(source.connection(), source.schema(), source.name())?;
    indexes.retain(|index| {
        let Tracked { column, rowid: known, .. } = tracked(index);
        column.eq_ignore_ascii_case(source.column()) && known.eq_ignore_ascii_case(rowid)
    });
    match &options.index {
        IndexChoice::Named(name) => {
            let found = indexes.into_iter().find(|index| tracked(index).index.eq_ignore_ascii_case(name));
            found.map_or_else(|| named_but_absent(source, options), |index| Ok(Some(index)))
        }
        _ => Ok(indexes.into_iter().next()),
    }
}

fn named_but_absent<T>(source: &Source, options: &Options) -> Result<Option<T>> {
    match &options.index {
        IndexChoice::Named(name) => Err(Error::expected(
            format_args!("options.index to name an index of {}", source.describe_column()),
            shown(name),
        )),
        _ => Ok(None),
    }
}

/// What a search asks of an index.
pub struct IndexQuestion<'a> {
    /// The query.
    pub scorer: &'a Scorer,
    /// How many rows.
    pub limit: usize,
    /// Which rows count.
    pub rules: &'a Rules,
    /// Conditions on rowid and id. SQLite checks them again, so rows that do not meet them may be among the answer.
    pub conditions: &'a Conditions,
    /// The number of the source among several.
    pub number: u32,
    /// The last of the rows found elsewhere, if they are as many as wanted.
    pub floor: Option<Place>,
}

/// What a search of many queries asks of an index.
pub struct Many<'a> {
    /// The queries, all of one metric and length.
    pub queries: &'a [many::BatchQuery<'a>],
    /// How many rows for each.
    pub limit: usize,
    /// Which rows count.
    pub rules: &'a Rules,
    /// The number of the source among several.
    pub number: u32,
}

impl IndexReader {
    /// The index that answers searches of this source, if there is one.
    pub fn open(source: &Source, options: &Options) -> Result<Option<Self>> {
        let found = choose(source, options, watched, |watched| &watched.tracked)?;
        let Some(WatchedIndex { tracked, sign, .. }) = found else { return Ok(None) };
        let shelf = Shelf::new(source.connection(), source.schema(), &tracked.index);
        if !shelf.is_whole()? {
            return Ok(None);
        }
        let is_named = matches!(options.index, IndexChoice::Named(_));
        let (rows, guard) = (TableRows::new(source)?, Guard::new(sign));
        Ok(Some(Self { is_named, is_exact: options.exact, shelf, rows, guard }))
    }

    /// The best rows, or `None` where the table has to answer.
    pub fn search(&mut self, source: &mut Source, wanted: &IndexQuestion<'_>) -> Result<Option<Vec<Place>>> {
        let found = self.find(source, wanted);
        self.rows.release();
        found
    }

    fn find(&mut self, source: &mut Source, wanted: &IndexQuestion<'_>) -> Result<Option<Vec<Place>>> {
        if self.is_exact {
            return self.search_exactly(source, wanted);
        }
        let Some(index) = self.opened(source, wanted.scorer.query().len())? else { return Ok(None) };
        let filter = self.filter(source, &index, wanted)?;
        match self.search_filtered(source, &index, wanted, filter)? {
            Tried::Found(places) => Ok(Some(places)),
            Tried::Vain => Ok(None),
            Tried::GivenUp => {
                let filter = self.filter_by_rowids(source, &index, wanted, u64::MAX)?;
                match self.search_filtered(source, &index, wanted, filter)? {
                    Tried::Found(places) => Ok(Some(places)),
                    Tried::Vain | Tried::GivenUp => Ok(None),
                }
            }
        }
    }

    fn search_filtered(
        &mut self,
        source: &Source,
        index: &Index,
        wanted: &IndexQuestion<'_>,
        filter: Filter,
    ) -> Result<Tried> {
        let (rows, keys) = match filter {
            Filter::None => (None, None),
            Filter::Rows(rows) => (Some(rows), None),
            Filter::Keys(members, trial) => (None, Some((members, trial))),
            Filter::Table => return Ok(Tried::Vain),
        };
        let changes = match self.changes(source, index)? {
            Changed::Nothing => None,
            Changed::Rows(changes) => Some(changes),
            Changed::TooMuch => return Ok(Tried::Vain),
        };
        let strays = strays(index, changes.as_ref(), rows.as_deref());
        // The scan meets such rows in its order, and says which is the first. By their rowids they may be none of those
        // that take part.
        if strays > 0 && !wanted.rules.skip_bad {
            return Ok(if keys.is_some() { Tried::GivenUp } else { Tried::Vain });
        }
        let overlay = changes.as_ref().map(|changes| &changes.overlay);
        let request = Request {
            scorer: wanted.scorer,
            limit: wanted.limit,
            rules: wanted.rules,
            source: wanted.number,
            floor: wanted.floor,
            accept: rows.map(|rows| -> Accept { Arc::new(move |rowid| rows.contains(rowid)) }),
            trial: keys.as_ref().map(|(_, trial)| *trial),
            overlay,
            tail: changes.as_ref().and_then(|changes| changes.tail),
            threads: config::threads(),
        };
        let mut stats = Stats::default();
        let outcome = match keys {
            Some((members, _)) => {
                let mut rows = self.rows.keyed(source, members)?;
                index.answer(&mut self.shelf, &request, &mut rows, &mut stats)
            }
            None => index.answer(&mut self.shelf, &request, &mut self.rows, &mut stats),
        };
        count(source, &stats, overlay.map_or(0, Overlay::len));
        match outcome? {
            Outcome::Found(places) => {
                source.stats.bad.fetch_add(stats.bad + strays as u64, Relaxed);
                Ok(Tried::Found(places))
            }
            Outcome::Unfit => Ok(Tried::Vain),
            Outcome::GivenUp => Ok(Tried::GivenUp),
            Outcome::Stale(_) => {
                mark_stale(&self.shelf, index);
                Ok(Tried::Vain)
            }
        }
    }

    fn search_exactly(&mut self, source: &Source, wanted: &IndexQuestion<'_>) -> Result<Option<Vec<Place>>> {
        let &IndexQuestion { scorer, limit, rules, number, floor, conditions } = wanted;
        if !conditions.is_empty() {
            return Ok(None);
        }
        let query = many::BatchQuery { scorer, floor, without: None };
        let many = Many { queries: &[query], limit, rules, number };
        Ok(self.find_many(source, &many)?.and_then(|mut answers| answers.pop().flatten()))
    }

    /// The best rows for each query; `None` for all or for one where a scan has to answer.
    pub fn search_many(&mut self, source: &Source, many: &Many<'_>) -> Result<Option<Vec<Option<Vec<Place>>>>> {
        let found = self.find_many(source, many);
        self.rows.release();
        found
    }

    fn find_many(&mut self, source: &Source, many: &Many<'_>) -> Result<Option<Vec<Option<Vec<Place>>>>> {
        let &Many { queries, limit, rules, number } = many;
        let Some(first) = queries.first() else { return Ok(None) };
        let Some(index) = self.opened(source, first.scorer.query().len())? else { return Ok(None) };
        if limit as u64 >= index.header.rows / SHARE && !self.is_named {
            return Ok(None);
        }
        let changes = match self.changes(source, &index)? {
            Changed::Nothing => None,
            Changed::Rows(changes) => Some(changes),
            Changed::TooMuch => return Ok(None),
        };
        let strays = strays(&index, changes.as_ref(), None);
        if strays > 0 && !rules.skip_bad {
            return Ok(None);
        }
        let overlay = changes.as_ref().map(|changes| &changes.overlay);
        let (is_exact, threads) = (self.is_exact, config::threads());
        let request = many::BatchRequest { queries, limit, rules, source: number, overlay, is_exact, threads };
        let mut stats = Stats::default();
        let outcome = index.search_many(&mut self.shelf, &request, &mut self.rows, &mut stats);
        count(source, &stats, overlay.map_or(0, Overlay::len));
        match outcome? {
            many::BatchOutcome::Found(answers) => {
                let passed_over = strays * answers.iter().flatten().count();
                source.stats.bad.fetch_add(stats.bad + passed_over as u64, Relaxed);
                Ok(Some(answers))
            }
            many::BatchOutcome::Stale(_) => {
                mark_stale(&self.shelf, &index);
                Ok(None)
            }
        }
    }

    /// The index, if it is of such queries and worth asking.
    fn opened(&mut self, source: &Source, dimensions: usize) -> Result<Option<Index>> {
        let scope = self.shelf.scope;
        let Opened::Index(index) = index::open(&mut self.shelf, scope, &source.stats.memory)? else { return Ok(None) };
        let is_small = index.header.rows < FEW && !self.is_named;
        let serves = index.header.dimensions == dimensions && !is_small && !is_stale(&self.shelf, &index);
        Ok(serves.then_some(index))
    }

    /// What changed since the index was written.
    fn changes(&mut self, source: &Source, index: &Index) -> Result<Changed> {
        let (rows, guard, encoded) = (&mut self.rows, &mut self.guard, &source.stats.encoded);
        self.shelf.changes(index, rows, guard, config::threads(), encoded)
    }
}

/// How many of the rows, or of all, have something else than a vector of the index's dimensions.
fn strays(index: &Index, changes: Option<&Changes>, rows: Option<&RowSet>) -> usize {
    let hidden = |rowid: i64| changes.is_some_and(|changes| changes.overlay.contains(rowid));
    let old = index.directory().strays.iter().copied().filter(|rowid| !hidden(*rowid));
    let new = changes.into_iter().flat_map(|changes| changes.strays.iter().copied());
    old.chain(new).filter(|rowid| rows.is_none_or(|rows| rows.contains(*rowid))).count()
}

impl IndexReader {
    /// The cheapest way to the rows that meet the conditions.
    fn filter(&mut self, source: &mut Source, index: &Index, wanted: &IndexQuestion<'_>) -> Result<Filter> {
        let (rows, conditions) = (index.header.rows, wanted.conditions);
        if conditions.names_one() {
            return Ok(Filter::Table);
        }
        let Some(set) = source.row_set(conditions)? else { return self.filter_by_key(source, index, wanted) };
        let (matching, read) = match (set.listed(), set.range()) {
            _ if conditions.is_empty() => (rows, Read::Range),
            (Some(listed), _) => (listed as u64, Read::List),
            (None, Some((low, high))) => (index.rows_between(&mut self.shelf, low, high)?, Read::Range),
            (None, None) => return Ok(Filter::Table),
        };
        Ok(match self.is_named || cost::prefers_codes(sizes(index, wanted, matching), read) {
            true if conditions.is_empty() => Filter::None,
            true => Filter::Rows(Arc::new(set)),
            false => Filter::Table,
        })
    }

    /// The same where rowids do not tell.
    fn filter_by_key(&mut self, source: &mut Source, index: &Index, wanted: &IndexQuestion<'_>) -> Result<Filter> {
        let (rows, conditions) = (index.header.rows, wanted.conditions);
        let Some((_, listed)) = &conditions.list else {
            return self.filter_by_rowids(source, index, wanted, cost::most_keys(rows));
        };
        let sizes = sizes(index, wanted, listed.len() as u64);
        match cost::by_key(sizes, self.is_named) {
            ByKey::Table => return Ok(Filter::Table),
            ByKey::Keys if conditions.is_list_alone() => {
                let reach = usize::try_from(cost::reach(sizes)).unwrap_or(usize::MAX);
                let trial = Trial { reach, patience: cost::patience(sizes) };
                if let Some(members) = source.members_of_id(conditions)? {
                    return Ok(Filter::Keys(members, trial));
                }
            }
            ByKey::Keys | ByKey::Rowids => {}
        }
        self.filter_by_rowids(source, index, wanted, rows)
    }

    /// The same by the rowids that the key's own index gives. Where they are more than `most`, SQLite drops the rows that do
    /// not meet the conditions.
    fn filter_by_rowids(
        &mut self,
        source: &mut Source,
        index: &Index,
        wanted: &IndexQuestion<'_>,
        most: u64,
    ) -> Result<Filter> {
        let prefers_codes = |matching| self.is_named || cost::prefers_codes(sizes(index, wanted, matching), Read::List);
        Ok(match source.keyed(wanted.conditions, most)? {
            Some(rowids) if prefers_codes(rowids.len() as u64) => {
                let mut set = RowSet::all();
                set.list(rowids)?;
                Filter::Rows(Arc::new(set))
            }
            None if prefers_codes(index.header.rows) => Filter::None,
            _ => Filter::Table,
        })
    }
}

fn sizes(index: &Index, wanted: &IndexQuestion<'_>, matching: u64) -> Sizes {
    let header = &index.header;
    Sizes { rows: header.rows, matching, limit: wanted.limit as u64, dimensions: header.dimensions }
}

/// Adds what a search did to what is counted of its column.
fn count(source: &Source, stats: &Stats, pending: usize) {
    let entry = &source.stats;
    entry.candidates.fetch_add(stats.candidates, Relaxed);
    entry.rescored.fetch_add(stats.fetched, Relaxed);
    entry.repeated.fetch_add(u64::from(stats.repeated), Relaxed);
    entry.pending.store(pending as u64, Relaxed);
}
