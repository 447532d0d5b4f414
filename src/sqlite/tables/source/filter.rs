//! How the rows of a source meet conditions: by a set of rowids, by the index of the key, or in the statement that reads them.

use super::Source;
use crate::error::Result;
use crate::planning::plan::Comparison;
use crate::planning::rowset::RowSet;
use crate::resources::reserve::{self, Reserve};
use crate::sqlite::host::connection::Statement;
use crate::sqlite::host::in_list::{LARGEST, List, ListMembers};
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::tables::catalogue::IdColumn;
use crate::sqlite::tables::conditions::{Affinity, Conditions, EqualRowid, ListSubject, number};

/// How many values of a list one run of a statement looks up, if the host allows so many parameters.
const KEYS: usize = 64;

impl Source {
    /// Whether SQLite finds the rows of a statement by a key or an index, rather than by a scan.
    pub(super) fn is_searched(&self, sql: &str) -> Result<bool> {
        let mut plan = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        Ok(plan.step()? && plan.text(3).starts_with("SEARCH"))
    }

    /// The rows that may meet the conditions, if rowids alone decide that. `None` if a condition is on something else.
    pub fn row_set(&self, conditions: &Conditions) -> Result<Option<RowSet>> {
        if self.rowid_name().is_none() || self.id != IdColumn::Rowid && !conditions.are_on_rowid() {
            return Ok(None);
        }
        let mut set = RowSet::all();
        for (comparison, value) in conditions.rowid.iter().chain(&conditions.id) {
            let Some(number) = number(value) else { return Ok(None) };
            set.compare(*comparison, number);
        }
        if let Some((_, values)) = &conditions.list {
            let mut rowids = Vec::new();
            rowids.reserve_room(values.len())?;
            for value in values.values() {
                match EqualRowid::to(value) {
                    EqualRowid::Is(rowid) => rowids.push(rowid),
                    EqualRowid::None => {}
                    EqualRowid::Unknown => return Ok(None),
                }
            }
            set.list(rowids)?;
        }
        Ok(Some(set))
    }

    /// The rowids of the rows that meet conditions on the key, from the index of the key. `None` if there is no such index, or
    /// if there are more than `most`.
    pub fn keyed(&mut self, conditions: &Conditions, most: u64) -> Result<Option<Vec<i64>>> {
        let conditions = self.safe(conditions);
        let is_long = |(_, values): &(ListSubject, List)| values.len() as u64 > most;
        if conditions.are_on_rowid() || conditions.list.as_ref().is_some_and(is_long) {
            return Ok(None);
        }
        let compared = conditions.rowid.len() + conditions.id.len();
        let keys = KEYS.min(self.connection.most_parameters().saturating_sub(compared));
        let sql = self.keys_sql(&conditions, keys);
        if sql == self.unsearched {
            return Ok(None);
        }
        let mut run = match self.keys.waiting(&sql) {
            Some(run) => run,
            None if self.is_searched(&self.scan_sql(&conditions, "NULL"))? => {
                self.keys.run(self.connection, &sql, || sql.clone())?
            }
            None => {
                self.unsearched = sql;
                return Ok(None);
            }
        };
        rowids_of_keys(&mut run, &conditions, keys, most)
    }

