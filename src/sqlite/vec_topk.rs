//! `vec_topk(table_name, column_name, query [, k [, options]])`: the rows nearest to a query, best first.
//!
//! Two forms. With k the relation is the k nearest rows: only bounds that commute with that are passed down. Without k it is
//! every row with a vector: conditions on rowid, id, score and distance are passed down, and rows are found in batches
//! that grow as the reader goes on. A reader of `rank` sees the rank among all rows, so for it only bounds that cut off
//! the far end are passed down.

use super::args::{self, Args, Value, ValueRef};
use super::connection::Connection;
use super::ffi;
use super::identifier::paths;
use super::kept::{Kept, Place};
use super::planner::{Arguments, Planner, Signature, called, conditions};
use super::search::{Hit, Search, indexes};
use super::source::{Conditions, canonical, size};
use super::vtab::{Choice, Cursor, Declaration, IndexInfo, Risk, Table};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::plan::{Plan, Slot};
use crate::scan::{Range, Rules};

/// The table function.
pub struct VecTopk {
    connection: Connection,
    waiting: Place,
}

/// The columns, in the order of the declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Column {
    Rowid,
    Id,
    Score,
    Distance,
    Rank,
    Source,
    Table,
    Vectors,
    Query,
    K,
    Options,
}

impl Column {
    const ALL: [Self; 11] = [
        Self::Rowid,
        Self::Id,
        Self::Score,
        Self::Distance,
        Self::Rank,
        Self::Source,
        Self::Table,
        Self::Vectors,
        Self::Query,
        Self::K,
        Self::Options,
    ];
    const SCHEMA: &'static str = "CREATE TABLE x(rowid INTEGER, id, score REAL, distance REAL, rank INTEGER, source TEXT, \
         table_name HIDDEN, column_name HIDDEN, query HIDDEN, k HIDDEN, options HIDDEN)";
    const ARGUMENTS: [Self; 5] = [Self::Table, Self::Vectors, Self::Query, Self::K, Self::Options];
}

impl Table for VecTopk {
    const NAME: &'static str = "vec_topk";
    type Cursor = Reader;

    fn connect(connection: Connection, _arguments: &[&str]) -> Result<(Self, Declaration)> {
        Ok((
            Self { connection, waiting: Place::default() },
            Declaration { schema: Column::SCHEMA.into(), risk: Risk::Normal },
        ))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(self.connection, Planner::new(info)))
    }

    fn open(&self) -> Result<Reader> {
        Ok(Reader {
            connection: self.connection,
            waiting: self.waiting.clone(),
            asked: None,
            changes: 0,
            search: None,
            hits: Vec::new(),
            at: 0,
            passed: 0,
            batch: None,
        })
    }
}

const SIGNATURE: Signature = Signature {
    first: Column::Table as i32,
    names: &["table_name", "column_name", "query", "k", "options"],
    required: 3,
};
const K: Slot = Slot::Fourth;

/// Conditions on the id.
const ID_SLOTS: [Slot; 6] = [Slot::IdIs, Slot::IdIn, Slot::IdAbove, Slot::IdFrom, Slot::IdBelow, Slot::IdTo];

/// How many rows a source is thought to have when its name is not known yet. SQLite's planner thinks the same of tables.
pub const ROWS: i64 = 1 << 20;
/// What scoring a row is thought to cost in a scan, and in a look-up, in the planner's units.
pub const ROW_COST: f64 = 3.0;
const LOOKUP_COST: f64 = 30.0;

