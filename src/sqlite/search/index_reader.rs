//! Searches by an index: whether an index can answer, and its answer.

use crate::error::{Error, Result};
use crate::index::{self, Accept, Index, Opened, Outcome, Overlay, Request, Stats, Trial, many};
use crate::metric::Scorer;
use crate::planning::cost::{self, ByKey, Read, Sizes};
use crate::planning::options::{IndexChoice, Options};
use crate::planning::rowset::RowSet;
use crate::resources::config;
use crate::resources::trace::{self, Stage, StageClock};
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
use crate::vector::ElementType;
use crate::vector::shown;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// An index of a source's column that may answer searches.
pub struct IndexReader {
    /// Whether the user named the index. Then it answers if it can, even if a scan would be faster.
    is_named: bool,
    /// The rows must be those of a scan.
    is_exact: bool,
    shelf: Shelf,
    rows: TableRows,
    guard: Guard,
}

/// With fewer rows than this, a scan takes a tenth of a millisecond. An index would be no faster, or it would not matter.
const FEW: u64 = 1000;
/// If more than one row in `SHARE` is wanted, exact searches and those of many queries are scans. By an index they would fetch
/// most rows one by one.
const SHARE: u64 = 8;

/// Which rows the index looks at.
enum Filter {
    /// All rows. SQLite drops those that do not meet the conditions.
    None,
    /// These rows.
    Rows(Arc<RowSet>),
    /// All rows, but those that are found must have one of these keys.
    Keys(ListMembers, Trial),
    /// None: reading the table costs less.
    Table,
}

/// How a search by an index ended.
enum Tried {
    Found(Vec<Place>),
    /// A scan or look-ups must answer.
    Vain,
    /// Too many of the best rows had none of the keys.
    GivenUp,
}

/// The name of the index that a search of this source would use.
pub fn chosen(source: &Source, options: &Options) -> Result<Option<String>> {
    let Some(Tracked { index, .. }) = choose(source, options, tracked, |tracked| tracked)? else { return Ok(None) };
    // An index is read for its type only if the user names one: every plan comes through here.
    let Some(wanted) = options.element else { return Ok(Some(index)) };
    let elements = shelf_elements(&mut Shelf::new(source.connection(), source.schema(), &index))?;
    Ok((elements.is_none() || elements == Some(wanted)).then_some(index))
}

/// The type that the user named, or else that of the column's index; f32 if there is none.
pub fn elements(source: &Source, named: Option<ElementType>) -> Result<ElementType> {
    let Some(element) = named else { return Ok(indexed_elements(source)?.unwrap_or_default()) };
    Ok(element)
}

/// The type of a column by its index, whatever state the index is in.
fn indexed_elements(source: &Source) -> Result<Option<ElementType>> {
    if source.rowid_name().is_none() {
        return Ok(None);
    }
    let mut indexes = tracked(source.connection(), source.schema(), source.name())?;
    indexes.retain(|index| index.column.eq_ignore_ascii_case(source.column()));
    for Tracked { index, .. } in indexes {
        let found = shelf_elements(&mut Shelf::new(source.connection(), source.schema(), &index))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn shelf_elements(shelf: &mut Shelf) -> Result<Option<ElementType>> {
    if shelf.is_whole()? { index::elements(shelf) } else { Ok(None) }
}

/// The index that a search uses, among those that `list` finds for a table.
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

fn of_another_type(index: &str, wanted: ElementType, of_index: ElementType) -> Error {
    Error::expected(
        format_args!("options.index to name an index of type {}", wanted.name()),
        format_args!("{}, which is of {}", shown(index), of_index.name()),
    )
}

/// What a search asks an index for.
pub struct IndexQuestion<'a> {
    /// The query.
    pub scorer: &'a Scorer,
    /// How many rows are wanted.
    pub limit: usize,
    /// Which rows count.
    pub rules: &'a Rules,
    /// Conditions on rowid and id. SQLite checks them again, so the answer may have rows that do not meet them.
    pub conditions: &'a Conditions,
    /// The number of the source among several.
    pub number: u32,
    /// The worst of the rows found in other sources, if these are already as many as wanted.
    pub floor: Option<Place>,
}

/// What a search of many queries asks an index for.
pub struct Many<'a> {
    /// The queries, all of one metric and length.
    pub queries: &'a [many::BatchQuery<'a>],
    /// How many rows are wanted for each query.
    pub limit: usize,
    /// Which rows count.
    pub rules: &'a Rules,
    /// The number of the source among several.
    pub number: u32,
}

impl IndexReader {
    /// The index that answers searches of this source, if there is one. The source is told what its elements are, if the
    /// user does not say.
    pub fn open(source: &mut Source, options: &Options) -> Result<Option<Self>> {
        source.set_elements(options.element.unwrap_or_default());
        let found = choose(source, options, watched, |watched| &watched.tracked)?;
        let Some(WatchedIndex { tracked, sign, .. }) = found else {
            if options.index == IndexChoice::Never || !options.metric.has_codes() {
                source.set_elements(elements(source, options.element)?);
            }
            return Ok(None);
        };
        let mut shelf = Shelf::new(source.connection(), source.schema(), &tracked.index);
        if !shelf.is_whole()? {
            return Ok(None);
        }
        let is_named = matches!(options.index, IndexChoice::Named(_));
        let of_index = index::elements(&mut shelf)?.unwrap_or_default();
        let wanted = options.element.unwrap_or(of_index);
        source.set_elements(wanted);
        if wanted != of_index {
            return if is_named { Err(of_another_type(&tracked.index, wanted, of_index)) } else { Ok(None) };
        }
        let (rows, guard) = (TableRows::new(source)?, Guard::new(sign));
        Ok(Some(Self { is_named, is_exact: options.exact, shelf, rows, guard }))
    }

