//! A search over one or several sources. It is opened once for its arguments, and then run for as many batches of rows as are
//! wanted.

pub mod call;
pub mod estimates;
pub mod finder;
pub mod index_reader;
pub mod planner;
pub mod waiting;
pub mod words;

use self::index_reader::{IndexQuestion, IndexReader, chosen};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::metric::{Metric, Scorer};
use crate::planning::options::Options;
use crate::resources::stats::SearchPath;
use crate::resources::trace::{self, Stage, StageClock};
use crate::scan::{Rules, scan};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;
use crate::sqlite::tables::conditions::Conditions;
use crate::sqlite::tables::identifier::paths;
use crate::sqlite::tables::reentry::Running;
use crate::sqlite::tables::source::Source;
use crate::topk::{self, TopK};
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A row that was found. The note is its id, if the id could not be looked up later.
pub type Hit = topk::Hit<Option<Value>>;

/// A copy of a hit.
pub fn copied(hit: &Hit) -> Result<Hit> {
    Ok(Hit { place: hit.place, note: hit.note.as_ref().map(Value::copied).transpose()? })
}

/// A search that is ready to run.
pub struct Search {
    sources: Vec<Source>,
    /// The index of each source that has one.
    indexes: Vec<Option<IndexReader>>,
    scorer: Scorer,
    skip_bad: bool,
    /// Whether the last run read a source from end to end.
    is_scanned: bool,
}

/// The names of the indexes that a search of these sources would use.
pub fn indexes(connection: Connection, tables: &str, column: &str, options: &Options) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in paths(tables)? {
        names.extend(chosen(&Source::open(connection, &path, column, options.key.as_deref())?, options)?);
    }
    Ok(names)
}

/// The tables of a search, each once.
pub struct Sources {
    /// The tables. Each knows what its elements are.
    pub tables: Vec<Source>,
    /// The index of each table that has one.
    pub indexes: Vec<Option<IndexReader>>,
}

impl Sources {
    /// Finds the tables and their indexes.
    pub fn open(connection: Connection, tables: &str, column: &str, options: &Options) -> Result<Self> {
        let mut sources: Vec<Source> = Vec::new();
        for path in paths(tables)? {
            let source = Source::open(connection, &path, column, options.key.as_deref())
                .map_err(|error| named(error, &path.name))?;
            if sources.iter().any(|other| other.identity() == source.identity()) {
                return Err(Error::expected("each source once", format_args!("{} twice", source.title)));
            }
            sources.push(source);
        }
        let open = |source: &mut Source| IndexReader::open(source, options).map_err(|error| source.named(error));
        let indexes = sources.iter_mut().map(open).collect::<Result<_>>()?;
        Ok(Self { tables: sources, indexes })
    }
}

impl Search {
    /// Finds the tables and checks that the arguments go together.
    pub fn open(
        connection: Connection,
        tables: &str,
        column: &str,
        query: Vec<F32Le>,
        options: &Options,
    ) -> Result<Self> {
        let _clock = StageClock::begin(Stage::Opening);
        let scorer = Scorer::new(options.metric, query).map_err(|error| error.within("query"))?;
        let Sources { tables: sources, indexes } = Sources::open(connection, tables, column, options)?;
        Ok(Self { sources, indexes, scorer, skip_bad: options.skip_bad, is_scanned: false })
    }

    /// Whether each source has an index that may answer.
    pub fn is_indexed(&self) -> bool {
        self.indexes.iter().all(Option::is_some)
    }

    /// Whether the last run read a source from end to end, so that more rows would have cost little more.
    pub fn is_scanned(&self) -> bool {
        self.is_scanned
    }

    /// Whether all sources are ordinary tables. What a view reads may change although the schemas that are watched do not.
    pub fn is_of_tables(&self) -> bool {
        self.sources.iter().all(Source::is_table)
    }

    /// Replaces the query. The sources stay.
    pub fn ask(&mut self, query: Vec<F32Le>) -> Result<()> {
        self.scorer = Scorer::new(self.metric(), query).map_err(|error| error.within("query"))?;
        self.sources.iter_mut().for_each(Source::count_anew);
        Ok(())
    }

    /// The metric of the search.
    pub fn metric(&self) -> Metric {
        self.scorer.metric()
    }

    /// The query and the metric, ready to score.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// The sources of the search.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The source of a hit.
    pub fn source(&mut self, hit: &Hit) -> Result<&mut Source> {
        let found = self.sources.get_mut(hit.place.source as usize);
        found.ok_or_else(|| Error::Bug("a hit from an unknown source".into()))
    }

    /// The source of a search that has only one.
    pub fn first_source(&mut self) -> Result<&mut Source> {
        self.sources.first_mut().ok_or_else(|| Error::Bug("a search of nothing".into()))
    }

    /// The best `limit` rows that meet the rules and the conditions, in order.
    pub fn run(&mut self, limit: usize, rules: &Rules, conditions: &Conditions) -> Result<Vec<Hit>> {
        let _running = Running::enter(&self.sources)?;
        let start = Instant::now();
        let rules = Rules { skip_bad: self.skip_bad, ..rules.clone() };
        let mut best = TopK::new(limit);
        let mut ways = Vec::with_capacity(self.sources.len());
        let mut not_unit = HashSet::new();
        for (number, source) in (0..).zip(&mut self.sources) {
            if let Some(index) = self.indexes.get_mut(number as usize).and_then(Option::as_mut) {
                let floor = best.last();
                let wanted = IndexQuestion { scorer: &self.scorer, limit, rules: &rules, conditions, number, floor };
                let found = index.search(source, &wanted).map_err(|error| source.named(error))?;
                if let Some(places) = found {
                    places.into_iter().try_for_each(|place| best.offer(Hit { place, note: None }))?;
                    ways.push(SearchPath::Index);
                    continue;
                }
            }
            let _clock = StageClock::begin(Stage::Sweeping);
            let scanned = source.scan(conditions).and_then(|mut rows| {
                ways.push(rows.way());
                scan(&mut rows, number, &self.scorer, &rules, &mut best)
            });
            let counts = scanned.map_err(|error| source.named(error))?;
            source.stats.rows.fetch_add(counts.rows, Relaxed);
            source.stats.bad.fetch_add(counts.bad, Relaxed);
            not_unit.extend(counts.is_not_unit.then_some(number));
        }
        self.note(&ways, start.elapsed());
        self.is_scanned = ways.contains(&SearchPath::Scan);
        let hits = best.into_sorted();
        not_unit.extend(
            hits.first().filter(|best| self.scorer.is_out_of_reach(best.place.score)).map(|best| best.place.source),
        );
        for number in not_unit {
            if let Some(source) = self.sources.get(number as usize) {
                source.stats.not_unit.fetch_add(1, Relaxed);
            }
        }
        Ok(hits)
    }

    /// Counts a search that is done.
    fn note(&self, ways: &[SearchPath], took: Duration) {
        for (source, way) in self.sources.iter().zip(ways) {
            trace::note(|notes| notes.path = Some(*way));
            source.stats.searched(*way, took);
        }
    }
}

/// Adds a name to an error of SQLite. For a source that is open, [`Source::named`] does more.
pub fn named(error: Error, title: &str) -> Error {
    if matches!(error, Error::Sqlite { .. }) { error.within(format_args!("table {title}")) } else { error }
}

/// A number in place of a rowid, from the bytes that identify a row: FNV-1a, and at the end a multiplication that mixes the
/// bits.
pub fn hash(bytes: &[u8]) -> i64 {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mixed = (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29) as i64
}
