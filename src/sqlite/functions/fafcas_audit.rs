//! `fafcas_audit(table_name, column_name [, n [, options]])`: how good the index is on the user's own data. Some queries are
//! searched by the index and by scan, and the answers are compared.
//!
//! Rows are compared by their scores, so that another row with the score of the last one counts as found.

use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::planning::options::{AuditOptions, IndexChoice, Options};
use crate::planning::plan::Slot;
use crate::resources::progress::Progress;
use crate::resources::reserve;
use crate::resources::stats::Entry;
use crate::scan::{Rules, VectorSource};
use crate::sqlite::host::args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Risk, Table};
use crate::sqlite::search::estimates::{ROW_COST, rows};
use crate::sqlite::search::finder::{Answering, Finder, FinderCursor};
use crate::sqlite::search::index_reader::{chosen, elements};
use crate::sqlite::search::planner::{Signature, choose};
use crate::sqlite::search::{Hit, Search};
use crate::sqlite::tables::conditions::Conditions;
use crate::sqlite::tables::identifier::{column_path, one};
use crate::sqlite::tables::reentry::Running;
use crate::sqlite::tables::scan::Scan;
use crate::sqlite::tables::source::Source;
use crate::vector::{check_finite, shown};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// The table function.
pub struct FafcasAudit {
    connection: Connection,
}

const SIGNATURE: Signature = Signature {
    columns: &["measure TEXT", "value"],
    arguments: &["table_name", "column_name", "n", "options"],
    required: 2,
};
/// How many queries there are if the caller does not say.
const QUERIES: u64 = 100;

impl Table for FafcasAudit {
    const NAME: &'static str = "fafcas_audit";
    type Cursor = FinderCursor<Audit>;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection }, SIGNATURE.declaration(Risk::Searching)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| {
            let size = rows(self.connection, planner, Slot::First);
            planner.info.estimate(size as f64 * ROW_COST * QUERIES as f64, 10);
            planner.info.describe("audit");
        }))
    }

    fn open(&self) -> Result<FinderCursor<Audit>> {
        Ok(Answering::cursor(self.connection, Audit { connection: self.connection }))
    }
}

/// One audit.
pub struct Audit {
    connection: Connection,
}

/// One row of the answer.
pub struct AuditRow {
    name: &'static str,
    value: Value,
}

impl Audit {
    fn measure(&self, given: &[ValueRef<'_>]) -> Result<Vec<AuditRow>> {
        let &[table, column, n, options] = given else { return Ok(Vec::new()) };
        let table = args::text("table_name as text", table)?;
        let column = args::text("column_name as text", column)?;
        let wanted = match n {
            ValueRef::Null => QUERIES,
            n => args::count("n", n)?,
        };
        if wanted == 0 {
            return Err(Error::expected("n of 1 or more", 0));
        }
        let options = match options {
            ValueRef::Null => AuditOptions::default(),
            given => AuditOptions::from_json(args::text("options as a JSON object", given)?)?,
        };
        let mut audited = AuditWays::open(self.connection, table, column, options)?;
        let mut questions = audited.questions(wanted)?;
        let shown = AuditProgress::begin(&audited.source.stats, questions.count);
        let mut found = AuditSums::default();
        while let Some(query) = questions.next(audited.options.each.skip_bad)? {
            self.connection.check_interrupt()?;
            let compared = audited.compare(&query).map_err(|error| error.within(questions.scan.describe()))?;
            found.add(compared, &mut questions)?;
            shown.tell(questions.taken);
        }
        Ok(found.into_measures(audited.options.k))
    }
}

/// The table that is audited, and how it is searched.
struct AuditWays {
    source: Source,
    table: String,
    options: AuditOptions,
    by_index: SearchWay,
    by_scan: SearchWay,
}

/// One of the two ways to search.
struct SearchWay {
    options: Options,
    /// The search, once there is a query.
    search: Option<Search>,
}

/// What one way found, and how long it took.
struct WayAnswer {
    hits: Vec<Hit>,
    took: Duration,
    /// Whether the rows were read from end to end.
    is_scan: bool,
}

/// The answers of both ways to one query.
struct AnswerPair {
    by_index: WayAnswer,
    by_scan: WayAnswer,
}

impl AuditWays {
    fn open(connection: Connection, table: &str, column: &str, options: AuditOptions) -> Result<Self> {
        let each = &options.each;
        let mut source = Source::open(connection, &one(table)?, column, each.key.as_deref())?;
        source.set_elements(elements(&source, each.element)?);
        let Some(name) = chosen(&source, each)? else {
            let wanted = format!("an index of {} (CREATE VIRTUAL TABLE ... USING vec_index)", source.describe_column());
            return Err(Error::expected(wanted, "none that can answer"));
        };
        // An index that is named answers even where a scan would be faster.
        let by_index = Options { index: IndexChoice::Named(name), ..each.clone() };
        let by_scan = Options { index: IndexChoice::Never, exact: false, ..each.clone() };
        let [by_index, by_scan] = [by_index, by_scan].map(|options| SearchWay { options, search: None });
        Ok(Self { source, table: table.to_string(), options, by_index, by_scan })
    }

