//! `vec_topk_many(table_name, column_name, query_table, query_column, k [, options])`: the k nearest rows for every row of
//! a table of queries, in one shared pass.
//!
//! Some thousands of queries are answered at a time. The next ones are answered when all rows of these have been given, so
//! that memory stays bounded. If a statement that writes is running, all queries are answered before the first row is given,
//! because all must see the rows as they were at the beginning.

use crate::error::{Error, Result};
use crate::index::many;
use crate::metric::{Metric, Scorer};
use crate::planning::options::ManyOptions;
use crate::planning::plan::{Plan, Slot, Subject};
use crate::resources::config;
use crate::resources::reserve::{self, Reserve};
use crate::resources::stats::SearchPath;
use crate::resources::trace::{self, Stage, StageClock};
use crate::scan::{Rules, ScanQuery, VectorSource, Without, scan_many};
use crate::sqlite::host::args::{self, Args};
use crate::sqlite::host::connection::{Connection, Moment};
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Cursor, Declaration, IndexInfo, Risk, Table};
use crate::sqlite::search::call::{SearchCall, refused};
use crate::sqlite::search::estimates::rows;
use crate::sqlite::search::index_reader::{IndexReader, Many, elements};
use crate::sqlite::search::planner::{Planner, Signature, called, choose, conditions, rules};
use crate::sqlite::search::{Hit, Sources, hash, named};
use crate::sqlite::tables::conditions::{Conditions, canonical};
use crate::sqlite::tables::identifier::paths;
use crate::sqlite::tables::reentry::Running;
use crate::sqlite::tables::scan::Scan;
use crate::sqlite::tables::source::Source;
use crate::topk::TopK;
use crate::vector::{ElementType, shown};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// The table function.
pub struct VecTopkMany {
    connection: Connection,
}

/// The columns in front of the arguments, in the order of the declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum ManyColumn {
    QueryRowid,
    QueryId,
    Rowid,
    Id,
    Score,
    Distance,
    Rank,
    Source,
}

impl ManyColumn {
    const ALL: [Self; 8] =
        [Self::QueryRowid, Self::QueryId, Self::Rowid, Self::Id, Self::Score, Self::Distance, Self::Rank, Self::Source];
}

const SIGNATURE: Signature = Signature {
    columns: &[
        "query_rowid INTEGER",
        "query_id",
        "rowid INTEGER",
        "id",
        "score REAL",
        "distance REAL",
        "rank INTEGER",
        "source TEXT",
    ],
    arguments: &["table_name", "column_name", "query_table", "query_column", "k", "options"],
    required: 5,
};

/// What a pair of a query and a row probably costs, in the units of SQLite's planner.
const PAIR_COST: f64 = 0.05;

/// Bytes of the queries that are answered at a time.
const CHUNK_BYTES: usize = 8 << 20;
/// The most hits that are found at a time. Also the most hits that are kept, in case that the inner loop of a join asks the
/// same again.
const CHUNK_HITS: usize = 1 << 20;

impl Table for VecTopkMany {
    const NAME: &'static str = "vec_topk_many";
    type Cursor = ManyReader;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection }, SIGNATURE.declaration(Risk::Searching)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| {
            planner.rowid_conditions(ManyColumn::QueryRowid as i32);
            keep_bounds(planner);
            self.estimate(planner);
            planner.info.describe(&format!("many{}", planner.plan.describe()));
        }))
    }

    fn open(&self) -> Result<ManyReader> {
        let (asked, moment, batch, answers, at) = Default::default();
        Ok(ManyReader { connection: self.connection, asked, moment, batch, answers, is_whole: true, at })
    }
}

/// Keeps the bounds that drop the farthest rows. The k best are the same with them and without.
fn keep_bounds(planner: &mut Planner<'_, '_>) {
    for (at, constraint) in planner.info.constraints().into_iter().enumerate().filter(|(_, known)| known.usable) {
        let subject = match constraint.column {
            column if column == ManyColumn::Score as i32 => Subject::Score,
            column if column == ManyColumn::Distance as i32 => Subject::Distance,
            _ => continue,
        };
        if let Some(slot) = planner.slot(subject, at, constraint).filter(|slot| slot.drops_far_end()) {
            planner.keep(slot, at);
        }
    }
}

