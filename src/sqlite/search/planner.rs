//! What all table functions have in common: they find their arguments among the constraints, and get the values in the order
//! of the plan.

use crate::error::{Error, Result};
use crate::planning::plan::{Comparison, Plan, Slot, Subject};
use crate::resources::trace::{Stage, StageClock};
use crate::scan::{Range, Rules};
use crate::sqlite::host::args::Args;
use crate::sqlite::host::call::element_of;
use crate::sqlite::host::connection::{Connection, Moment};
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Constraint, ConstraintKind, Declaration, IndexInfo, Risk};
use crate::sqlite::tables::conditions::{Conditions, ListSubject};
use crate::vector::ElementType;

/// The columns and the arguments of a table function.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// The columns of its rows, with their types.
    pub columns: &'static [&'static str],
    /// The names of the arguments. SQLite knows them as hidden columns after the others, and a call as conditions that make
    /// them equal to values.
    pub arguments: &'static [&'static str],
    /// How many of them a call must have.
    pub required: usize,
}

impl Signature {
    /// The declaration that SQLite wants.
    pub fn schema(self) -> String {
        let columns = self.columns.iter().map(|column| (*column).to_owned());
        let arguments = self.arguments.iter().map(|name| format!("{name} HIDDEN"));
        format!("CREATE TABLE x({})", columns.chain(arguments).collect::<Vec<_>>().join(", "))
    }

    /// What a table function with these columns tells SQLite about itself.
    pub fn declaration(self, risk: Risk) -> Declaration {
        Declaration { schema: self.schema(), risk }
    }

    /// The value of a hidden column: the argument that the call gave.
    pub fn echo(self, arguments: &[Value], column: usize) -> Result<Value> {
        let argument = column.checked_sub(self.columns.len()).and_then(|at| arguments.get(at));
        argument.map_or(Ok(Value::Null), Value::copied)
    }
}

/// Makes one plan.
pub struct Planner<'a, 'b> {
    /// What SQLite knows of the statement.
    pub info: &'a mut IndexInfo<'b>,
    /// The slots that are used so far.
    pub plan: Plan,
    /// For each slot, by its number, the constraint that gives its value.
    taken: [Option<usize>; Slot::ALL.len()],
}

/// Whether the arguments of a call are known.
enum Arguments {
    /// All arguments of the call are known.
    Known,
    /// One argument depends on a table that comes later in this order of the join.
    Later,
    /// A required argument is missing.
    Missing,
}

/// Makes the plan of a call. After the arguments, `with` keeps other constraints and estimates what the call costs.
pub fn choose(info: &mut IndexInfo<'_>, signature: Signature, with: impl FnOnce(&mut Planner<'_, '_>)) -> Choice {
    let _clock = StageClock::begin(Stage::Planning);
    let mut planner = Planner::new(info);
    match planner.arguments(signature) {
        Arguments::Later => Choice::Unusable,
        Arguments::Missing => Choice::Plan(planner.incomplete().number()),
        Arguments::Known => {
            with(&mut planner);
            Choice::Plan(planner.hand_over().number())
        }
    }
}

impl<'a, 'b> Planner<'a, 'b> {
    /// An empty plan.
    fn new(info: &'a mut IndexInfo<'b>) -> Self {
        Self { info, plan: Plan::default(), taken: [None; Slot::ALL.len()] }
    }

    /// Keeps the arguments of a call.
    fn arguments(&mut self, signature: Signature) -> Arguments {
        let constraints = self.info.constraints();
        for ((column, slot), at) in
            (signature.columns.len() as i32..).zip(Slot::ARGUMENTS).zip(0..signature.arguments.len())
        {
            let mut given = constraints.iter().enumerate().filter(|(_, constraint)| {
                constraint.column == column && constraint.kind == ConstraintKind::Compares(Comparison::Is)
            });
            match (given.clone().find(|(_, constraint)| constraint.usable), given.next()) {
                (Some((constraint, _)), _) => self.keep(slot, constraint),
                (None, Some(_)) => return Arguments::Later,
                (None, None) if at < signature.required => return Arguments::Missing,
                (None, None) => {}
            }
        }
        Arguments::Known
    }

