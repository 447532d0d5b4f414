//! Signs that something may have changed the table without the triggers of the index. Searches and merges look for them before
//! they trust an index.

use crate::error::Error;
use std::fmt;

/// Why an index may differ from its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The list of changes does not begin with the anchor that was written together with the blocks.
    Unbound,
    /// A trigger is newer than the seal. So it was missing for some time.
    Unsealed,
    /// VACUUM or a dump has given new rowids to the list of changes, and so perhaps to the table.
    Renumbered,
    /// An entry of the list of changes is missing, or names no row.
    Broken,
    /// The last rows of the table were inserted or deleted, and the list does not have them.
    Unnoted,
    /// A trigger of the user runs before those of the index, and can keep them from running.
    Outrun(String),
    /// A trigger of the user is on the list of changes.
    Intercepted(String),
}

impl Sign {
    /// Whether the sign means that future changes may be missed too. Comparing the rows then proves nothing for later.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Outrun(_) | Self::Intercepted(_))
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbound => f.write_str("the list of changes was not begun with this state of the index"),
            Self::Unsealed => f.write_str("triggers were made anew"),
            Self::Renumbered => f.write_str("rows may have new rowids"),
            Self::Broken => f.write_str("an entry is missing in the list of changes"),
            Self::Unnoted => f.write_str("the last rows changed and no trigger noted it"),
            Self::Outrun(name) => write!(f, "trigger {name} can keep changes from being noted"),
            Self::Intercepted(name) => write!(f, "trigger {name} is on the list of changes"),
        }
    }
}

/// The error for a statement whose authorizer answered SQLITE_IGNORE. SQLite itself reports none: the statement reads NULL, or
/// does nothing.
pub fn reshaped(what: impl fmt::Display) -> Error {
    Error::expected(
        "the statements of an index to do what they say",
        format_args!("what the authorizer of this connection makes of those on {what}; use a connection without it"),
    )
}
