//! The commands that are inserted into an index.

use crate::error::{Error, Result};
use crate::vector::shown;

/// What is expected, for messages.
pub(super) const COMMANDS: &str = "a command 'merge', 'merge N', 'rebuild', 'check' or 'warm'";

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Put changed rows into the blocks: so many, or all.
    Merge(Option<u64>),
    /// Write all blocks anew.
    Rebuild,
    /// Compare everything.
    Check,
    /// Read the blocks into memory.
    Warm,
}

impl Command {
    /// Reads a command.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "merge" => Ok(Self::Merge(None)),
            "rebuild" => Ok(Self::Rebuild),
            "check" => Ok(Self::Check),
            "warm" => Ok(Self::Warm),
            _ => Self::steps(text).ok_or_else(|| Error::expected(COMMANDS, shown(text))),
        }
    }

    /// `merge N`, for N rows from 1 on. Digits alone: no sign.
    fn steps(text: &str) -> Option<Self> {
        let number = text.strip_prefix("merge ")?;
        let rows = number.parse().ok().filter(|rows| *rows > 0 && number.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(Self::Merge(Some(rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_may_have_a_number_of_rows() {
        assert_eq!(Command::parse("merge").ok(), Some(Command::Merge(None)));
        assert_eq!(Command::parse("merge 1").ok(), Some(Command::Merge(Some(1))));
        assert_eq!(Command::parse("merge 18446744073709551615").ok(), Some(Command::Merge(Some(u64::MAX))));
        for wrong in ["merge 0", "merge -1", "merge +1", "merge 1.5", "merge  1", "merge ", "merge 1 ", "merge x"] {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Command::parse("merge 18446744073709551616").is_err());
    }
}
