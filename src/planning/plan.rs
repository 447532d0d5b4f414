//! The plan of a table function, as one number: which values its cursor gets, and in which order.
//!
//! SQLite hands this number from the planner to the cursor. Bit n is set if the value of the `Slot` with number n is
//! among the arguments. They come in the order of their bits: first the arguments of the call, then the values of
//! conditions.

/// A value that the planner can pass on to the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Slot {
    First,
    Second,
    Third,
    Fourth,
    Fifth,
    Sixth,
    Seventh,
    ScoreAbove,
    ScoreFrom,
    ScoreBelow,
    ScoreTo,
    DistanceAbove,
    DistanceFrom,
    DistanceBelow,
    DistanceTo,
    RowidIs,
    RowidIn,
    RowidAbove,
    RowidFrom,
    RowidBelow,
    RowidTo,
    IdIs,
    IdIn,
    IdAbove,
    IdFrom,
    IdBelow,
    IdTo,
    Limit,
    Offset,
}

impl Slot {
    /// All slots in the order of their bits, with the text that EXPLAIN QUERY PLAN shows for them.
    pub const ALL: [(Self, &'static str); 29] = [
        (Self::First, ""),
        (Self::Second, ""),
        (Self::Third, ""),
        (Self::Fourth, ""),
        (Self::Fifth, ""),
        (Self::Sixth, ""),
        (Self::Seventh, ""),
        (Self::ScoreAbove, "score>?"),
        (Self::ScoreFrom, "score>=?"),
        (Self::ScoreBelow, "score<?"),
        (Self::ScoreTo, "score<=?"),
        (Self::DistanceAbove, "distance>?"),
        (Self::DistanceFrom, "distance>=?"),
        (Self::DistanceBelow, "distance<?"),
        (Self::DistanceTo, "distance<=?"),
        (Self::RowidIs, "rowid=?"),
        (Self::RowidIn, "rowid IN (?)"),
        (Self::RowidAbove, "rowid>?"),
        (Self::RowidFrom, "rowid>=?"),
        (Self::RowidBelow, "rowid<?"),
        (Self::RowidTo, "rowid<=?"),
        (Self::IdIs, "id=?"),
        (Self::IdIn, "id IN (?)"),
        (Self::IdAbove, "id>?"),
        (Self::IdFrom, "id>=?"),
        (Self::IdBelow, "id<?"),
        (Self::IdTo, "id<=?"),
        (Self::Limit, "LIMIT ?"),
        (Self::Offset, "OFFSET ?"),
    ];

    /// The slots for the arguments of a call, in order.
    pub const ARGUMENTS: [Self; 7] =
        [Self::First, Self::Second, Self::Third, Self::Fourth, Self::Fifth, Self::Sixth, Self::Seventh];

    fn bit(self) -> i32 {
        1 << self as u8
    }
}

/// The set of slots that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan(i32);

impl Plan {
    /// The plan for a number that [`Plan::number`] gave.
    pub fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The number that stands for this plan.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Adds a slot.
    pub fn add(&mut self, slot: Slot) {
        self.0 |= slot.bit();
    }

    /// Removes a slot.
    pub fn remove(&mut self, slot: Slot) {
        self.0 &= !slot.bit();
    }

    /// Whether the value of this slot is passed on.
    pub fn has(self, slot: Slot) -> bool {
        self.0 & slot.bit() != 0
    }

    /// The position of the slot's value among the arguments of the cursor.
    pub fn position(self, slot: Slot) -> Option<usize> {
        let before = self.0 & (slot.bit() - 1);
        self.has(slot).then_some(before.count_ones() as usize)
    }

    /// The conditions, as EXPLAIN QUERY PLAN shows them after the name of the path.
    pub fn describe(self) -> String {
        let used = Slot::ALL.iter().filter(|(slot, text)| self.has(*slot) && !text.is_empty());
        used.map(|(_, text)| format!(" {text}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_slots_is_in_the_order_of_their_bits() {
        for (at, (slot, _)) in Slot::ALL.iter().enumerate() {
            assert_eq!(*slot as usize, at);
        }
    }

    #[test]
    fn values_come_in_the_order_of_their_slots() {
        let mut plan = Plan::default();
        for slot in [Slot::Limit, Slot::Second, Slot::ScoreFrom] {
            plan.add(slot);
        }
        let plan = Plan::from_number(plan.number());
        assert_eq!(plan.position(Slot::Second), Some(0));
        assert_eq!(plan.position(Slot::ScoreFrom), Some(1));
        assert_eq!(plan.position(Slot::Limit), Some(2));
        assert_eq!(plan.position(Slot::Offset), None);
        assert_eq!(plan.describe(), " score>=? LIMIT ?");
    }
}