    /// Tells whether the id of a row is in the list. `None` if affinity could make values equal that differ in their bytes.
    pub fn members_of_id(&self, conditions: &Conditions) -> Result<Option<ListMembers>> {
        let Some((ListSubject::Id, values)) = self.safe(conditions).list else { return Ok(None) };
        let is_plain = |value: ValueRef<'_>| match value {
            ValueRef::Null => true,
            ValueRef::Integer(x) => self.id_affinity == Affinity::Numeric && (x as f64).abs() < LARGEST,
            ValueRef::Real(x) => self.id_affinity == Affinity::Numeric && x.abs() < LARGEST,
            ValueRef::Text(_) | ValueRef::Blob(_) => self.id_affinity == Affinity::Other,
        };
        if values.values().all(is_plain) { values.members().map(Some) } else { Ok(None) }
    }

    /// The parameters have the order in which [`Scan::bind`] binds them: rowid, id, and last the value of the list.
    pub(super) fn scan_sql(&self, conditions: &Conditions, value: &str) -> String {
        let row = self.row_expression();
        let mut terms = self.compared(conditions);
        let parameter = terms.len() + 1;
        match conditions.list {
            Some((ListSubject::Rowid, _)) => terms.push(format!("{row} = ?{parameter}")),
            Some((ListSubject::Id, _)) => terms.push(self.compared_id(Comparison::Is, parameter)),
            None => {}
        }
        let keeps_id = self.keeps_id() || conditions.list.is_some();
        let kept = if keeps_id { self.id_expression() } else { "NULL".into() };
        format!("SELECT {row}, {value}, {kept} FROM {}{}", self.from(), clause(&terms))
    }

    /// A statement that gives the rows of `keys` values of a list in one run, so that there are fewer runs.
    fn keys_sql(&self, conditions: &Conditions, keys: usize) -> String {
        let (row, mut terms) = (self.row_expression(), self.compared(conditions));
        if conditions.list.is_none() {
            return format!("SELECT {row} FROM {}{}", self.from(), clause(&terms));
        }
        let values: Vec<String> = (terms.len() + 1..).take(keys).map(|parameter| format!("(?{parameter})")).collect();
        terms.push(format!("{} = listed.column1", self.id_expression()));
        let values = values.join(", ");
        format!("SELECT {row} FROM (VALUES {values}) AS listed CROSS JOIN {}{}", self.from(), clause(&terms))
    }

    /// The comparisons of rowid and id. Their parameters begin at 1.
    fn compared(&self, conditions: &Conditions) -> Vec<String> {
        let row = self.row_expression();
        let rowid = conditions.rowid.iter().zip(1..).map(|((by, _), at)| format!("{row} {} ?{at}", by.sql()));
        let first = conditions.rowid.len() + 1;
        let id = conditions.id.iter().zip(first..).map(|((by, _), at)| self.compared_id(*by, at));
        rowid.chain(id).collect()
    }

    /// Equality may use the index of the key. Other comparisons are by bytes, as in any comparison with the result column `id`.
    fn compared_id(&self, comparison: Comparison, parameter: usize) -> String {
        let collation = if comparison == Comparison::Is { "" } else { " COLLATE BINARY" };
        format!("{}{collation} {} ?{parameter}", self.id_expression(), comparison.sql())
    }

    /// The conditions on the id that the key column may be compared with. They lose no row that SQLite's own check, which comes
    /// afterwards, would keep.
    ///
    /// The two comparisons differ. In the first, the value gets the affinity of the key column. The result column `id` has no
    /// affinity, so in the second SQLite takes the affinity of the other side, which is not known here. If that is numeric, a
    /// stored text that reads as a number counts as a number: it may be equal to a number, and it is less than every text.
    ///
    /// If the host allows few parameters, comparisons are left out, so that there is one for the values of a list.
    pub(super) fn safe(&self, conditions: &Conditions) -> Conditions {
        let is_safe = |value: ValueRef<'_>| {
            self.id_affinity == Affinity::Numeric || !matches!(value, ValueRef::Integer(_) | ValueRef::Real(_))
        };
        let mut safe = conditions.clone();
        safe.id.retain(|(comparison, value)| {
            let in_order = *comparison == Comparison::Is
                || self.id_affinity == Affinity::Other
                || !matches!(value, Value::Text(_));
            is_safe(value.borrow()) && in_order
        });
        for (comparison, value) in &mut safe.id {
            if let Value::Text(text) = value
                && matches!(comparison, Comparison::Below | Comparison::To)
            {
                // A text that reads as a number begins with a character that sorts before the colon.
                text.clone_from(&text.as_slice().max(b":").to_vec());
            }
        }
        safe.list = safe.list.filter(|(listed, values)| *listed == ListSubject::Rowid || values.values().all(is_safe));
        let most = self.connection.most_parameters().saturating_sub(1);
        safe.rowid.truncate(most);
        safe.id.truncate(most - safe.rowid.len());
        safe
    }
}

fn clause(terms: &[String]) -> String {
    if terms.is_empty() { String::new() } else { format!(" WHERE {}", all_of(terms)) }
}

/// All terms, in halves of halves: a host may limit the depth of an expression to ten.
fn all_of(terms: &[String]) -> String {
    if terms.len() < 2 {
        return terms.concat();
    }
    let (first, second) = terms.split_at(terms.len() / 2);
    format!("({}) AND ({})", all_of(first), all_of(second))
}

/// Binds the conditions and reads the rowids of all values of the list. `None` if there are more than `most`.
fn rowids_of_keys(
    statement: &mut Statement,
    conditions: &Conditions,
    keys: usize,
    most: u64,
) -> Result<Option<Vec<i64>>> {
    let compared = conditions.rowid.iter().chain(&conditions.id).map(|(_, value)| value);
    (1..).zip(compared).try_for_each(|(at, value)| statement.bind(at, value.borrow()))?;
    let first = (conditions.rowid.len() + conditions.id.len() + 1) as i32;
    let mut values = conditions.list.as_ref().map(|(_, values)| values.values().peekable());
    let mut rowids = Vec::new();
    loop {
        if let Some(values) = &mut values {
            (first..).take(keys).try_for_each(|at| statement.bind(at, values.next().unwrap_or(ValueRef::Null)))?;
        }
        while statement.step()? {
            if rowids.len() as u64 >= most {
                return Ok(None);
            }
            reserve::push(&mut rowids, statement.integer(0))?;
        }
        statement.reset();
        if values.as_mut().is_none_or(|values| values.peek().is_none()) {
            return Ok(Some(rowids));
        }
    }
}