fn choose(connection: Connection, mut planner: Planner<'_, '_>) -> Choice {
    match planner.arguments(SIGNATURE) {
        Arguments::Later => return Choice::Unusable,
        Arguments::Missing => return Choice::Plan(planner.incomplete().number()),
        Arguments::Known => {}
    }
    keep_conditions(&mut planner);
    order(&mut planner);
    let mut literal = |slot| planner.constraint(slot).and_then(|at| planner.info.literal(at));
    let (table, column) = (literal(Slot::First), literal(Slot::Second));
    let options = planner.constraint(Slot::Fifth).map(|at| planner.info.literal(at));
    estimate(&mut planner, table.as_ref().and_then(|table| rows(connection, table)).unwrap_or(ROWS));
    let path = match (table, column, options) {
        (Some(table), Some(column), None) => path(connection, planner.plan, &table, &column, &Value::Null),
        (Some(table), Some(column), Some(Some(options))) => path(connection, planner.plan, &table, &column, &options),
        _ => "auto".into(),
    };
    let k = if planner.plan.has(K) { " k=?" } else { "" };
    planner.info.describe(&format!("{path}{k}{}", planner.plan.describe()));
    Choice::Plan(planner.hand_over().number())
}

/// The ways that a search with these literal arguments may go; lists and limits, which decide between them, come when it
/// runs. What is wrong with the arguments is said then, too.
pub fn path(connection: Connection, plan: Plan, table: &Value, column: &Value, options: &Value) -> String {
    if plan.has(Slot::RowidIs) || plan.has(Slot::IdIs) {
        return "lookup".into();
    }
    let names = || {
        let table = args::text("table_name as text", table.borrow())?;
        let column = args::text("column_name as text", column.borrow())?;
        indexes(connection, table, column, &read_options(options)?)
    };
    let way = match names() {
        Ok(names) if !names.is_empty() => format!("index {}", names.join(", ")),
        _ => "scan".into(),
    };
    let has_list = plan.has(Slot::RowidIn) || plan.has(Slot::IdIn);
    if has_list { format!("{way} or lookup") } else { way }
}

/// The options argument, which may be left out.
pub fn read_options(options: &Value) -> Result<Options> {
    match options {
        Value::Null => Ok(Options::default()),
        given => Options::from_json(args::text("options as a JSON object", given.borrow())?),
    }
}

fn keep_conditions(planner: &mut Planner<'_, '_>) {
    let k = planner.constraint(K);
    let is_limited = k.is_some_and(|at| planner.info.literal(at) != Some(Value::Null));
    let ranks = planner.info.reads(Column::Rank as usize);
    for (at, constraint) in planner.info.constraints().into_iter().enumerate() {
        let Some(slot) = slot(constraint.column, constraint.operator).filter(|_| constraint.usable) else { continue };
        let commutes = match slot {
            Slot::ScoreAbove | Slot::ScoreFrom | Slot::DistanceBelow | Slot::DistanceTo => true,
            Slot::Limit | Slot::Offset => !is_limited,
            _ => !is_limited && !ranks,
        };
        if commutes {
            keep_condition(planner, slot, at);
        }
    }
    // One list can drive the statement; SQLite checks the other.
    if planner.plan.has(Slot::IdIn) {
        planner.plan.remove(Slot::RowidIn);
    }
}

fn keep_condition(planner: &mut Planner<'_, '_>, slot: Slot, at: usize) {
    match slot {
        slot if ID_SLOTS.contains(&slot) && !planner.info.collation(at).eq_ignore_ascii_case("BINARY") => {}
        Slot::RowidIs if planner.info.is_list(at) => planner.keep(Slot::RowidIn, at),
        Slot::IdIs if planner.info.is_list(at) => planner.keep(Slot::IdIn, at),
        _ => planner.keep(slot, at),
    }
}

fn order(planner: &mut Planner<'_, '_>) {
    let best_first = [(Column::Score as i32, true), (Column::Distance as i32, false), (Column::Rank as i32, false)];
    if let [term] = planner.info.order()[..]
        && best_first.contains(&term)
    {
        planner.info.ordered();
    }
}

/// About how many rows the named tables have, where that is known.
pub fn rows(connection: Connection, table: &Value) -> Option<i64> {
    let paths = paths(args::text("", table.borrow()).ok()?).ok()?;
    size(connection, &paths)
}