impl VecTopkMany {
    fn estimate(&self, planner: &mut Planner<'_, '_>) {
        let [all, queries] = [Slot::First, Slot::Third].map(|tables| rows(self.connection, planner, tables));
        let queries = match () {
            () if planner.plan.has(Slot::RowidIs) => 1,
            () if planner.plan.has(Slot::RowidIn) => queries.min(25),
            () => queries,
        };
        let k = match planner.literal(Slot::Fifth) {
            Some(Value::Integer(k)) => k.clamp(1, all.max(1)),
            _ => 10,
        };
        planner.info.estimate(all as f64 * (3.0 + queries as f64 * PAIR_COST), queries.saturating_mul(k).max(1));
    }
}

/// The cursor: one call and its present rows.
pub struct ManyReader {
    connection: Connection,
    /// The question of the present answers.
    asked: Option<ManyQuestion>,
    /// The moment at which they were found.
    moment: Moment,
    /// It is large, and searches may run within searches on a small stack.
    batch: Option<Box<Batch>>,
    answers: Vec<QueryAnswer>,
    /// Whether the present answers begin with the first query: none before them were dropped.
    is_whole: bool,
    at: At,
}

/// A query, and the rows nearest to it.
struct QueryAnswer {
    row: i64,
    note: Option<Value>,
    hits: Vec<Hit>,
}

/// The present row: the number of the answer, and the number of the hit in it.
#[derive(Debug, Clone, Copy, Default)]
struct At {
    answer: usize,
    hit: usize,
}

/// What one call asks.
#[derive(Debug, Clone, PartialEq)]
struct ManyQuestion {
    /// The arguments, which the hidden columns show.
    arguments: Vec<Value>,
    rules: Rules,
    conditions: Conditions,
}

impl ManyQuestion {
    fn read(plan: Plan, arguments: Args<'_>) -> Result<Self> {
        let given = called(SIGNATURE, plan, arguments)?;
        let arguments_given = given.into_iter().map(ValueRef::copied).collect::<Result<_>>()?;
        Ok(Self { arguments: arguments_given, rules: rules(plan, arguments), conditions: conditions(plan, arguments)? })
    }
}

impl ManyReader {
    fn start(&mut self, asked: ManyQuestion) -> Result<()> {
        (self.asked, self.batch, self.answers, self.is_whole) = (None, None, Vec::new(), true);
        self.moment = self.connection.moment();
        self.batch = Some(Batch::open(self.connection, &asked).inspect_err(refused(VecTopkMany::NAME))?);
        self.find()?;
        while self.connection.is_writing() && self.is_more() {
            self.find()?;
        }
        self.asked = Some(asked);
        Ok(())
    }

