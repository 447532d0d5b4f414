//! Conditions on a source's own columns, and how SQLite compares their values.

use crate::planning::plan::Comparison;
use crate::planning::rowset::Number;
use crate::sqlite::host::in_list::{LARGEST, List};
use crate::sqlite::host::value::{Value, ValueRef};

/// What SQLite makes of values stored in a column: the part of its rules that comparisons of `id` depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    /// INTEGER, REAL or NUMERIC: no text that reads as a number is stored as text.
    Numeric,
    /// TEXT, BLOB or none: it may be.
    Other,
}

impl Affinity {
    /// By SQLite's rules for declared types, in their order.
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

/// Conditions on a source's own columns, to be met by the statement that reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Comparisons of the rowid with numbers.
    pub rowid: Vec<(Comparison, Value)>,
    /// Comparisons of the id.
    pub id: Vec<(Comparison, Value)>,
    /// A list of which one must be equal.
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

    /// Whether they say what the rowid or id is, which hardly more than one row can meet.
    pub fn names_one(&self) -> bool {
        self.rowid.iter().chain(&self.id).any(|(comparison, _)| *comparison == Comparison::Is)
    }

    /// Whether there is a list and nothing else.
    pub fn is_list_alone(&self) -> bool {
        self.rowid.is_empty() && self.id.is_empty() && self.list.is_some()
    }

    /// Whether they are on the rowid alone.
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

/// Which rowid equals a value of a list.
pub(super) enum EqualRowid {
    Is(i64),
    None,
    /// Numbers alone cannot tell.
    Unknown,
}

impl EqualRowid {
    pub fn to(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Integer(x) => Self::Is(x),
            ValueRef::Real(x) if x == (x as i64) as f64 && x.abs() < LARGEST => Self::Is(x as i64),
            ValueRef::Real(_) | ValueRef::Null => Self::None,
            ValueRef::Text(_) | ValueRef::Blob(_) => Self::Unknown,
        }
    }
}

/// Bytes that are equal when SQLite would call the values of a column equal.
pub fn canonical(value: ValueRef<'_>) -> Vec<u8> {
    let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
    match value {
        ValueRef::Null => tagged(0, &[]),
        ValueRef::Integer(x) => tagged(1, &x.to_le_bytes()),
        ValueRef::Real(x) if x == (x as i64) as f64 && x.abs() < LARGEST => tagged(1, &(x as i64).to_le_bytes()),
        ValueRef::Real(x) => tagged(2, &x.to_le_bytes()),
        ValueRef::Text(text) => tagged(3, text),
        ValueRef::Blob(blob) => tagged(4, blob),
    }
}