    /// The best rows, or `None` if a scan or look-ups must answer.
    pub fn search(&mut self, source: &mut Source, wanted: &IndexQuestion<'_>) -> Result<Option<Vec<Place>>> {
        let found = self.find(source, wanted);
        self.rows.release();
        self.unless_gone(found, None)
    }

    /// If the index was renamed or dropped while a statement reads batch after batch, a scan finds the next batch.
    fn unless_gone<T>(&self, found: Result<T>, vain: T) -> Result<T> {
        match found {
            Err(error) if error.is_of_sql() && !self.shelf.is_whole()? => Ok(vain),
            found => found,
        }
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
        // A row without a fitting vector is an error. The scan gives it, for the first such row in its order. If a filter is
        // by keys, the rowids do not tell whether such a row takes part.
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
        count(source, index, &stats, overlay.map_or(0, Overlay::len));
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
        Ok(self.find_many(source, &many)?.pop().flatten())
    }

    /// The best rows for each query, `None` for one that a scan must answer. Empty if a scan must answer all.
    pub fn search_many(&mut self, source: &Source, many: &Many<'_>) -> Result<Vec<Option<Vec<Place>>>> {
        let found = self.find_many(source, many);
        self.rows.release();
        self.unless_gone(found, Vec::new())
    }

    fn find_many(&mut self, source: &Source, many: &Many<'_>) -> Result<Vec<Option<Vec<Place>>>> {
        let &Many { queries, limit, rules, number } = many;
        let Some(first) = queries.first() else { return Ok(Vec::new()) };
        let Some(index) = self.opened(source, first.scorer.query().len())? else { return Ok(Vec::new()) };
        if limit as u64 >= index.header.rows / SHARE && !self.is_named {
            return Ok(Vec::new());
        }
        let changes = match self.changes(source, &index)? {
            Changed::Nothing => None,
            Changed::Rows(changes) => Some(changes),
            Changed::TooMuch => return Ok(Vec::new()),
        };
        let strays = strays(&index, changes.as_ref(), None);
        if strays > 0 && !rules.skip_bad {
            return Ok(Vec::new());
        }
        let overlay = changes.as_ref().map(|changes| &changes.overlay);
        let (is_exact, threads) = (self.is_exact, config::threads());
        let request = many::BatchRequest { queries, limit, rules, source: number, overlay, is_exact, threads };
        let mut stats = Stats::default();
        let clock = StageClock::begin(Stage::Sweeping);
        let outcome = index.search_many(&mut self.shelf, &request, &mut self.rows, &mut stats);
        drop(clock);
        count(source, &index, &stats, overlay.map_or(0, Overlay::len));
        match outcome? {
            many::BatchOutcome::Found(answers) => {
                let passed_over = strays * answers.iter().flatten().count();
                source.stats.bad.fetch_add(stats.bad + passed_over as u64, Relaxed);
                Ok(answers)
            }
            many::BatchOutcome::Stale(_) => {
                mark_stale(&self.shelf, &index);
                Ok(Vec::new())
            }
        }
    }

    /// The index, if it has vectors of this length, is not known to be wrong, and is worth using.
    fn opened(&mut self, source: &Source, dimensions: usize) -> Result<Option<Index>> {
        let _clock = StageClock::begin(Stage::Opening);
        let scope = self.shelf.scope;
        let Opened::Index(index) = index::open(&mut self.shelf, scope, &source.stats.memory)? else { return Ok(None) };
        let is_small = index.header.rows < FEW && !self.is_named;
        let header = &index.header;
        let fits = header.dimensions == dimensions && header.element == source.elements();
        let serves = fits && !is_small && !is_stale(&self.shelf, &index);
        Ok(serves.then_some(index))
    }

    /// What changed since the index was written.
    fn changes(&mut self, source: &Source, index: &Index) -> Result<Changed> {
        let _clock = StageClock::begin(Stage::Opening);
        let (rows, guard, encoded) = (&mut self.rows, &mut self.guard, &source.stats.encoded);
        self.shelf.changes(index, rows, guard, config::threads(), encoded)
    }
}

/// How many of these rows, or of all rows, have a value that is not a vector with the dimensions of the index.
fn strays(index: &Index, changes: Option<&Changes>, rows: Option<&RowSet>) -> usize {
    let hidden = |rowid: i64| changes.is_some_and(|changes| changes.overlay.contains(rowid));
    let old = index.directory().strays.iter().copied().filter(|rowid| !hidden(*rowid));
    let new = changes.into_iter().flat_map(|changes| changes.strays.iter().copied());
    old.chain(new).filter(|rowid| rows.is_none_or(|rows| rows.contains(*rowid))).count()
}

impl IndexReader {
    /// The filter that finds the rows that meet the conditions at the least cost.
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

    /// The same for conditions that rowids alone cannot decide.
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

    /// The same by the rowids that the index of the key gives. If there are more than `most`, SQLite drops the rows that do
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

/// Adds the figures of a search to the counters of its column.
fn count(source: &Source, index: &Index, stats: &Stats, pending: usize) {
    trace::note(|notes| {
        notes.candidates += stats.candidates;
        notes.rescored += stats.fetched;
    });
    let entry = &source.stats;
    entry.candidates.fetch_add(stats.candidates, Relaxed);
    entry.rescored.fetch_add(stats.fetched, Relaxed);
    entry.repeated.fetch_add(u64::from(stats.repeated), Relaxed);
    entry.pending.store(pending as u64, Relaxed);
    entry.whole.store(index.whole_bytes() as u64, Relaxed);
    // A repeated search asks for no blocks.
    if !stats.repeated {
        entry.passing.store(stats.passing, Relaxed);
    }
}