fn estimate(planner: &mut Planner<'_, '_>, rows: i64) {
    let cost = rows as f64 * ROW_COST;
    let k = planner.constraint(K).map(|at| planner.info.literal(at));
    let may_be_null = planner.may_be_null(K) || planner.may_be_null(Slot::Fifth);
    let has = |slot| planner.plan.has(slot);
    match k {
        Some(Some(Value::Integer(k))) => planner.info.estimate(cost, k.clamp(1, rows.max(1))),
        Some(None) => planner.info.estimate(cost, 10),
        _ if may_be_null => planner.info.estimate(cost, rows),
        _ if has(Slot::RowidIs) || has(Slot::IdIs) => planner.info.estimate(LOOKUP_COST, 1),
        _ if has(Slot::RowidIn) || has(Slot::IdIn) => planner.info.estimate(25.0 * LOOKUP_COST, 25),
        _ => planner.info.estimate(cost, rows),
    }
}

/// The slot of a condition on a column.
fn slot(column: i32, operator: u32) -> Option<Slot> {
    use ffi::{
        SQLITE_INDEX_CONSTRAINT_EQ as EQ, SQLITE_INDEX_CONSTRAINT_GE as GE, SQLITE_INDEX_CONSTRAINT_GT as GT,
        SQLITE_INDEX_CONSTRAINT_LE as LE, SQLITE_INDEX_CONSTRAINT_LIMIT as LIMIT, SQLITE_INDEX_CONSTRAINT_LT as LT,
        SQLITE_INDEX_CONSTRAINT_OFFSET as OFFSET,
    };
    match operator {
        LIMIT => return Some(Slot::Limit),
        OFFSET => return Some(Slot::Offset),
        _ => {}
    }
    let slots = match Column::ALL.into_iter().find(|&known| known as i32 == column)? {
        Column::Score => {
            [None, Some(Slot::ScoreAbove), Some(Slot::ScoreFrom), Some(Slot::ScoreBelow), Some(Slot::ScoreTo)]
        }
        Column::Distance => [
            None,
            Some(Slot::DistanceAbove),
            Some(Slot::DistanceFrom),
            Some(Slot::DistanceBelow),
            Some(Slot::DistanceTo),
        ],
        Column::Rowid => [
            Some(Slot::RowidIs),
            Some(Slot::RowidAbove),
            Some(Slot::RowidFrom),
            Some(Slot::RowidBelow),
            Some(Slot::RowidTo),
        ],
        Column::Id => {
            [Some(Slot::IdIs), Some(Slot::IdAbove), Some(Slot::IdFrom), Some(Slot::IdBelow), Some(Slot::IdTo)]
        }
        _ => return None,
    };
    let operators = [EQ, GT, GE, LT, LE];
    operators.iter().position(|&known| known == operator).and_then(|at| slots[at])
}

/// One running search.
pub struct Reader {
    connection: Connection,
    /// Where the search waits for the next statement.
    waiting: Place,
    /// What the present hits answer.
    asked: Option<Asked>,
    /// The connection's count of changes when they were found.
    changes: i64,
    search: Option<Kept>,
    hits: Vec<Hit>,
    /// The present row among the hits.
    at: usize,
    /// Rows given in earlier batches.
    passed: usize,
    /// The size of the last batch, while there may be more rows behind it.
    batch: Option<usize>,
}

/// Everything a search is asked.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    /// The five arguments as they came, which the hidden columns echo.
    arguments: [Value; 5],
    /// The k of the form with k.
    k: Option<usize>,
    /// How many rows the reader is known to want.
    hint: Option<usize>,
    rules: Rules,
    conditions: Conditions,
}

