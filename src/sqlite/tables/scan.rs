//! One pass over the rows of a source.

use super::catalogue::{RowKey, plain_or_quoted};
use super::conditions::{Conditions, canonical};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::metric::{Metric, Scorer};
use crate::planning::rowset::RowSet;
use crate::resources::reserve::Reserve;
use crate::resources::stats::SearchPath as Way;
use crate::scan::VectorSource;
use crate::sqlite::host::args::stored;
use crate::sqlite::host::connection::Run;
use crate::sqlite::host::in_list::List;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::vector::{ElementType, Vector};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// One pass over a source. It may stop between two rows and go on later, as long as nobody else touches its statement.
pub struct Scan {
    pub(super) statement: Run,
    pub(super) title: Rc<str>,
    pub(super) column: Rc<str>,
    pub(super) rows: Rc<RowKey>,
    pub(super) element: ElementType,
    /// Where vectors of other types than f32 are widened, one after the other.
    pub(super) widened: RefCell<Vec<F32Le>>,
    pub(super) keeps_id: bool,
    /// The number of the result column that a list is compared with.
    pub(super) listed: i32,
    /// How many rows were given so far.
    pub(super) position: i64,
    pub(super) names_one: bool,
    /// The values of the list that are not looked up yet, if there is a list.
    pub(super) pending: Option<Pending>,
    /// The rows to give, if their rowids decide that.
    pub(super) members: Option<RowSet>,
    /// The values that were found through the list. Two values of the list may be equal for the column (5 and '5').
    pub(super) seen: HashSet<Vec<u8>>,
}

pub(super) struct Pending {
    parameter: i32,
    values: List,
    next: usize,
    running: bool,
}

impl Scan {
    pub(super) fn bind(&mut self, conditions: Conditions) -> Result<()> {
        let mut parameter = 0;
        for (_, value) in conditions.rowid.iter().chain(&conditions.id) {
            parameter += 1;
            self.statement.bind(parameter, value.borrow())?;
        }
        let parameter = parameter + 1;
        self.pending = conditions.list.map(|(_, values)| Pending { parameter, values, next: 0, running: false });
        Ok(())
    }

    /// Whether the statement is still on the last row. A host may have reset it, though it is not the host's.
    pub fn is_on_a_row(&self) -> bool {
        self.statement.is_running()
    }

    /// Whether the present row has a value in the column.
    pub fn has_value(&self) -> bool {
        self.statement.column(1) != ValueRef::Null
    }

    /// How the rows are found.
    pub fn way(&self) -> Way {
        if self.names_one || self.pending.is_some() { Way::Lookup } else { Way::Scan }
    }

    fn step_to_member(&mut self) -> Result<bool> {
        while self.statement.step()? {
            if self.members.as_ref().is_none_or(|members| members.contains(self.statement.integer(0))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn step(&mut self) -> Result<bool> {
        let Some(pending) = &mut self.pending else { return self.step_to_member() };
        loop {
            if pending.running && self.statement.step()? {
                return Ok(true);
            }
            self.statement.reset();
            let Some(value) = pending.values.get(pending.next) else { return Ok(false) };
            pending.next += 1;
            self.statement.bind(pending.parameter, value)?;
            // The rows of one value are all equal in that column. So the first row tells whether an earlier value gave
            // them all.
            pending.running = self.statement.step()?;
            if pending.running {
                self.seen.reserve_room(1)?;
                if self.seen.insert(canonical(self.statement.column(self.listed))) {
                    return Ok(true);
                }
                pending.running = false;
            }
        }
    }
}

impl VectorSource for Scan {
    type Note = Option<Value>;

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        self.position += 1;
        if self.pending.is_none() && self.members.is_none() { self.statement.step() } else { self.step() }
    }

    #[inline]
    fn row(&self) -> Result<i64> {
        match &*self.rows {
            RowKey::Rowid(_) => Ok(self.statement.integer(0)),
            RowKey::None => Ok(self.position),
            RowKey::Column(name) => match self.statement.column(0) {
                ValueRef::Integer(rowid) => Ok(rowid),
                other => {
                    let view = format!("view {}, column {name}", self.title);
                    let got = format_args!("{other}; give the column another name");
                    Err(Error::expected("an INTEGER to serve as rowid", got).within(view))
                }
            },
        }
    }

    #[inline]
    fn vector(&self) -> Result<Option<Vector<'_>>> {
        stored(self.statement.column(1), self.element)
    }

    #[inline]
    fn score(&self, scorer: &Scorer) -> Result<Option<f64>> {
        let value = self.statement.column(1);
        // Nearly all columns are of f32, and all of their rows come by here.
        if self.element == ElementType::F32 {
            return match stored(value, self.element)? {
                Some(vector) => scorer.score(&vector).map(Some),
                None => Ok(None),
            };
        }
        match (value, self.element) {
            (ValueRef::Blob(bits), ElementType::Bit) if scorer.metric() == Metric::Hamming => {
                scorer.score_bits(bits).map(Some)
            }
            (value @ (ValueRef::Null | ValueRef::Text(_)), _) => {
                stored(value, self.element)?.map(|vector| scorer.score(&vector)).transpose()
            }
            (ValueRef::Blob(blob), element) => {
                scorer.score_stored(blob, element, &mut self.widened.borrow_mut()).map(Some)
            }
            (value, element) => stored(value, element).map(|_| None),
        }
    }

    fn note(&self) -> Result<Self::Note> {
        if self.keeps_id { self.statement.column(2).copied().map(Some) } else { Ok(None) }
    }

    fn element(&self) -> ElementType {
        self.element
    }

    fn describe(&self) -> String {
        let row = match (&*self.rows, self.keeps_id) {
            (RowKey::None, true) => format!("id {}", self.statement.column(2)),
            (RowKey::None, false) => format!("row {}", self.position),
            (RowKey::Column(_), _) if !matches!(self.statement.column(0), ValueRef::Integer(_)) => {
                format!("row {}", self.position)
            }
            _ => format!("rowid {}", self.statement.integer(0)),
        };
        format!("table {}, column {}, {row}", self.title, plain_or_quoted(&self.column))
    }
}