    fn is_more(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| !batch.reading.is_done)
    }

    /// Answers the next queries.
    fn find(&mut self) -> Result<()> {
        // A batch that fails is not used again.
        let Some(mut batch) = self.batch.take() else { return Ok(()) };
        let call = SearchCall::begin(VecTopkMany::NAME);
        let answers = batch.next();
        let rows = answers.as_ref().map(|answers| answers.iter().map(|answer| answer.hits.len()).sum());
        call.end(&batch.sources, Some(batch.reading.k), rows);
        let answers = answers?;
        self.batch = Some(batch);
        if self.answers.is_empty() {
            self.answers = answers;
        } else {
            self.answers.reserve_room(answers.len())?;
            self.answers.extend(answers);
        }
        Ok(())
    }

    /// Moves to the next row if there is none here.
    fn settle(&mut self) -> Result<()> {
        loop {
            while let Some(answer) = self.answers.get(self.at.answer) {
                if self.at.hit < answer.hits.len() {
                    return Ok(());
                }
                self.at = At { answer: self.at.answer + 1, hit: 0 };
            }
            if !self.is_more() {
                return Ok(());
            }
            if self.answers.iter().map(|answer| answer.hits.len()).sum::<usize>() >= CHUNK_HITS {
                (self.answers, self.at, self.is_whole) = (Vec::new(), At::default(), false);
            }
            self.find()?;
        }
    }

    /// Whether the present answers, and those to come, answer this question too. The inner loop of a join may ask the same
    /// for each outer row.
    fn is_answered(&self, asked: &ManyQuestion) -> bool {
        let is_same = self.asked.as_ref() == Some(asked) && self.moment == self.connection.moment();
        is_same && self.is_whole && self.batch.is_some()
    }

    fn present(&self) -> Result<(&QueryAnswer, &Hit)> {
        let answer = self.answers.get(self.at.answer);
        let present = answer.and_then(|answer| answer.hits.get(self.at.hit).map(|hit| (answer, hit)));
        present.ok_or_else(|| Error::Bug("a row was read past the end".into()))
    }
}

impl Cursor for ManyReader {
    fn filter(&mut self, plan: i32, arguments: Args<'_>) -> Result<()> {
        let asked = ManyQuestion::read(Plan::from_number(plan), arguments).inspect_err(refused(VecTopkMany::NAME))?;
        self.at = At::default();
        if !self.is_answered(&asked) {
            self.start(asked)?;
        }
        self.settle()
    }

    fn advance(&mut self) -> Result<()> {
        self.at.hit += 1;
        self.settle()
    }

    fn at_end(&self) -> bool {
        self.at.answer >= self.answers.len()
    }

    fn column(&mut self, column: usize) -> Result<Value> {
        match (ManyColumn::ALL.get(column), &self.asked) {
            (Some(column), _) => {
                let At { answer, hit } = self.at;
                let present = self.answers.get(answer).zip(self.batch.as_mut());
                let (answer, batch) = present.ok_or_else(|| Error::Bug("a row was read past the end".into()))?;
                batch.column(answer, hit, *column)
            }
            (None, Some(asked)) => SIGNATURE.echo(&asked.arguments, column),
            (None, None) => Ok(Value::Null),
        }
    }

    /// A hash of what identifies the query and the row. For an OR, SQLite takes two pairs with the same rowid for one.
    fn rowid(&self) -> Result<i64> {
        let (answer, hit) = self.present()?;
        let key = |row: i64, note: &Option<Value>| match note {
            Some(id) => canonical(id.borrow()),
            None => row.to_le_bytes().into(),
        };
        let (query, found) = (key(answer.row, &answer.note), key(hit.place.row, &hit.note));
        let length = query.len().to_le_bytes();
        Ok(hash(&[&length, query.as_slice(), &hit.place.source.to_le_bytes(), &found].concat()))
    }
}

/// The tables of one call, and the reader of its queries.
struct Batch {
    sources: Vec<Source>,
    /// The index of each source that has one.
    indexes: Vec<Option<IndexReader>>,
    queries: Source,
    /// The source in which a query does not find itself, with `exclude_self`.
    own: Option<u32>,
    metric: Metric,
    rules: Rules,
    reading: QueryReader,
}

/// A query that was read.
struct ReadQuery {
    scorer: Scorer,
    row: i64,
    note: Option<Value>,
}