impl Asked {
    fn read(plan: Plan, arguments: Args<'_>) -> Result<Self> {
        let given = called(SIGNATURE, plan, arguments)?;
        let value = |slot| plan.position(slot).map(|at| arguments.get(at));
        let k = match given[3] {
            ValueRef::Null => None,
            k => Some(usize::try_from(args::count("k", k)?).unwrap_or(usize::MAX)),
        };
        let range = |[above, from, below, to]: [Slot; 4]| Range {
            min: tighter(value(above), value(from), f64::max),
            max: tighter(value(below), value(to), f64::min),
        };
        Ok(Self {
            arguments: std::array::from_fn(|at| given[at].to_owned()),
            k,
            hint: value(Slot::Limit).and_then(|limit| hint(limit, value(Slot::Offset))),
            rules: Rules {
                score: range([Slot::ScoreAbove, Slot::ScoreFrom, Slot::ScoreBelow, Slot::ScoreTo]),
                distance: range([Slot::DistanceAbove, Slot::DistanceFrom, Slot::DistanceBelow, Slot::DistanceTo]),
                ..Rules::default()
            },
            conditions: conditions(plan, arguments)?,
        })
    }

    fn is_same_search(&self, other: &Self) -> bool {
        let but_k = |asked: &Self| (asked.arguments[..3].to_vec(), asked.arguments[4].clone());
        but_k(self) == but_k(other)
    }

    /// What a search is made of, but for the query.
    fn made_of(&self) -> [Value; 3] {
        let [table, column, _, _, options] = &self.arguments;
        [table.clone(), column.clone(), options.clone()]
    }

    fn open(&self, connection: Connection, waiting: &Place) -> Result<Option<Kept>> {
        let [table, column, query, _, options] = &self.arguments;
        let Some(query) = args::vector(query.borrow()).map_err(|error| error.within("query"))? else { return Ok(None) };
        let query = query.into_owned();
        if let Some(mut kept) = waiting.take(&self.made_of()) {
            kept.search.ask(query)?;
            return Ok(Some(kept));
        }
        let table = args::text("table_name as text", table.borrow())?;
        let column = args::text("column_name as text", column.borrow())?;
        let options = read_options(options)?;
        let search = || Search::open(connection, table, column, query, &options);
        Kept::open(connection, &paths(table)?, self.made_of(), search).map(Some)
    }
}

/// The stricter of a limit that is itself excluded and one that is included.
pub(super) fn tighter(
    excluded: Option<ValueRef<'_>>,
    included: Option<ValueRef<'_>>,
    stricter: fn(f64, f64) -> f64,
) -> Option<(f64, bool)> {
    match (excluded.and_then(number), included.and_then(number)) {
        (Some(out), Some(within)) if stricter(out, within) == out => Some((out, false)),
        (_, Some(within)) => Some((within, true)),
        (out, None) => out.map(|out| (out, false)),
    }
}

/// A bound that is exactly a double; any other is left to SQLite, which checks all of them again.
fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Real(x) => Some(x),
        ValueRef::Integer(x) if x.abs() <= 1 << 53 => Some(x as f64),
        _ => None,
    }
}

fn hint(limit: ValueRef<'_>, offset: Option<ValueRef<'_>>) -> Option<usize> {
    let ValueRef::Integer(limit) = limit else { return None };
    let offset = match offset {
        Some(ValueRef::Integer(offset)) => offset.max(0),
        _ => 0,
    };
    usize::try_from(limit.checked_add(offset)?).ok().filter(|_| limit >= 0)
}

impl Reader {
    /// Rows of the first batch when the reader's wish is not known. An index takes longer for more of them, a scan not.
    const FIRST_BY_INDEX: usize = 16;
    const FIRST_BY_SCAN: usize = 1024;
    /// How many times larger each next batch of an index is: all of them together cost little more than the last.
    const GROWTH: usize = 8;
    /// Each batch of a scan costs a scan, so that the next is as large as is cheap to sort; the limit is one of memory,
    /// 60 MB.
    const NEXT_BY_SCAN: usize = 1 << 16;
    const MOST_BY_SCAN: usize = 1 << 20;

    /// Whether the hits at hand answer the same question: an inner loop of a join asks it again for each outer row.
    fn is_answered(&self, asked: &Asked) -> bool {
        self.asked.as_ref() == Some(asked) && self.passed == 0 && self.changes == self.connection.total_changes()
    }

