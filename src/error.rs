//! The one error type: whose fault it was, and the sentence the user reads.
//!
//! A message never names the SQL function it will be shown under. The SQL side puts `vec_topk: ` in front when it hands
//! the message to SQLite, so that the same mistake gives the same sentence everywhere.

use std::fmt;

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// An error, by whom it asks to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The caller's: `expected this, not that`, with the values.
    Mistake(String),
    /// The data's: names the table and the row, or the block of an index, and says what mends it.
    Damaged(String),
    /// The machine's: what was asked takes more memory than there is.
    Memory(String),
    /// Ours: something that cannot happen did.
    Bug(String),
    /// SQLite's own: an extended result code and its text, passed on unchanged (busy, interrupted, disk full).
    Sqlite {
        /// The extended result code.
        code: i32,
        /// SQLite's text for it.
        message: String,
    },
}

impl Error {
    /// The caller's mistake, in the form every message has.
    pub fn expected(what: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::Mistake(format!("expected {what}, not {got}"))
    }

    /// The same error seen from further out: `place` names where it was found.
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
