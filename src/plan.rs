//! The plan of a `vec_topk` read, as one number: which values the cursor is given, and in which order.
//!
//! SQLite hands the number from the planner to the cursor. Bit n is set when the value of `Slot` n is among the arguments.
//! The first three arguments are always the table's name, the column's name and the query; those of the slots follow in
//! the order of their bits. Bit 30 marks a call without its arguments, which the cursor answers with an error.

/// A value that the planner may pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Slot {
    K,
    Options,
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
    /// All slots in the order of their bits, with what EXPLAIN QUERY PLAN shows of them.
    pub const ALL: [(Self, &'static str); 24] = [
        (Self::K, "k=?"),
        (Self::Options, "options=?"),
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

    fn bit(self) -> i32 {
        1 << self as u8
    }
}

/// The set of slots in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan(i32);

impl Plan {
    /// Arguments before those of the slots.
    const FIXED: usize = 3;
    /// A call without table, column or query.
    pub const INCOMPLETE: Self = Self(1 << 30);

    /// The plan behind a number that [`Plan::number`] gave.
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

    /// Takes a slot out.
    pub fn remove(&mut self, slot: Slot) {
        self.0 &= !slot.bit();
    }

    /// Whether the slot's value is passed.
    pub fn has(self, slot: Slot) -> bool {
        self.0 & slot.bit() != 0
    }

    /// The position of the slot's value among the arguments.
    pub fn position(self, slot: Slot) -> Option<usize> {
        let before = self.0 & (slot.bit() - 1);
        self.has(slot).then_some(Self::FIXED + before.count_ones() as usize)
    }

    /// What EXPLAIN QUERY PLAN shows behind the path's name.
    pub fn describe(self) -> String {
        let used = Slot::ALL.iter().filter(|(slot, _)| self.has(*slot));
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
    fn values_follow_the_three_fixed_arguments_in_order() {
        let mut plan = Plan::default();
        for slot in [Slot::Limit, Slot::K, Slot::ScoreFrom] {
            plan.add(slot);
        }
        let plan = Plan::from_number(plan.number());
        assert_eq!(plan.position(Slot::K), Some(3));
        assert_eq!(plan.position(Slot::ScoreFrom), Some(4));
        assert_eq!(plan.position(Slot::Limit), Some(5));
        assert_eq!(plan.position(Slot::Offset), None);
        assert_eq!(plan.describe(), " k=? score>=? LIMIT ?");
    }
}