impl Batch {
    fn open(connection: Connection, asked: &ManyQuestion) -> Result<Box<Self>> {
        let text = |what, at: usize| {
            let value = asked.arguments.get(at).map_or(ValueRef::Null, Value::borrow);
            args::text(what, value)
        };
        let options = match asked.arguments.get(5) {
            None | Some(Value::Null) => ManyOptions::default(),
            Some(given) => ManyOptions::from_json(args::text("options as a JSON object", given.borrow())?)?,
        };
        let k = args::count("k", asked.arguments.get(4).map_or(ValueRef::Null, Value::borrow))?;
        let column = text("column_name as text", 1)?;
        let Sources { tables: sources, indexes } =
            Sources::open(connection, text("table_name as text", 0)?, column, &options.each)?;
        let table = text("query_table as text", 2)?;
        let [path] = paths(table)?
            .try_into()
            .map_err(|_| Error::expected("query_table to name one table or view", shown(table)))?;
        let column = text("query_column as text", 3)?;
        let mut queries = Source::open(connection, &path, column, options.query_key.as_deref())
            .map_err(|error| named(error, &path.name))?;
        // Queries out of the searched column have its type, those of another column that of its index.
        let is_own = |source: &&Source| source.identity() == queries.identity() && source.column() == queries.column();
        let element = match (sources.iter().find(is_own), options.each.query_element()) {
            (Some(own), _) => own.elements(),
            (None, ElementType::F32) => elements(&queries, None)?,
            (None, bits) => bits,
        };
        queries.set_elements(element);
        let own = if options.exclude_self { Some(own(&sources, &queries)?) } else { None };
        let (metric, rules) = (options.each.metric, Rules { skip_bad: options.each.skip_bad, ..asked.rules.clone() });
        let reading = QueryReader {
            scan: queries.scan(&asked.conditions).map_err(|error| queries.named(error))?,
            metric,
            k: usize::try_from(k).unwrap_or(usize::MAX),
            most: None,
            skips: rules.skip_bad,
            length: None,
            next: None,
            bad: 0,
            is_begun: false,
            is_done: false,
        };
        Ok(Box::new(Self { sources, indexes, queries, own, metric, rules, reading }))
    }

    /// Answers the next queries. Empty after the last.
    fn next(&mut self) -> Result<Vec<QueryAnswer>> {
        let Self { sources, indexes, queries, own, metric: _, rules, reading } = self;
        let _running = Running::enter(sources.iter().chain([&*queries]))?;
        let chunk = reading.chunk().map_err(|error| queries.named(error))?;
        queries.stats.bad.fetch_add(std::mem::take(&mut reading.bad), Relaxed);
        let (k, has_rowid) = (reading.k, queries.has_rowid());
        let (mut asking, mut answers) = (Vec::new(), Vec::new());
        asking.reserve_room(chunk.len())?;
        answers.reserve_room(chunk.len())?;
        for ReadQuery { scorer, row, note } in chunk {
            let without = match own {
                None => None,
                Some(_) if has_rowid => Some(Without::Row(row)),
                Some(_) => Some(Without::Note(note.as_ref().map(Value::copied).transpose()?)),
            };
            asking.push(ScanQuery { scorer, best: TopK::new(k), without });
            answers.push(QueryAnswer { row, note, hits: Vec::new() });
        }
        for ((number, source), index) in (0..).zip(sources.iter_mut()).zip(indexes.iter_mut()) {
            let excludes = *own == Some(number);
            asking = Pass { source, index: index.as_mut(), number, rules, k, excludes }.run(asking)?;
        }
        for (answer, asking) in answers.iter_mut().zip(asking) {
            answer.hits = asking.best.into_sorted();
        }
        reading.most = answers.iter().map(|answer| answer.hits.len()).max();
        Ok(answers)
    }

    fn column(&mut self, answer: &QueryAnswer, at: usize, column: ManyColumn) -> Result<Value> {
        let hit = answer.hits.get(at).ok_or_else(|| Error::Bug("a row was read past the end".into()))?;
        let place = hit.place;
        let source = self.sources.get_mut(place.source as usize);
        let source = source.ok_or_else(|| Error::Bug("a hit from an unknown source".into()))?;
        Ok(match column {
            ManyColumn::QueryRowid if !self.queries.has_rowid() => Value::Null,
            ManyColumn::QueryRowid => Value::Integer(answer.row),
            ManyColumn::QueryId => self.queries.id(answer.row, &answer.note)?,
            ManyColumn::Rowid if !source.has_rowid() => Value::Null,
            ManyColumn::Rowid => Value::Integer(place.row),
            ManyColumn::Id => source.id(place.row, &hit.note)?,
            ManyColumn::Score => Value::Real(place.score),
            ManyColumn::Distance => Value::Real(self.metric.distance(place.score)),
            ManyColumn::Rank => Value::Integer(at as i64 + 1),
            ManyColumn::Source => Value::from(&*source.title),
        })
    }
}

