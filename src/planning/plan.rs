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

/// How a condition compares a column with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Is,
    Above,
    From,
    Below,
    To,
}

impl Comparison {
    /// The operator, as SQL writes it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::Above => ">",
            Self::From => ">=",
            Self::Below => "<",
            Self::To => "<=",
        }
    }
}

/// What a condition is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Subject {
    Score,
    Distance,
    Rowid,
    Id,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Distance => "distance",
            Self::Rowid => "rowid",
            Self::Id => "id",
        }
    }
}

impl Slot {
    /// All slots in the order of their bits.
    pub const ALL: [Self; 29] = [
        Self::First,
        Self::Second,
        Self::Third,
        Self::Fourth,
        Self::Fifth,
        Self::Sixth,
        Self::Seventh,
        Self::ScoreAbove,
        Self::ScoreFrom,
        Self::ScoreBelow,
        Self::ScoreTo,
        Self::DistanceAbove,
        Self::DistanceFrom,
        Self::DistanceBelow,
        Self::DistanceTo,
        Self::RowidIs,
        Self::RowidIn,
        Self::RowidAbove,
        Self::RowidFrom,
        Self::RowidBelow,
        Self::RowidTo,
        Self::IdIs,
        Self::IdIn,
        Self::IdAbove,
        Self::IdFrom,
        Self::IdBelow,
        Self::IdTo,
        Self::Limit,
        Self::Offset,
    ];

    /// The slots for the arguments of a call, in order.
    pub const ARGUMENTS: [Self; 7] =
        [Self::First, Self::Second, Self::Third, Self::Fourth, Self::Fifth, Self::Sixth, Self::Seventh];

    /// The one table of the comparisons that can be passed on.
    const COMPARISONS: [(Self, Subject, Comparison); 18] = [
        (Self::ScoreAbove, Subject::Score, Comparison::Above),
        (Self::ScoreFrom, Subject::Score, Comparison::From),
        (Self::ScoreBelow, Subject::Score, Comparison::Below),
        (Self::ScoreTo, Subject::Score, Comparison::To),
        (Self::DistanceAbove, Subject::Distance, Comparison::Above),
        (Self::DistanceFrom, Subject::Distance, Comparison::From),
        (Self::DistanceBelow, Subject::Distance, Comparison::Below),
        (Self::DistanceTo, Subject::Distance, Comparison::To),
        (Self::RowidIs, Subject::Rowid, Comparison::Is),
        (Self::RowidAbove, Subject::Rowid, Comparison::Above),
        (Self::RowidFrom, Subject::Rowid, Comparison::From),
        (Self::RowidBelow, Subject::Rowid, Comparison::Below),
        (Self::RowidTo, Subject::Rowid, Comparison::To),
        (Self::IdIs, Subject::Id, Comparison::Is),
        (Self::IdAbove, Subject::Id, Comparison::Above),
        (Self::IdFrom, Subject::Id, Comparison::From),
        (Self::IdBelow, Subject::Id, Comparison::Below),
        (Self::IdTo, Subject::Id, Comparison::To),
    ];

    /// The slot for a comparison. There is none for a score or distance that must be equal to a value.
    pub fn of(subject: Subject, comparison: Comparison) -> Option<Self> {
        let known = Self::COMPARISONS.iter().find(|(_, on, by)| (*on, *by) == (subject, comparison));
        known.map(|(slot, ..)| *slot)
    }

    /// The slot for an IN: one value of the list must be equal.
    pub fn of_list(subject: Subject) -> Option<Self> {
        match subject {
            Subject::Rowid => Some(Self::RowidIn),
            Subject::Id => Some(Self::IdIn),
            Subject::Score | Subject::Distance => None,
        }
    }

    /// The comparisons on one subject, with their slots.
    pub fn comparisons(subject: Subject) -> impl Iterator<Item = (Self, Comparison)> {
        let known = Self::COMPARISONS.iter().filter(move |(_, on, _)| *on == subject);
        known.map(|(slot, _, comparison)| (*slot, *comparison))
    }

    /// Whether the condition of the slot drops only the farthest rows. Then it may be applied before or after the k nearest
    /// are chosen, with the same result.
    pub fn drops_far_end(self) -> bool {
        matches!(self, Self::ScoreAbove | Self::ScoreFrom | Self::DistanceBelow | Self::DistanceTo)
    }

    /// Adds what EXPLAIN QUERY PLAN shows; nothing for an argument. SQLite asks for many plans of one statement.
    fn show(self, shown: &mut String) {
        let mut add = |parts: &[&str]| parts.iter().for_each(|part| shown.push_str(part));
        match self {
            Self::RowidIn => add(&[" rowid IN (?)"]),
            Self::IdIn => add(&[" id IN (?)"]),
            Self::Limit => add(&[" LIMIT ?"]),
            Self::Offset => add(&[" OFFSET ?"]),
            _ => {
                if let Some((_, subject, comparison)) = Self::COMPARISONS.iter().find(|(slot, ..)| *slot == self) {
                    add(&[" ", subject.name(), comparison.sql(), "?"]);
                }
            }
        }
    }

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
        let mut shown = String::with_capacity(64);
        let conditions = Slot::ALL.into_iter().skip(Slot::ARGUMENTS.len());
        conditions.filter(|slot| self.has(*slot)).for_each(|slot| slot.show(&mut shown));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_slots_is_in_the_order_of_their_bits() {
        for (at, slot) in Slot::ALL.iter().enumerate() {
            assert_eq!(*slot as usize, at);
        }
    }

    #[test]
    fn every_comparison_has_a_slot_of_its_own() {
        let of = |slot: Slot| Slot::COMPARISONS.iter().filter(move |(known, ..)| *known == slot).count();
        let [arguments, others] = [Slot::ARGUMENTS.len(), 4];
        assert_eq!(Slot::ALL.into_iter().filter(|slot| of(*slot) == 1).count(), Slot::COMPARISONS.len());
        assert_eq!(Slot::ALL.into_iter().filter(|slot| of(*slot) == 0).count(), arguments + others);
        for (slot, subject, comparison) in Slot::COMPARISONS {
            assert_eq!(Slot::of(subject, comparison), Some(slot));
        }
        assert_eq!(Slot::of(Subject::Score, Comparison::Is), None);
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
