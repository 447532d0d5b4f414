//! Values: [`ValueRef`] is one that SQLite owns, [`Value`] is one of our own.

use crate::error::Result;
use crate::resources::reserve;
use crate::vector::shown;
use crate::vector::typed::ElementValue;
use std::fmt;

/// A value that SQLite owns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT as the bytes it is stored in: SQLite does not promise valid UTF-8.
    Text(&'a [u8]),
    /// BLOB.
    Blob(&'a [u8]),
}

/// A value of our own.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT, as bytes.
    Text(Vec<u8>),
    /// BLOB.
    Blob(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl From<ElementValue> for Value {
    fn from(number: ElementValue) -> Self {
        match number {
            ElementValue::Integer(number) => Self::Integer(number),
            ElementValue::Real(number) => Self::Real(number),
        }
    }
}

impl Value {
    /// A copy. A text or blob may be as large as SQLite allows, so the memory for it may be missing.
    pub fn copied(&self) -> Result<Self> {
        self.borrow().copied()
    }

    /// A reference to this value.
    pub fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(x) => ValueRef::Integer(*x),
            Self::Real(x) => ValueRef::Real(*x),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }
    }
}

impl ValueRef<'_> {
    /// A copy, which lives longer than SQLite's value. A text or blob may be too large for the memory that is left.
    pub fn copied(self) -> Result<Value> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Integer(x) => Value::Integer(x),
            Self::Real(x) => Value::Real(x),
            Self::Text(text) => Value::Text(reserve::copy(text)?),
            Self::Blob(blob) => Value::Blob(reserve::copy(blob)?),
        })
    }
}

/// How a message shows a value: its type, and the value itself if that is short.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(x) => write!(f, "INTEGER {x}"),
            Self::Real(x) => write!(f, "REAL {x:?}"),
            Self::Text(text) => write!(f, "TEXT {}", shown(&String::from_utf8_lossy(text))),
            Self::Blob(blob) => write!(f, "a BLOB of {} bytes", blob.len()),
        }
    }
}
