//! The values of an IN. They lie side by side in one piece of memory: to allocate each alone would take longer than SQLite
//! takes to hand it over.

use super::value::ValueRef;
use crate::error::Result;
use crate::resources::reserve::{self, Reserve};
use std::cmp::Ordering;
use std::rc::Rc;

/// A list of values. A clone shares them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct List(Rc<Packed>);

#[derive(Debug, Default, PartialEq)]
struct Packed {
    items: Vec<Item>,
    /// The bytes of texts and blobs, one after the other.
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Item {
    Null,
    Integer(i64),
    Real(f64),
    /// The bytes from the first number up to the second.
    Text(usize, usize),
    Blob(usize, usize),
}

impl Packed {
    fn push(&mut self, value: ValueRef<'_>) -> Result<()> {
        let mut keep = |bytes: &[u8]| -> Result<(usize, usize)> {
            let start = self.bytes.len();
            self.bytes.reserve_room(bytes.len())?;
            self.bytes.extend_from_slice(bytes);
            Ok((start, self.bytes.len()))
        };
        let item = match value {
            ValueRef::Null => Item::Null,
            ValueRef::Integer(x) => Item::Integer(x),
            ValueRef::Real(x) => Item::Real(x),
            ValueRef::Text(text) => {
                let (start, end) = keep(text)?;
                Item::Text(start, end)
            }
            ValueRef::Blob(blob) => {
                let (start, end) = keep(blob)?;
                Item::Blob(start, end)
            }
        };
        reserve::push(&mut self.items, item)
    }

    fn read(&self, item: Item) -> ValueRef<'_> {
        let bytes = |start, end| self.bytes.get(start..end).unwrap_or_default();
        match item {
            Item::Null => ValueRef::Null,
            Item::Integer(x) => ValueRef::Integer(x),
            Item::Real(x) => ValueRef::Real(x),
            Item::Text(start, end) => ValueRef::Text(bytes(start, end)),
            Item::Blob(start, end) => ValueRef::Blob(bytes(start, end)),
        }
    }
}