    /// The plan of a call without its required arguments. It costs so much that any plan that has them wins. For the terms
    /// of an OR, SQLite asks for a plan and does not show the arguments. If there is no other plan, they really are missing,
    /// and the cursor reports it.
    fn incomplete(self) -> Plan {
        self.info.estimate(1e99, 1);
        Plan::default()
    }

    /// Keeps a constraint for a slot, unless the slot has one.
    pub fn keep(&mut self, slot: Slot, constraint: usize) {
        if !self.plan.has(slot) {
            self.plan.add(slot);
            self.taken[slot as usize] = Some(constraint);
        }
    }

    /// The constraint that was kept for a slot.
    pub fn constraint(&self, slot: Slot) -> Option<usize> {
        self.taken[slot as usize].filter(|_| self.plan.has(slot))
    }

    /// The value of a slot, if it is a literal.
    pub fn literal(&mut self, slot: Slot) -> Option<Value> {
        self.constraint(slot).and_then(|at| self.info.literal(at))
    }

    /// Whether an optional argument is given and may be NULL, which means the same as leaving it out.
    ///
    /// In a plan for an OR, SQLite compares the hidden column with NULL again and loses every row. SQLite chooses such plans
    /// if look-ups are cheap, so the estimates must not make them cheap if this is true.
    pub fn may_be_null(&mut self, argument: Slot) -> bool {
        let literal = self.constraint(argument).map(|at| self.info.literal(at).unwrap_or(Value::Null));
        literal == Some(Value::Null)
    }

    /// Asks for the values in the order of the plan. SQLite checks all conditions again, but not the arguments.
    fn hand_over(&mut self) -> Plan {
        for slot in Slot::ALL {
            let Some(constraint) = self.constraint(slot) else { continue };
            self.info.take(constraint, Slot::ARGUMENTS.contains(&slot));
            if matches!(slot, Slot::RowidIn | Slot::IdIn) {
                self.info.take_list(constraint);
            }
        }
        self.plan
    }
}

impl Planner<'_, '_> {
    /// Keeps the conditions on a column that holds the rowid.
    pub fn rowid_conditions(&mut self, column: i32) {
        for (at, constraint) in self.info.constraints().into_iter().enumerate() {
            let slot = self.slot(Subject::Rowid, at, constraint);
            if let Some(slot) = slot.filter(|_| constraint.column == column && constraint.usable) {
                self.keep(slot, at);
            }
        }
    }

    /// The slot of a constraint on a column with this subject, if the constraint can be passed on.
    pub fn slot(&mut self, subject: Subject, at: usize, constraint: Constraint) -> Option<Slot> {
        match constraint.kind {
            ConstraintKind::Compares(comparison) => {
                let list = Slot::of_list(subject).filter(|_| comparison == Comparison::Is && self.info.is_list(at));
                list.or_else(|| Slot::of(subject, comparison))
            }
            ConstraintKind::Limit | ConstraintKind::Offset | ConstraintKind::Other => None,
        }
    }
}

/// The arguments that the cursor got. An error if a required one is missing.
pub fn called<'a>(signature: Signature, plan: Plan, arguments: Args<'a>) -> Result<Vec<ValueRef<'a>>> {
    let given = Slot::ARGUMENTS.iter().take(signature.arguments.len());
    let values: Vec<Option<usize>> = given.map(|&slot| plan.position(slot)).collect();
    if values.iter().take(signature.required).any(Option::is_none) {
        let names = signature.arguments.get(..signature.required).unwrap_or_default();
        return Err(Error::expected(format_args!("the arguments {}", names.join(", ")), "fewer"));
    }
    let query = signature.arguments.iter().position(|name| *name == "query");
    if let Some(at) = query.and_then(|slot| values.get(slot).copied().flatten()) {
        check_query(element_of(arguments.subtype(at)))?;
    }
    Ok(values.into_iter().map(|at| at.map_or(ValueRef::Null, |at| arguments.get(at))).collect())
}

