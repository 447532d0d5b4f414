//! A search through an index: whether one can answer, and its answer.

use super::shelf::{Changed, Shelf, TableRows, is_stale, mark_stale};
use super::source::Source;
use super::triggers::tracked;
use crate::config;
use crate::error::{Error, Result};
use crate::index::{self, Opened, Outcome, Overlay, Request, Stats};
use crate::metric::{Metric, Scorer};
use crate::options::{IndexChoice, Options};
use crate::scan::Rules;
use crate::topk::Place;
use crate::vector::shown;
use std::sync::atomic::Ordering::Relaxed;

/// An index of a source's column that may answer searches.
pub struct IndexReader {
    shelf: Shelf,
    rows: TableRows,
}

/// In fewer rows than this a scan is faster than any index.
const FEW: u64 = 1000;
/// A search for more than this share of the rows is a scan.
const SHARE: u64 = 8;

/// The name of the index that a search of this source would use.
pub fn chosen(source: &Source, options: &Options) -> Result<Option<String>> {
    let Some(rowid) = source.rowid_name() else { return named_but_absent(source, options) };
    let has_codes = !matches!(options.metric, Metric::L1);
    if options.index == IndexChoice::Never || options.exact || !has_codes {
        return Ok(None);
    }
    let mut indexes = tracked(source.connection(), source.schema(), source.name())?;
    indexes
        .retain(|index| index.column.eq_ignore_ascii_case(source.column()) && index.rowid.eq_ignore_ascii_case(rowid));
    match &options.index {
        IndexChoice::Named(name) => {
            let found = indexes.into_iter().find(|index| index.index.eq_ignore_ascii_case(name));
            found.map_or_else(|| named_but_absent(source, options), |index| Ok(Some(index.index)))
        }
        _ => Ok(indexes.into_iter().next().map(|index| index.index)),
    }
}

fn named_but_absent(source: &Source, options: &Options) -> Result<Option<String>> {
    match &options.index {
        IndexChoice::Named(name) => Err(Error::expected(
            format_args!("options.index to name an index of {}", source.describe_column()),
            shown(name),
        )),
        _ => Ok(None),
    }
}

/// What a search asks of an index.
pub struct Wanted<'a> {
    /// The query.
    pub scorer: &'a Scorer,
    /// How many rows.
    pub limit: usize,
    /// Which rows count.
    pub rules: &'a Rules,
    /// The number of the source among several.
    pub number: u32,
    /// The last of the rows found elsewhere, if they are as many as wanted.
    pub floor: Option<Place>,
}

impl IndexReader {
    /// The index that answers searches of this source, if there is one.
    pub fn open(source: &Source, options: &Options) -> Result<Option<Self>> {
        let Some(name) = chosen(source, options)? else { return Ok(None) };
        let shelf = Shelf::new(source.connection(), source.schema(), &name);
        Ok(Some(Self { shelf, rows: TableRows::new(source)? }))
    }

    /// The best rows, or `None` where a scan has to answer.
    pub fn search(&mut self, source: &Source, wanted: &Wanted<'_>) -> Result<Option<Vec<Place>>> {
        let threads = config::threads();
        let scope = self.shelf.scope;
        let Opened::Index(index) = index::open(&mut self.shelf, scope)? else { return Ok(None) };
        let fits = index.header.dimensions == wanted.scorer.query().len();
        let is_large = index.header.rows >= FEW && (wanted.limit as u64) < index.header.rows / SHARE;
        if !fits || !is_large || is_stale(&self.shelf, &index) {
            return Ok(None);
        }
        let changes = match self.shelf.changes(&index, &mut self.rows, threads, &source.stats.encoded)? {
            Changed::Nothing => None,
            Changed::Rows(changes) => Some(changes),
            Changed::TooMuch => return Ok(None),
        };
        let hidden = |rowid: &i64| changes.as_ref().is_some_and(|changes| changes.overlay.contains(*rowid));
        let new_strays = changes.as_ref().map_or(0, |changes| changes.strays.len());
        let old_strays = index.directory().strays.iter().filter(|rowid| !hidden(rowid)).count();
        // The scan meets such rows in its order, and says which is the first.
        if new_strays + old_strays > 0 && !wanted.rules.skip_bad {
            return Ok(None);
        }
        let overlay = changes.as_ref().map(|changes| &changes.overlay);
        let request = Request {
            scorer: wanted.scorer,
            limit: wanted.limit,
            rules: wanted.rules,
            source: wanted.number,
            floor: wanted.floor,
            accept: None,
            overlay,
            threads,
        };
        let mut stats = Stats::default();
        let outcome = index.search(&mut self.shelf, &request, &mut self.rows, &mut stats);
        self.rows.release();
        count(source, &stats, overlay.map_or(0, Overlay::len));
        match outcome? {
            Outcome::Found(places) => {
                source.stats.bad.fetch_add(stats.bad + (new_strays + old_strays) as u64, Relaxed);
                Ok(Some(places))
            }
            Outcome::Unfit => Ok(None),
            Outcome::Stale(_) => {
                mark_stale(&self.shelf, &index);
                Ok(None)
            }
        }
    }
}

/// Adds what a search did to what is counted of its column.
fn count(source: &Source, stats: &Stats, pending: usize) {
    let entry = &source.stats;
    entry.candidates.fetch_add(stats.candidates, Relaxed);
    entry.rescored.fetch_add(stats.fetched, Relaxed);
    entry.pending.store(pending as u64, Relaxed);
    let cache = index::cache_counts();
    entry.cache_bytes.store(cache.bytes as u64, Relaxed);
    entry.cache_hits.store(cache.hits, Relaxed);
    entry.cache_evictions.store(cache.evictions, Relaxed);
}