impl List {
    /// A list of values. `each` gets a function, and must call it for each value.
    pub fn collect(each: impl FnOnce(&mut dyn FnMut(ValueRef<'_>) -> Result<()>) -> Result<()>) -> Result<Self> {
        let mut packed = Packed::default();
        each(&mut |value| packed.push(value))?;
        Ok(Self(Rc::new(packed)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.items.len()
    }

    /// The value at `at`, counted from 0, if there is one.
    pub fn get(&self, at: usize) -> Option<ValueRef<'_>> {
        self.0.items.get(at).map(|item| self.0.read(*item))
    }

    /// All values, in the order in which they were added.
    pub fn values(&self) -> impl Iterator<Item = ValueRef<'_>> {
        self.0.items.iter().map(|item| self.0.read(*item))
    }

    /// Prepares for the question whether a value is in the list. SQLite gives most lists in ascending order, so the list is
    /// sorted only if it is not sorted already.
    pub fn members(&self) -> Result<ListMembers> {
        let is_sorted = self.values().is_sorted_by(|a, b| compare(*a, *b).is_le());
        let mut order: Vec<u32> = Vec::new();
        if !is_sorted {
            order.reserve_room(self.len())?;
            order.extend(0..u32::try_from(self.len()).unwrap_or(u32::MAX));
            order.sort_unstable_by(|a, b| compare(self.at(*a), self.at(*b)));
        }
        Ok(ListMembers { list: self.clone(), order })
    }

    fn at(&self, at: u32) -> ValueRef<'_> {
        self.get(at as usize).unwrap_or(ValueRef::Null)
    }
}

/// Tells whether a value is in a list. Numbers and bytes are compared as they are, without affinity or collation.
pub struct ListMembers {
    list: List,
    /// The places of the values in ascending order of the values. Empty if the list itself is sorted.
    order: Vec<u32>,
}

impl ListMembers {
    /// Whether the value is in the list; NULL never is.
    pub fn contains(&self, value: ValueRef<'_>) -> bool {
        let is_it = |other: ValueRef<'_>| compare(other, value);
        let found = match self.order.as_slice() {
            [] => self.list.0.items.binary_search_by(|item| is_it(self.list.0.read(*item))),
            order => order.binary_search_by(|at| is_it(self.list.at(*at))),
        };
        value != ValueRef::Null && found.is_ok()
    }
}

/// The order in which SQLite sorts values, with texts compared by their bytes.
fn compare(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    use ValueRef::{Blob, Integer, Null, Real, Text};
    let rank = |value| match value {
        Null => 0,
        Integer(_) | Real(_) => 1,
        Text(_) => 2,
        Blob(_) => 3,
    };
    match (whole(a), whole(b)) {
        (Integer(a), Integer(b)) => a.cmp(&b),
        (Real(a), Real(b)) => a.total_cmp(&b),
        // A REAL with a fraction is below 2^52. An integer is exact as f64 too, or much larger. The other case is a REAL of
        // LARGEST or more, for which a small error does not matter.
        (Integer(a), Real(b)) => (a as f64).total_cmp(&b),
        (Real(a), Integer(b)) => a.total_cmp(&(b as f64)),
        (Text(a), Text(b)) | (Blob(a), Blob(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// A REAL whose absolute value is not below this is not compared with integers as exactly as SQLite does.
pub const LARGEST: f64 = 9.0e18;

/// The integer that a REAL below [`LARGEST`] is equal to, if there is one.
pub fn integer(x: f64) -> Option<i64> {
    (x == (x as i64) as f64 && x.abs() < LARGEST).then_some(x as i64)
}

fn whole(value: ValueRef<'_>) -> ValueRef<'_> {
    match value {
        ValueRef::Real(x) => integer(x).map_or(value, ValueRef::Integer),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ValueRef::{Blob, Integer, Null, Real, Text};

    fn list(values: &[ValueRef<'_>]) -> List {
        List::collect(|with| values.iter().try_for_each(|value| with(*value))).unwrap()
    }

    const ALL: [ValueRef<'_>; 14] = [
        Null,
        Real(-1.5),
        Integer(-1),
        Integer(0),
        Real(0.5),
        Integer(1 << 53),
        Integer((1 << 53) + 1),
        Real(1e300),
        Text(b""),
        Text(b"A"),
        Text(b"a"),
        Text(b"a\0b"),
        Blob(b""),
        Blob(b"a"),
    ];

    #[test]
    fn values_come_back_as_they_went_in() {
        assert!(list(&ALL).values().eq(ALL));
        assert_eq!(list(&ALL).len(), ALL.len());
        assert_eq!(list(&ALL), list(&ALL));
        assert_ne!(list(&ALL), list(&ALL[1..]));
        assert_eq!(list(&[]).get(0), None);
    }

    #[test]
    fn members_are_found_in_any_order_and_nothing_else_is() {
        let half: Vec<ValueRef<'_>> = ALL.iter().copied().skip(1).step_by(2).collect();
        let backwards: Vec<ValueRef<'_>> = half.iter().rev().chain(&half).copied().collect();
        for values in [half.as_slice(), &backwards] {
            let members = list(values).members().unwrap();
            for value in ALL {
                assert_eq!(members.contains(value), half.contains(&value), "{value:?} in {values:?}");
            }
        }
        assert!(!list(&ALL).members().unwrap().contains(Null));
        assert!(!list(&[]).members().unwrap().contains(Integer(0)));
    }

    #[test]
    fn equal_numbers_are_equal_whichever_way_they_are_kept() {
        let members = list(&[Integer(0), Real(5.0), Integer(7)]).members().unwrap();
        for value in [Real(-0.0), Integer(5), Real(7.0)] {
            assert!(members.contains(value), "{value:?}");
        }
        assert!(!members.contains(Text(b"5")) && !members.contains(Blob(b"5")));
    }
}