/// Refuses a query that a vector function made of another type: its bytes would be read as f32.
fn check_query(element: ElementType) -> Result<()> {
    match element {
        ElementType::F32 | ElementType::Bit => Ok(()),
        other => Err(Error::expected("query as f32, or as bit for 'hamming'", other.name())),
    }
}

/// The question that the present rows of a cursor answer. The inner loop of a join may ask the same for each outer row.
pub struct KeptQuestion {
    arguments: Vec<Value>,
    conditions: Conditions,
    moment: Moment,
}

impl KeptQuestion {
    /// The question of a call, at the present moment.
    pub fn new(connection: Connection, arguments: &[ValueRef<'_>], conditions: Conditions) -> Result<Self> {
        let arguments = arguments.iter().map(|argument| argument.copied()).collect::<Result<_>>()?;
        Ok(Self { arguments, conditions, moment: connection.moment() })
    }

    /// Whether a call asks the same, and the connection has changed nothing since.
    pub fn is_of(&self, connection: Connection, arguments: &[ValueRef<'_>], conditions: &Conditions) -> bool {
        self.moment == connection.moment()
            && self.conditions == *conditions
            && self.arguments.iter().map(Value::borrow).eq(arguments.iter().copied())
    }

    /// The conditions that the plan has kept.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// The arguments, which the hidden columns show.
    pub fn arguments(&self) -> &[Value] {
        &self.arguments
    }
}

/// The conditions on rowid and id that the cursor got.
pub fn conditions(plan: Plan, arguments: Args<'_>) -> Result<Conditions> {
    let compared = |subject| -> Result<Vec<(Comparison, Value)>> {
        let given = Slot::comparisons(subject).filter_map(|(slot, by)| plan.position(slot).map(|at| (by, at)));
        given.map(|(by, at)| Ok((by, arguments.get(at).copied()?))).collect()
    };
    let is_number = |value: ValueRef<'_>| matches!(value, ValueRef::Integer(_) | ValueRef::Real(_));
    // A comparison of the rowid with a value that is no number is left to SQLite.
    let rowid = compared(Subject::Rowid)?.into_iter().filter(|(_, value)| is_number(value.borrow())).collect();
    let list = match (plan.position(Slot::RowidIn), plan.position(Slot::IdIn)) {
        (Some(at), _) => {
            Some((ListSubject::Rowid, arguments.list(at)?)).filter(|(_, list)| list.values().all(is_number))
        }
        (None, Some(at)) => Some((ListSubject::Id, arguments.list(at)?)),
        (None, None) => None,
    };
    Ok(Conditions { rowid, id: compared(Subject::Id)?, list })
}

/// The bounds on score and distance that the cursor got.
pub fn rules(plan: Plan, arguments: Args<'_>) -> Rules {
    let value = |slot| plan.position(slot).map(|at| arguments.get(at));
    let range = |[above, from, below, to]: [Slot; 4]| Range {
        min: tighter(value(above), value(from), f64::max),
        max: tighter(value(below), value(to), f64::min),
    };
    Rules {
        score: range([Slot::ScoreAbove, Slot::ScoreFrom, Slot::ScoreBelow, Slot::ScoreTo]),
        distance: range([Slot::DistanceAbove, Slot::DistanceFrom, Slot::DistanceBelow, Slot::DistanceTo]),
        ..Rules::default()
    }
}

/// The stricter of two limits. The first does not belong to the range itself, the second does.
fn tighter(
    excluded: Option<ValueRef<'_>>,
    included: Option<ValueRef<'_>>,
    stricter: fn(f64, f64) -> f64,
) -> Option<(f64, bool)> {
    match (excluded.and_then(number), included.and_then(number)) {
        (Some(out), Some(within)) if stricter(out, within) == out => Some((out, false)),
        (_, Some(within)) => Some((within, true)),
        (out, None) => out.map(|out| (out, false)),
    }
}

/// A bound that is exact as f64. Every other bound is left to SQLite, which checks all bounds again.
fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Real(x) => Some(x),
        ValueRef::Integer(x) if x.unsigned_abs() <= 1 << 53 => Some(x as f64),
        _ => None,
    }
}
