//! What FAFCAS requires of a column of vectors, checked row by row: finite numbers, the same number of dimensions,
//! length 1.

use crate::error::Result;
use crate::vector::{Vector, check_finite, unit_length};
use std::collections::BTreeMap;
use std::fmt;

/// What was found in the rows so far.
#[derive(Debug, Default)]
pub struct Invariants {
    /// Rows with a value in the column.
    pub values: u64,
    /// Rows with NULL.
    pub nulls: u64,
    /// Values that are no vectors.
    pub not_vectors: Exceptions,
    /// Vectors with NaN or infinities.
    pub not_finite: Exceptions,
    /// Vectors whose number of dimensions is not that of the first vector.
    pub other_dimensions: Exceptions,
    /// Vectors whose length is not 1.
    pub not_unit: Exceptions,
    /// How many vectors there are with each number of dimensions.
    pub dimensions: BTreeMap<usize, u64>,
    first: Option<usize>,
}

/// The rows that break a rule: how many there are, and which is the first.
#[derive(Debug, Default)]
pub struct Exceptions {
    /// How many.
    pub count: u64,
    first: String,
}

impl Exceptions {
    fn add(&mut self, describe: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = describe();
        }
        self.count += 1;
    }
}

impl fmt::Display for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 => f.write_str("all"),
            1 => write!(f, "all but 1: {}", self.first),
            count => write!(f, "all but {count}, the first: {}", self.first),
        }
    }
}

impl Invariants {
    /// Takes in the value of a row, or the reason why it is no vector. `describe` names the row.
    pub fn add(&mut self, value: Result<Option<Vector<'_>>>, describe: impl Fn() -> String) {
        match value {
            Ok(None) => self.nulls += 1,
            Ok(Some(vector)) => {
                self.values += 1;
                self.add_vector(&vector, describe);
            }
            Err(error) => {
                self.values += 1;
                self.not_vectors.add(|| format!("{}: {error}", describe()));
            }
        }
    }

    fn add_vector(&mut self, vector: &Vector<'_>, describe: impl Fn() -> String) {
        let length = vector.len();
        *self.dimensions.entry(length).or_default() += 1;
        let expected = *self.first.get_or_insert(length);
        if length != expected {
            self.other_dimensions.add(|| format!("{}: {length}", describe()));
        }
        if let Err(error) = check_finite(vector) {
            return self.not_finite.add(|| format!("{}: {error}", describe()));
        }
        if let Err(norm) = unit_length(vector) {
            self.not_unit.add(|| format!("{}: {norm:.6}", describe()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::vector::from_json;
    use std::borrow::Cow;

    fn found(rows: &[&str]) -> Invariants {
        let mut found = Invariants::default();
        for (at, row) in rows.iter().enumerate() {
            let value = if row.is_empty() { Ok(None) } else { from_json(row).map(|vector| Some(Cow::Owned(vector))) };
            found.add(value, || format!("row {at}"));
        }
        found
    }

    #[test]
    fn sound_rows_leave_nothing_to_say() {
        let found = found(&["[1,0]", "", "[0.6,0.8]", "[0.99995,0]", "[0,1.00005]"]);
        assert_eq!((found.values, found.nulls), (4, 1));
        for rule in [&found.not_vectors, &found.not_finite, &found.other_dimensions, &found.not_unit] {
            assert_eq!(rule.to_string(), "all");
        }
        assert_eq!(found.dimensions, [(2, 4)].into());
    }

    #[test]
    fn each_exception_is_counted_under_its_rule_and_the_first_named() {
        let found = found(&["[1,0]", "[1,0,0]", "[1]", "[2,0]", "[0.9998,0]", "[1e39,0]", "x", "[]", "[0,0]"]);
        assert_eq!(found.other_dimensions.to_string(), "all but 3, the first: row 1: 3");
        assert_eq!(found.not_unit.to_string(), "all but 4, the first: row 3: 2.000000");
        assert_eq!(found.not_finite.to_string(), "all but 1: row 5: expected finite numbers, not infinity at [0]");
        assert!(found.not_vectors.to_string().starts_with("all but 1: row 6: expected a JSON array of numbers"));
        assert_eq!(found.dimensions, [(0, 1), (1, 1), (2, 5), (3, 1)].into());
    }

    #[test]
    fn lengths_beyond_f32_are_not_unit() {
        assert_eq!(found(&["[3e38,3e38]"]).not_unit.to_string(), "all but 1: row 0: inf");
    }

    #[test]
    fn a_reason_is_told_with_its_row() {
        let mut found = Invariants::default();
        found.add(Err(Error::expected("this", "that")), || "row 0".into());
        assert_eq!(found.not_vectors.to_string(), "all but 1: row 0: expected this, not that");
    }
}
