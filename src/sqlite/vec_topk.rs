//! `vec_topk(table_name, column_name, query [, k [, options]])`: the rows nearest to a query, best first.
//!
//! Two forms. With k the relation is the k nearest rows: only bounds that commute with that are passed down. Without k it is
//! every row with a vector: conditions on rowid, id, score and distance are passed down, and rows are found in batches
//! that grow as the reader goes on. A reader of `rank` sees the rank among all rows, so for it only bounds that cut off
//! the far end are passed down.

use super::args::{self, Args, Value, ValueRef};
use super::connection::Connection;
use super::ffi;
use super::search::{Hit, Search};
use super::source::{Conditions, Listed, canonical};
use super::vtab::{Choice, Cursor, Declaration, IndexInfo, Risk, Table};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::plan::{Plan, Slot};
use crate::scan::{Range, Rules};

/// The table function.
pub struct VecTopk {
    connection: Connection,
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
        Ok((Self { connection }, Declaration { schema: Column::SCHEMA.into(), risk: Risk::Normal }))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(Planner::new(info).choose())
    }

    fn open(&self) -> Result<Reader> {
        Ok(Reader {
            connection: self.connection,
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

/// One choice of plan.
struct Planner<'a, 'b> {
    info: &'a mut IndexInfo<'b>,
    plan: Plan,
    /// The constraint behind each slot, by the slot's number.
    taken: [Option<usize>; Slot::ALL.len()],
}

/// Where an argument's value comes from in this plan.
enum Given {
    At(usize),
    Later,
    Never,
}

impl<'a, 'b> Planner<'a, 'b> {
    /// What a search is thought to cost; the planner never learns how large the source is.
    const SEARCH_COST: f64 = 5e6;
    const ROWS: i64 = 1_000_000;

    fn new(info: &'a mut IndexInfo<'b>) -> Self {
        Self { info, plan: Plan::default(), taken: [None; Slot::ALL.len()] }
    }

    fn choose(mut self) -> Choice {
        let mut fixed = Vec::new();
        for column in Column::ARGUMENTS {
            match (self.given(column), column) {
                (Given::Later, _) => return Choice::Unusable,
                (Given::At(at), Column::K) => self.keep(Slot::K, at),
                (Given::At(at), Column::Options) => self.keep(Slot::Options, at),
                (Given::At(at), _) => fixed.push(at),
                (Given::Never, Column::K | Column::Options) => {}
                (Given::Never, _) => return self.incomplete(),
            }
        }
        let literal = fixed.iter().take(2).all(|&at| self.info.literal(at).is_some());
        self.keep_conditions();
        self.hand_over(&fixed);
        self.order();
        self.estimate();
        let path = if literal { "scan" } else { "auto" };
        self.info.describe(&format!("{path}{}", self.plan.describe()));
        Choice::Plan(self.plan.number())
    }

    /// So dear that any plan in which the arguments are seen wins: for the terms of an OR, SQLite asks for a plan without
    /// showing them. Where there is no other plan they are missing, and the cursor says so.
    fn incomplete(self) -> Choice {
        self.info.estimate(1e99, Self::ROWS);
        Choice::Plan(Plan::INCOMPLETE.number())
    }

    fn given(&self, column: Column) -> Given {
        let constraints = self.info.constraints();
        let mut values = constraints.iter().enumerate().filter(|(_, constraint)| {
            constraint.column == column as i32 && constraint.operator == ffi::SQLITE_INDEX_CONSTRAINT_EQ
        });
        match (values.clone().find(|(_, constraint)| constraint.usable), values.next()) {
            (Some((at, _)), _) => Given::At(at),
            (None, Some(_)) => Given::Later,
            (None, None) => Given::Never,
        }
    }

    fn keep(&mut self, slot: Slot, at: usize) {
        if !self.plan.has(slot) {
            self.plan.add(slot);
            self.taken[slot as usize] = Some(at);
        }
    }

    fn keep_conditions(&mut self) {
        let k = self.taken[Slot::K as usize];
        let is_limited = k.is_some_and(|at| self.info.literal(at) != Some(Value::Null));
        let ranks = self.info.reads(Column::Rank as usize);
        for (at, constraint) in self.info.constraints().into_iter().enumerate() {
            if !constraint.usable {
                continue;
            }
            let Some(slot) = slot(constraint.column, constraint.operator) else { continue };
            let commutes = match slot {
                Slot::ScoreAbove | Slot::ScoreFrom | Slot::DistanceBelow | Slot::DistanceTo => true,
                Slot::Limit | Slot::Offset => !is_limited,
                _ => !is_limited && !ranks,
            };
            if commutes {
                self.keep_condition(slot, at);
            }
        }
        // One list can drive the statement; SQLite checks the other.
        if self.plan.has(Slot::IdIn) && self.plan.has(Slot::RowidIn) {
            self.plan.remove(Slot::RowidIn);
        }
    }

    fn keep_condition(&mut self, slot: Slot, at: usize) {
        match slot {
            Slot::IdIs | Slot::IdAbove | Slot::IdFrom | Slot::IdBelow | Slot::IdTo
                if !self.info.collation(at).eq_ignore_ascii_case("BINARY") => {}
            Slot::RowidIs if self.info.is_list(at) => self.keep(Slot::RowidIn, at),
            Slot::IdIs if self.info.is_list(at) => self.keep(Slot::IdIn, at),
            _ => self.keep(slot, at),
        }
    }

    /// Asks for the values in the order the plan promises. What the search enforces by itself is not checked again: its
    /// own arguments, and the id, which is compared with the affinity of the user's key column.
    fn hand_over(&mut self, fixed: &[usize]) {
        for &at in fixed {
            self.info.take(at, true);
        }
        for (slot, _) in Slot::ALL {
            let Some(at) = self.taken[slot as usize].filter(|_| self.plan.has(slot)) else { continue };
            let enforced = matches!(
                slot,
                Slot::K
                    | Slot::Options
                    | Slot::IdIs
                    | Slot::IdIn
                    | Slot::IdAbove
                    | Slot::IdFrom
                    | Slot::IdBelow
                    | Slot::IdTo
            );
            self.info.take(at, enforced);
            if matches!(slot, Slot::RowidIn | Slot::IdIn) {
                self.info.take_list(at);
            }
        }
    }

    fn order(&mut self) {
        let best_first = [(Column::Score as i32, true), (Column::Distance as i32, false), (Column::Rank as i32, false)];
        if let [term] = self.info.order()[..]
            && best_first.contains(&term)
        {
            self.info.ordered();
        }
    }

    fn estimate(&mut self) {
        let has = |slot| self.plan.has(slot);
        let k = self.taken[Slot::K as usize].and_then(|at| self.info.literal(at));
        match k {
            Some(Value::Integer(k)) => self.info.estimate(Self::SEARCH_COST, k.max(1)),
            None if has(Slot::K) => self.info.estimate(Self::SEARCH_COST, 10),
            _ if has(Slot::RowidIs) || has(Slot::IdIs) => {
                self.info.estimate(30.0, 1);
            }
            _ if has(Slot::RowidIn) || has(Slot::IdIn) => self.info.estimate(750.0, 25),
            _ => self.info.estimate(Self::SEARCH_COST, Self::ROWS),
        }
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
    /// What the present hits answer.
    asked: Option<Asked>,
    /// The connection's count of changes when they were found.
    changes: i64,
    search: Option<Search>,
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
        if plan == Plan::INCOMPLETE {
            return Err(Error::expected("the arguments table_name, column_name and query", "fewer"));
        }
        let value = |slot| plan.position(slot).map(|at| arguments.get(at));
        let given = |slot| value(slot).unwrap_or(ValueRef::Null).to_owned();
        let k = match value(Slot::K) {
            None | Some(ValueRef::Null) => None,
            Some(k) => Some(usize::try_from(args::count("k", k)?).unwrap_or(usize::MAX)),
        };
        let range = |[above, from, below, to]: [Slot; 4]| Range {
            min: tighter(value(above), value(from), f64::max),
            max: tighter(value(below), value(to), f64::min),
        };
        Ok(Self {
            arguments: [
                arguments.get(0).to_owned(),
                arguments.get(1).to_owned(),
                arguments.get(2).to_owned(),
                given(Slot::K),
                given(Slot::Options),
            ],
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

    fn open(&self, connection: Connection) -> Result<Option<Search>> {
        let [table, column, query, _, options] = &self.arguments;
        let Some(query) = args::vector(query.borrow()).map_err(|error| error.within("query"))? else { return Ok(None) };
        let table = args::text("table_name as text", table.borrow())?;
        let column = args::text("column_name as text", column.borrow())?;
        let options = match options {
            Value::Null => Options::default(),
            given => Options::from_json(args::text("options as a JSON object", given.borrow())?)?,
        };
        Search::open(connection, table, column, query.into_owned(), &options).map(Some)
    }
}

/// The stricter of a limit that is itself excluded and one that is included.
fn tighter(
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

fn conditions(plan: Plan, arguments: Args<'_>) -> Result<Conditions> {
    const ROWID: [(Slot, &str); 5] = [
        (Slot::RowidIs, "="),
        (Slot::RowidAbove, ">"),
        (Slot::RowidFrom, ">="),
        (Slot::RowidBelow, "<"),
        (Slot::RowidTo, "<="),
    ];
    const ID: [(Slot, &str); 5] =
        [(Slot::IdIs, "="), (Slot::IdAbove, ">"), (Slot::IdFrom, ">="), (Slot::IdBelow, "<"), (Slot::IdTo, "<=")];
    let compared = |table: [(Slot, &'static str); 5]| {
        let values = table
            .into_iter()
            .filter_map(|(slot, operator)| plan.position(slot).map(|at| (operator, arguments.get(at).to_owned())));
        values.collect::<Vec<_>>()
    };
    let is_number = |value: &Value| matches!(value, Value::Integer(_) | Value::Real(_));
    // What is not a number is compared with a rowid by SQLite alone.
    let rowid = compared(ROWID).into_iter().filter(|(_, value)| is_number(value)).collect();
    let list = match (plan.position(Slot::RowidIn), plan.position(Slot::IdIn)) {
        (Some(at), _) => Some((Listed::Rowid, arguments.list(at)?)).filter(|(_, list)| list.iter().all(is_number)),
        (None, Some(at)) => Some((Listed::Id, arguments.list(at)?)),
        (None, None) => None,
    };
    Ok(Conditions { rowid, id: compared(ID), list })
}

impl Reader {
    /// Rows of the first batch when the reader's wish is not known, and how many times larger each next batch is.
    const FIRST_BATCH: usize = 1024;
    const GROWTH: usize = 8;

    /// Whether the hits at hand answer the same question: an inner loop of a join asks it again for each outer row.
    fn is_answered(&self, asked: &Asked) -> bool {
        self.asked.as_ref() == Some(asked) && self.passed == 0 && self.changes == self.connection.total_changes()
    }

    fn start(&mut self, asked: Asked) -> Result<()> {
        let before = self.asked.take();
        if !before.is_some_and(|before| before.is_same_search(&asked)) {
            self.search = None;
            self.search = asked.open(self.connection)?;
        }
        self.changes = self.connection.total_changes();
        self.passed = 0;
        let size = asked.k.or(asked.hint).unwrap_or(Self::FIRST_BATCH);
        self.find(&asked, size, None)?;
        self.batch = Some(size).filter(|_| asked.k.is_none() && self.hits.len() == size);
        self.asked = Some(asked);
        Ok(())
    }

    fn find(&mut self, asked: &Asked, size: usize, after: Option<Hit>) -> Result<()> {
        self.at = 0;
        self.hits.clear();
        if let Some(search) = &mut self.search {
            let rules = Rules { after: after.map(|last| last.place), ..asked.rules.clone() };
            self.hits = search.run(size, &rules, &asked.conditions)?;
        }
        Ok(())
    }

    fn next_batch(&mut self, size: usize) -> Result<()> {
        let Some(asked) = self.asked.take() else { return Ok(()) };
        let size = size.max(1).saturating_mul(Self::GROWTH);
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
        let Some(search) = &mut self.search else { return Ok(Value::Null) };
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
fn hash(bytes: &[u8]) -> i64 {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mixed = (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29) as i64
}
