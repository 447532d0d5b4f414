//! The one type of errors: who must act, and the sentence that the user reads.
//!
//! A message does not contain the name of the SQL function. The SQL side puts it in front, as in `vec_topk: `, when it
//! hands the message to SQLite. So the same mistake gives the same sentence everywhere.

use std::fmt;

/// What every function of this crate returns if it can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// An error. Each variant says who must act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The caller made a mistake: `expected this, not that`, with the values.
    Mistake(String),
    /// The data are damaged. The message names the table and the row, or the block of an index, and says how to mend
    /// it.
    Damaged(String),
    /// The machine has too little memory for what was asked.
    Memory(String),
    /// A bug of this library: something happened that cannot happen.
    Bug(String),
    /// An error of SQLite, passed on unchanged: an extended result code and its text (busy, interrupted, disk full).
    Sqlite {
        /// The extended result code.
        code: i32,
        /// SQLite's text for it.
        message: String,
    },
}

impl Error {
    /// A mistake of the caller, in the form that every message has.
    pub fn expected(what: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::Mistake(format!("expected {what}, not {got}"))
    }

    /// A vector with another length than the others. `others` says which these are. `found` may end with a guess at the reason.
    pub fn dimensions(wanted: usize, others: &str, found: impl fmt::Display) -> Self {
        Self::expected(format_args!("{wanted} dimensions as in the {others}"), found)
    }

    /// Whether SQLite did not understand a statement: something that it names is not there.
    pub fn is_of_sql(&self) -> bool {
        matches!(self, Self::Sqlite { code: 1, .. })
    }

    /// The same error, with a place in front that says where it was found.
    #[must_use]
    pub fn within(self, place: impl fmt::Display) -> Self {
        match self {
            Self::Mistake(text) => Self::Mistake(format!("{place}: {text}")),
            Self::Damaged(text) => Self::Damaged(format!("{place}: {text}")),
            Self::Memory(text) => Self::Memory(format!("{place}: {text}")),
            Self::Bug(text) => Self::Bug(format!("{place}: {text}")),
            Self::Sqlite { code, message } => Self::Sqlite { code, message: format!("{place}: {message}") },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(text) | Self::Damaged(text) | Self::Memory(text) => f.write_str(text),
            Self::Bug(text) => write!(f, "{text} (this is a bug in fafcas, please report it)"),
            Self::Sqlite { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}