/// The source in which queries must not find themselves: the table of the queries. If the call has only one source, it is that
/// one, because the queries may be a view of it.
fn own(sources: &[Source], queries: &Source) -> Result<u32> {
    let same = sources.iter().position(|source| source.identity() == queries.identity());
    let at = match (same, sources) {
        (Some(at), _) => at,
        (None, [_]) => 0,
        (None, _) => {
            let tables = "query_table to be one of the tables for options.exclude_self";
            return Err(Error::expected(tables, &queries.title));
        }
    };
    let alike = sources.get(at).is_some_and(|source| source.has_rowid() == queries.has_rowid());
    let what = "rows known by rowid in both tables, or by key in both, for options.exclude_self";
    if alike { Ok(at as u32) } else { Err(Error::expected(what, &queries.title)) }
}

/// Reads the queries that are answered together.
struct QueryReader {
    scan: Scan,
    metric: Metric,
    k: usize,
    /// The greatest number of hits of a query in the last chunk.
    most: Option<usize>,
    skips: bool,
    /// The dimensions of the queries so far.
    length: Option<usize>,
    /// A query of another length. The next chunk begins with it.
    next: Option<ReadQuery>,
    /// How many queries were skipped, because they are no vectors.
    bad: u64,
    is_begun: bool,
    is_done: bool,
}

impl QueryReader {
    /// The next queries, all of one length. Empty at the end.
    fn chunk(&mut self) -> Result<Vec<ReadQuery>> {
        if self.is_begun && !self.is_done && !self.scan.is_on_a_row() {
            return Err(Error::expected("the host to reset statements of its own alone", "those of fafcas"));
        }
        let mut chunk: Vec<ReadQuery> = self.next.take().into_iter().collect();
        while !self.is_full(&chunk) && !self.is_done {
            self.is_begun = true;
            // A statement that is stepped again after its end would begin again, so the end is remembered.
            self.is_done = !self.scan.advance()?;
            if self.is_done {
                break;
            }
            match self.query() {
                Ok(Some(query)) if chunk.first().is_some_and(|first| length(first) != length(&query)) => {
                    self.next = Some(query);
                    break;
                }
                Ok(Some(query)) => reserve::push(&mut chunk, query)?,
                Ok(None) => {}
                Err(_) if self.skips => self.bad += 1,
                Err(error) => return Err(error.within(self.scan.describe())),
            }
        }
        Ok(chunk)
    }

    /// k may be far greater than the number of rows. So when some queries have been answered, their hits tell how many to
    /// expect.
    fn is_full(&self, chunk: &[ReadQuery]) -> bool {
        let hits = self.most.map_or(self.k, |most| self.k.min(2 * most));
        let most = |length: usize| (CHUNK_BYTES / (4 * length)).min(CHUNK_HITS / hits.max(1)).max(1);
        chunk.first().is_some_and(|first| chunk.len() >= most(length(first)))
    }

    fn query(&mut self) -> Result<Option<ReadQuery>> {
        let Some(vector) = self.scan.vector()? else { return Ok(None) };
        let scorer = Scorer::new(self.metric, vector.into_owned())?;
        let expected = *self.length.get_or_insert(scorer.query().len());
        // With `skip_bad` this is no error: the rows of the other table do not fit, and they are skipped.
        if scorer.query().len() != expected && !self.skips {
            return Err(Error::dimensions(expected, "queries before", scorer.query().len()));
        }
        Ok(Some(ReadQuery { scorer, row: self.scan.row()?, note: self.scan.note()? }))
    }
}

