//! Signs that something got round the triggers of an index: what its searches and merges look at before they trust it.

use crate::error::Error;
use std::fmt;

/// Why an index may not be as its table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The list of changes does not begin with the anchor that goes with the blocks.
    Unbound,
    /// A trigger is younger than the seal, so that for a time it was not there.
    Unsealed,
    /// VACUUM or a dump gave new rowids to the list of changes, and so perhaps to the table.
    Renumbered,
    /// An entry of the list of changes is missing, or names no row.
    Broken,
    /// Nobody noted how the last rows of the table came or went.
    Unnoted,
    /// A trigger of the user's runs before the index's, and can keep them from running.
    Outrun(String),
    /// A trigger of the user's is on the list of changes.
    Intercepted(String),
}

impl Sign {
    /// Whether it is about changes to come. To compare the rows tells nothing then.
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

/// An authorizer may answer SQLITE_IGNORE, and the statement reads NULL, or does nothing, and there is no error. This is it.
pub fn reshaped(what: impl fmt::Display) -> Error {
    Error::expected(
        "the statements of an index to do what they say",
        format_args!("what the authorizer of this connection makes of those on {what}; use a connection without it"),
    )
}
