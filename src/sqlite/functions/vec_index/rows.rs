//! The rows that an index is made of: which tables it can have, and the values of the column.

use crate::error::{Error, Result};
use crate::index::Mean;
use crate::scan::VectorSource;
use crate::sqlite::storage::table_rows::TableRows;
use crate::sqlite::tables::conditions::Conditions;
use crate::sqlite::tables::source::Source;
use crate::vector::check_finite;

/// What a build does with a value that is not a vector with the dimensions of the index.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stray {
    /// It is an error: the user has just named the column.
    Refused,
    /// The row is noted. Searches then answer by a scan, which gives an error that names the row.
    Noted,
}

/// The name of the rowid of a table. An error if the table cannot be indexed.
pub(super) fn ordinary(source: &Source) -> Result<&'static str> {
    let refused =
        || Error::expected("an ordinary table with rowids", format_args!("{}, {}", source.title, source.kind()));
    source.rowid_name().ok_or_else(refused)
}

/// The mean of all vectors. Their lengths are checked, too.
pub(super) fn mean(source: &mut Source, table: &mut TableRows, everything: &Conditions, stray: Stray) -> Result<Mean> {
    let mut mean = Mean::default();
    let mut dimensions = None;
    let mut scan = source.scan(everything)?;
    let mut values = 0;
    while scan.advance()? {
        let vector = match scan.vector() {
            Ok(None) if values == 0 && table.conceals([scan.row()?])? => return Err(table.concealed()),
            Ok(None) => continue,
            Ok(Some(vector)) => check_finite(&vector).map(|()| vector),
            Err(error) => Err(error),
        };
        values += 1;
        let fitting = vector.and_then(|vector| match vector.len() {
            0 => Err(Error::expected("at least 1 dimension", 0)),
            length => match *dimensions.get_or_insert(length) {
                wanted if wanted == length => Ok(vector),
                wanted => Err(Error::dimensions(wanted, "rows before", scan.element().miscounted(wanted, length))),
            },
        });
        match fitting {
            Ok(vector) => mean.add(&vector),
            Err(error) if stray == Stray::Refused => return Err(error.within(scan.describe())),
            Err(_) => {}
        }
    }
    Ok(mean)
}
