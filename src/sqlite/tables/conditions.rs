//! Conditions on the columns `rowid` and `id` of a search, and how SQLite compares such values.

use crate::planning::plan::Comparison;
use crate::planning::rowset::Number;
use crate::sqlite::host::in_list::{LARGEST, List, integer};
use crate::sqlite::host::value::{Value, ValueRef};

/// The affinity of a column, which decides how SQLite stores values in it. Only the difference that matters for comparisons
/// of `id` is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    /// INTEGER, REAL or NUMERIC: SQLite stores a text that reads as a number as a number.
    Numeric,
    /// TEXT, BLOB or none: such a text stays a text.
    Other,
}

impl Affinity {
    /// SQLite's rules for declared types, in SQLite's order.
    pub fn of(kind: &str) -> Self {
        let kind = kind.to_ascii_uppercase();
        let names = |words: &[&str]| words.iter().any(|word| kind.contains(word));
        match () {
            () if names(&["INT"]) => Self::Numeric,
            () if names(&["CHAR", "CLOB", "TEXT", "BLOB"]) || kind.is_empty() => Self::Other,
            () => Self::Numeric,
        }
    }
}

/// Conditions on rowid and id, which the statement that reads a source applies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Comparisons of the rowid, each with a number.
    pub rowid: Vec<(Comparison, Value)>,
    /// Comparisons of the id, each with a value.
    pub id: Vec<(Comparison, Value)>,
    /// An IN: one value of the list must be equal.
    pub list: Option<(ListSubject, List)>,
}

/// What a list is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSubject {
    /// The rowid.
    Rowid,
    /// The id.
    Id,
}

impl Conditions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rowid.is_empty() && self.id.is_empty() && self.list.is_none()
    }

    /// Whether the rowid or id must be equal to one value. Then there is hardly more than one row.
    pub fn names_one(&self) -> bool {
        self.rowid.iter().chain(&self.id).any(|(comparison, _)| *comparison == Comparison::Is)
    }

    /// Whether there is a list and nothing else.
    pub fn is_list_alone(&self) -> bool {
        self.rowid.is_empty() && self.id.is_empty() && self.list.is_some()
    }

    /// Whether all conditions are on the rowid.
    pub(super) fn are_on_rowid(&self) -> bool {
        self.id.is_empty() && !matches!(self.list, Some((ListSubject::Id, _)))
    }
}

pub(super) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Integer(x) => Some(Number::Integer(*x)),
        Value::Real(x) => Some(Number::Real(*x)),
        _ => None,
    }
}

/// The rowid that is equal to a value of a list.
pub(super) enum EqualRowid {
    Is(i64),
    None,
    /// The value is a text or BLOB, and affinity decides whether a rowid is equal to it; or it is a REAL so large that SQLite must
    /// compare it.
    Unknown,
}

impl EqualRowid {
    pub fn to(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Integer(x) => Self::Is(x),
            ValueRef::Real(x) if x.abs() >= LARGEST => Self::Unknown,
            ValueRef::Real(x) => integer(x).map_or(Self::None, Self::Is),
            ValueRef::Null => Self::None,
            ValueRef::Text(_) | ValueRef::Blob(_) => Self::Unknown,
        }
    }
}

/// Bytes that are equal if the two values of a column are equal to SQLite.
pub fn canonical(value: ValueRef<'_>) -> Vec<u8> {
    let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
    match value {
        ValueRef::Null => tagged(0, &[]),
        ValueRef::Integer(x) => tagged(1, &x.to_le_bytes()),
        ValueRef::Real(x) => {
            integer(x).map_or_else(|| tagged(2, &x.to_le_bytes()), |whole| tagged(1, &whole.to_le_bytes()))
        }
        ValueRef::Text(text) => tagged(3, text),
        ValueRef::Blob(blob) => tagged(4, blob),
    }
}