    /// The queries: rows of the table itself, or of the table that the options name.
    fn questions(&self, wanted: u64) -> Result<QueryRows> {
        let (connection, options) = (self.source.connection(), &self.options);
        let Some(text) = &options.queries else {
            let (table, key) = (one(&self.table)?, options.each.key.as_deref());
            let mut queries = Source::open(connection, &table, self.source.column(), key)?;
            queries.set_elements(self.source.elements());
            return QueryRows::open(queries, wanted);
        };
        let wrong = || Error::expected("options.queries as 'table.column'", shown(text));
        let place = column_path(text).ok_or_else(wrong)?;
        let mut queries = Source::open(connection, &place.table, &place.column, options.query_key.as_deref())?;
        queries.set_elements(elements(&queries, None)?);
        QueryRows::open(queries, wanted)
    }

    fn compare(&mut self, query: &[F32Le]) -> Result<AnswerPair> {
        let (source, table, k) = (&self.source, &self.table, self.options.k);
        let by_index = self.by_index.answer(source, table, query, k)?;
        Ok(AnswerPair { by_index, by_scan: self.by_scan.answer(source, table, query, k)? })
    }
}

impl SearchWay {
    fn answer(&mut self, source: &Source, table: &str, query: &[F32Le], k: usize) -> Result<WayAnswer> {
        let query = reserve::copy(query)?;
        let search = match &mut self.search {
            Some(search) => {
                search.ask(query)?;
                search
            }
            none => none.insert(Search::open(source.connection(), table, source.column(), query, &self.options)?),
        };
        let start = Instant::now();
        let hits = search.run(k, &Rules::default(), &Conditions::default())?;
        Ok(WayAnswer { hits, took: start.elapsed(), is_scan: search.is_scanned() })
    }
}

/// Shows how far the audit is.
struct AuditProgress {
    stats: Arc<Entry>,
    progress: Progress,
}

impl AuditProgress {
    fn begin(stats: &Arc<Entry>, total: u64) -> Self {
        stats.begin(total);
        Self { stats: stats.clone(), progress: Progress::new("auditing", total) }
    }

    fn tell(&self, done: u64) {
        self.stats.done.store(done, Relaxed);
        self.progress.set(done);
    }
}

impl Drop for AuditProgress {
    fn drop(&mut self) {
        self.stats.total.store(0, Relaxed);
    }
}

/// The queries: rows with a vector, spread evenly over their source in its own order.
///
/// The statement that reads them stays open while the searches run. So all of them see the rows of one moment.
struct QueryRows {
    source: Source,
    scan: Scan,
    /// How many rows have a value, and how many of those were passed.
    total: u64,
    passed: u64,
    /// How many queries there are, and how many of those were taken.
    count: u64,
    taken: u64,
    is_on_a_row: bool,
}

impl QueryRows {
    fn open(mut source: Source, wanted: u64) -> Result<Self> {
        let (mut scan, mut counting) = (source.scan(&Conditions::default())?, source.scan(&Conditions::default())?);
        let running = Running::enter([&source])?;
        // The first row is read before the rows are counted, so that the snapshot is held from then on.
        let is_on_a_row = scan.advance()?;
        let mut total = 0;
        while counting.advance()? {
            total += u64::from(counting.has_value());
        }
        drop(running);
        Ok(Self { source, scan, total, passed: 0, count: wanted.min(total), taken: 0, is_on_a_row })
    }