    fn start(&mut self, asked: Asked) -> Result<()> {
        let before = self.asked.take();
        if !before.is_some_and(|before| before.is_same_search(&asked)) {
            self.rest();
            self.search = asked.open(self.connection, &self.waiting)?;
        }
        self.changes = self.connection.total_changes();
        self.passed = 0;
        if let Some(kept) = &mut self.search {
            kept.search.stream(asked.k.is_none() && asked.hint.is_none());
        }
        let size = asked.k.or(asked.hint).unwrap_or_else(|| self.first());
        self.find(&asked, size, None)?;
        self.batch = Some(size).filter(|_| asked.k.is_none() && self.hits.len() == size);
        self.asked = Some(asked);
        Ok(())
    }

    fn first(&self) -> usize {
        match &self.search {
            // A statement that writes might change the rows behind a batch, so it gets all in one.
            _ if self.connection.is_writing() => usize::MAX,
            Some(kept) if kept.search.is_indexed() => Self::FIRST_BY_INDEX,
            _ => Self::FIRST_BY_SCAN,
        }
    }

    fn next(&self, size: usize) -> usize {
        let more = size.max(1).saturating_mul(Self::GROWTH);
        match &self.search {
            Some(kept) if kept.search.is_scanned() && size < Self::NEXT_BY_SCAN => more.max(Self::NEXT_BY_SCAN),
            Some(kept) if kept.search.is_scanned() => more.clamp(size.max(1), size.max(Self::MOST_BY_SCAN)),
            _ => more,
        }
    }

    fn find(&mut self, asked: &Asked, size: usize, after: Option<Hit>) -> Result<()> {
        self.at = 0;
        self.hits.clear();
        // One that fails is not used again.
        if let Some(mut kept) = self.search.take() {
            let rules = Rules { after: after.map(|last| last.place), ..asked.rules.clone() };
            self.hits = kept.search.run(size, &rules, &asked.conditions)?;
            self.search = Some(kept);
        }
        Ok(())
    }

    fn rest(&mut self) {
        if let Some(kept) = self.search.take().filter(|kept| kept.search.is_of_tables()) {
            self.waiting.put(kept);
        }
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

    fn hit(&self) -> Result<&Hit> {
        self.hits.get(self.at).ok_or_else(|| Error::Bug("a row was read past the end".into()))
    }

    fn result(&mut self, column: Column) -> Result<Value> {
        let rank = self.passed + self.at + 1;
        let hit = self.hit()?.clone();
        let Some(Kept { search, .. }) = &mut self.search else { return Ok(Value::Null) };
        let score = hit.place.score;
        Ok(match column {
            Column::Score => Value::Real(score),
            Column::Distance => Value::Real(search.metric().distance(score)),
            Column::Rank => Value::Integer(rank as i64),
            Column::Source => Value::from(search.source(&hit)?.title.as_str()),
            Column::Rowid if !search.source(&hit)?.has_rowid() => Value::Null,
            Column::Rowid => Value::Integer(hit.place.row),
            _ => search.source(&hit)?.id(hit.place.row, &hit.note)?,
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.rest();
    }
}

impl Cursor for Reader {
    fn filter(&mut self, plan: i32, arguments: Args<'_>) -> Result<()> {
        let asked = Asked::read(Plan::from_number(plan), arguments)?;
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
        let column = *Column::ALL.get(column).ok_or_else(|| Error::Bug(format!("column {column} was asked for")))?;
        match (Column::ARGUMENTS.iter().position(|&argument| argument == column), &self.asked) {
            (Some(at), Some(asked)) => Ok(asked.arguments[at].clone()),
            _ => self.result(column),
        }
    }

    /// The rowid where that alone identifies a row; else a hash of source and key, so that OR does not take two rows for
    /// one.
    fn rowid(&self) -> Result<i64> {
        let hit = self.hit()?;
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

/// FNV-1a, finished by a multiplicative mix.
pub(super) fn hash(bytes: &[u8]) -> i64 {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mixed = (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29) as i64
}