fn length(query: &ReadQuery) -> usize {
    query.scorer.query().len()
}

/// A query with the rows found for it.
type NotedQuery = ScanQuery<Option<Value>>;

/// Answers some queries from one source.
struct Pass<'a> {
    source: &'a mut Source,
    index: Option<&'a mut IndexReader>,
    number: u32,
    rules: &'a Rules,
    k: usize,
    excludes: bool,
}

impl Pass<'_> {
    fn run(mut self, mut asking: Vec<NotedQuery>) -> Result<Vec<NotedQuery>> {
        let (start, queries) = (Instant::now(), asking.len());
        let answered = self.by_index(&mut asking)?;
        let is_left = |at: usize| !answered.get(at).copied().unwrap_or(false);
        let scanned = (0..queries).filter(|&at| is_left(at)).count();
        if scanned > 0 {
            // The codes may be of no use for some of the queries. Those are answered by a scan.
            let (left, mut rest): (Vec<_>, Vec<_>) = asking.into_iter().enumerate().partition(|(at, _)| is_left(*at));
            let (places, left): (Vec<usize>, Vec<NotedQuery>) = left.into_iter().unzip();
            rest.extend(places.into_iter().zip(self.by_scan(left)?));
            rest.sort_unstable_by_key(|(at, _)| *at);
            asking = rest.into_iter().map(|(_, asking)| asking).collect();
        }
        let path = if scanned > 0 { SearchPath::Scan } else { SearchPath::Index };
        trace::note(|notes| notes.path = Some(path));
        let each = start.elapsed() / queries.max(1) as u32;
        (scanned..queries).for_each(|_| self.source.stats.searched(SearchPath::Index, each));
        (0..scanned).for_each(|_| self.source.stats.searched(SearchPath::Scan, each));
        Ok(asking)
    }

    /// Asks the index, if there is one. Returns which queries it has answered.
    fn by_index(&mut self, asking: &mut [NotedQuery]) -> Result<Vec<bool>> {
        let Some(index) = self.index.as_mut() else { return Ok(Vec::new()) };
        let excludes = self.excludes;
        let wanted = asking.iter().map(|asking| many::BatchQuery {
            scorer: &asking.scorer,
            floor: asking.best.last(),
            without: match asking.without {
                Some(Without::Row(row)) if excludes => Some(row),
                _ => None,
            },
        });
        let wanted: Vec<_> = wanted.collect();
        let many = Many { queries: &wanted, limit: self.k, rules: self.rules, number: self.number };
        let answers = index.search_many(self.source, &many).map_err(|error| self.source.named(error))?;
        let answered = answers.iter().map(Option::is_some).collect();
        for (asking, places) in asking.iter_mut().zip(answers) {
            places.into_iter().flatten().try_for_each(|place| asking.best.offer(Hit { place, note: None }))?;
        }
        Ok(answered)
    }

    fn by_scan(&mut self, mut asking: Vec<NotedQuery>) -> Result<Vec<NotedQuery>> {
        let queries = asking.len() as u64;
        let without: Vec<_> = asking.iter_mut().map(|asking| asking.without.take()).collect();
        if self.excludes {
            asking.iter_mut().zip(&without).for_each(|(asking, without)| asking.without.clone_from(without));
        }
        let _clock = StageClock::begin(Stage::Sweeping);
        let scanned = self
            .source
            .scan(&Conditions::default())
            .and_then(|mut scan| scan_many(&mut scan, self.number, asking, self.rules, config::threads()));
        let (mut asking, counts) = scanned.map_err(|error| self.source.named(error))?;
        asking.iter_mut().zip(without).for_each(|(asking, without)| asking.without = without);
        // The same numbers as with one search for each query.
        self.source.stats.rows.fetch_add(counts.rows * queries, Relaxed);
        self.source.stats.bad.fetch_add(counts.bad * queries, Relaxed);
        Ok(asking)
    }
}