    /// The next query. A row that is no vector is left out if `skips_bad` says so.
    fn next(&mut self, skips_bad: bool) -> Result<Option<Vec<F32Le>>> {
        let _running = Running::enter([&self.source])?;
        while self.taken < self.count && self.find()? {
            match self.vector() {
                Ok(Some(vector)) => return Ok(Some(vector)),
                Err(error) if !skips_bad => return Err(error.within(self.scan.describe())),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Moves to the next row that is taken.
    fn find(&mut self) -> Result<bool> {
        let next = u128::from(self.taken) * u128::from(self.total) / u128::from(self.count);
        while self.passed_a_row()? {
            let at = u128::from(self.passed);
            if self.scan.has_value() {
                self.passed += 1;
                if at == next {
                    self.taken += 1;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Moves to the next row, or stays on the first one, which was read before.
    fn passed_a_row(&mut self) -> Result<bool> {
        if std::mem::take(&mut self.is_on_a_row) { Ok(true) } else { self.scan.advance() }
    }

    fn vector(&self) -> Result<Option<Vec<F32Le>>> {
        let Some(vector) = self.scan.vector()? else { return Ok(None) };
        check_finite(&vector)?;
        reserve::copy(&vector).map(Some)
    }

    /// The id of the present row, or its rowid if it has no id.
    fn id(&mut self) -> Result<Value> {
        let row = self.scan.row()?;
        if !self.source.has_id() {
            return Ok(Value::Integer(row));
        }
        let note = self.scan.note()?;
        self.source.id(row, &note)
    }
}

/// What was found so far.
#[derive(Default)]
struct AuditSums {
    by_index: u64,
    /// The sum of the recalls of all queries.
    recall: f64,
    worst: Option<WorstQuery>,
    index_times: Vec<Duration>,
    scan_times: Vec<Duration>,
}

/// The query with the least recall.
struct WorstQuery {
    recall: f64,
    query: Value,
}

impl AuditSums {
    fn add(&mut self, AnswerPair { by_index, by_scan }: AnswerPair, questions: &mut QueryRows) -> Result<()> {
        let recall = recall(&by_index.hits, &by_scan.hits);
        self.by_index += u64::from(!by_index.is_scan);
        self.recall += recall;
        reserve::push(&mut self.index_times, by_index.took)?;
        reserve::push(&mut self.scan_times, by_scan.took)?;
        if self.worst.as_ref().is_none_or(|worst| recall < worst.recall) {
            self.worst = Some(WorstQuery { recall, query: questions.id()? });
        }
        Ok(())
    }

    fn into_measures(mut self, k: usize) -> Vec<AuditRow> {
        let queries = self.index_times.len();
        let mean = (queries > 0).then(|| self.recall / queries as f64);
        let (worst_recall, worst_query) =
            self.worst.map_or((Value::Null, Value::Null), |worst| (Value::Real(worst.recall), worst.query));
        self.index_times.sort_unstable();
        self.scan_times.sort_unstable();
        let whole = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let measure = |(name, value)| AuditRow { name, value };
        [
            ("queries", whole(queries)),
            ("by_index", Value::Integer(self.by_index as i64)),
            ("k", whole(k)),
            ("recall", mean.map_or(Value::Null, Value::Real)),
            ("worst_recall", worst_recall),
            ("worst_query", worst_query),
            ("index_p50_ms", quantile(&self.index_times, 0.5)),
            ("index_p95_ms", quantile(&self.index_times, 0.95)),
            ("scan_p50_ms", quantile(&self.scan_times, 0.5)),
            ("scan_p95_ms", quantile(&self.scan_times, 0.95)),
        ]
        .map(measure)
        .into()
    }
}

/// The share of the best rows that was found. A row counts if its score is not below that of the last of the best.
fn recall(found: &[Hit], best: &[Hit]) -> f64 {
    let Some(last) = best.last() else { return 1.0 };
    let good = found.iter().filter(|hit| hit.place.score >= last.place.score).count();
    good as f64 / best.len() as f64
}

/// The duration in milliseconds that this share of all durations did not exceed, in a list in ascending order.
fn quantile(sorted: &[Duration], share: f64) -> Value {
    let at = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(at).map_or(Value::Null, |took| Value::Real(took.as_secs_f64() * 1e3))
}

impl Finder for Audit {
    type Row = AuditRow;
    const SIGNATURE: Signature = SIGNATURE;

    fn find(&mut self, given: &[ValueRef<'_>], _: &Conditions) -> Result<Vec<AuditRow>> {
        self.measure(given)
    }

    fn column(&mut self, measure: &AuditRow, _: usize, column: usize) -> Result<Value> {
        if column == 0 { Ok(Value::from(measure.name)) } else { measure.value.copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topk::Place;

    fn hits(scores: &[f64]) -> Vec<Hit> {
        let place = |(row, &score): (i64, &f64)| Place { source: 0, row, score };
        (0..).zip(scores).map(place).map(|place| Hit { place, note: None }).collect()
    }

    #[test]
    fn rows_below_the_last_of_the_best_are_not_found() {
        let best = hits(&[9.0, 8.0, 7.0, 7.0]);
        for (found, share) in [
            (&[9.0, 8.0, 7.0, 7.0][..], 1.0),
            (&[9.0, 8.0, 7.0, 6.0], 0.75),
            (&[8.0], 0.25),
            (&[6.0, 5.0], 0.0),
            (&[], 0.0),
        ] {
            assert_eq!(recall(&hits(found), &best), share, "{found:?}");
        }
        assert_eq!(recall(&[], &[]), 1.0);
    }

    #[test]
    fn a_quantile_is_one_of_the_durations() {
        let times: Vec<_> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 0.5), Value::Real(10.0));
        assert_eq!(quantile(&times, 0.95), Value::Real(19.0));
        assert_eq!(quantile(&times[..1], 0.95), Value::Real(1.0));
        assert_eq!(quantile(&[], 0.5), Value::Null);
    }
}
