//! `fafcas_health(table_name, column_name [, options])`: whether the settings of a connection and the vectors of a column are as FAFCAS
//! needs them, as rows `(rule, expected, actual, ok)`.
//!
//! It only reads, and it reads every row of the column. If something cannot be read, a row says so, and there is no error.
//! Only an interrupt, lack of memory and wrong arguments end the statement.

mod stored_code;

use super::embed_rows::EmbedRows;
use super::fafcas_audit::FafcasAudit;
use super::fafcas_selftest::FafcasSelftest;
use super::vec_hybrid::VecHybrid;
use super::vec_index::VecIndex;
use super::vec_map::VecMap;
use super::vec_mmr::VecMmr;
use super::vec_stats::VecStats;
use super::vec_topk::VecTopk;
use super::vec_topk_many::VecTopkMany;
use super::vec_trace::VecTrace;
use crate::analysis::invariants::Invariants;
use crate::error::{Error, Result};
use crate::planning::plan::Plan;
use crate::resources::config;
use crate::scan::VectorSource;
use crate::sqlite::host::args::{self, Args};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::ffi;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Listed, Listing, Risk, Table};
use crate::sqlite::search::call::survived;
use crate::sqlite::search::index_reader::elements;
use crate::sqlite::search::planner::{Signature, called, choose};
use crate::sqlite::storage::triggers::{is_of_module, of_index};
use crate::sqlite::tables::conditions::Conditions;
use crate::sqlite::tables::identifier::{Path, one, quoted};
use crate::sqlite::tables::reentry::Running;
use crate::sqlite::tables::source::Source;
use crate::vector::{ElementType, UNIT_TOLERANCE};
use std::fmt::Display;

/// The table function.
pub struct FafcasHealth {
    connection: Connection,
}

const SIGNATURE: Signature = Signature {
    columns: &["rule TEXT", "expected TEXT", "actual TEXT", "ok INTEGER"],
    arguments: &["table_name", "column_name", "options"],
    required: 2,
};

impl Table for FafcasHealth {
    const NAME: &'static str = "fafcas_health";
    type Cursor = Listed<Patient>;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection }, Declaration { schema: SIGNATURE.schema(), risk: Risk::Searching }))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| planner.info.estimate(1e6, 16)))
    }

    fn open(&self) -> Result<Listed<Patient>> {
        Ok(Listed::new(Patient { connection: self.connection, arguments: Vec::new() }))
    }
}

/// One rule, and whether it is kept.
pub struct HealthRow {
    rule: &'static str,
    expected: String,
    actual: String,
    ok: bool,
}

impl HealthRow {
    fn new(rule: &'static str, expected: impl Display, actual: impl Display, ok: bool) -> Self {
        Self { rule, expected: expected.to_string(), actual: actual.to_string(), ok }
    }
}

/// What is examined: a connection and a column.
pub struct Patient {
    connection: Connection,
    arguments: Vec<Value>,
}

impl Listing for Patient {
    type Row = HealthRow;

    fn list(&mut self, plan: i32, arguments: Args<'_>) -> Result<Vec<HealthRow>> {
        let given = called(SIGNATURE, Plan::from_number(plan), arguments)?;
        let path = one(args::text("table_name as text", given[0])?)?;
        let column = args::text("column_name as text", given[1])?;
        let findings = examine(self.connection, &path, column, args::element(given[2])?)?;
        self.arguments = given.into_iter().map(ValueRef::copied).collect::<Result<_>>()?;
        Ok(findings)
    }

    fn column(&mut self, finding: &HealthRow, _: usize, column: usize) -> Result<Value> {
        Ok(match column {
            0 => Value::from(finding.rule),
            1 => Value::from(finding.expected.as_str()),
            2 => Value::from(finding.actual.as_str()),
            3 => Value::Integer(finding.ok.into()),
            _ => SIGNATURE.echo(&self.arguments, column)?,
        })
    }
}

fn examine(connection: Connection, path: &Path, column: &str, element: Option<ElementType>) -> Result<Vec<HealthRow>> {
    let opened = survived(Source::open_any(connection, path, column, None))?;
    let schema = opened.as_ref().map_or("main", |source| source.schema());
    // A temporary table ends with the connection, so the settings of its database do not matter. Those of main are shown.
    let schema = if schema.eq_ignore_ascii_case("temp") { "main" } else { schema };
    let mut findings = SETTINGS.iter().map(|setting| setting.check(connection, schema)).collect::<Result<Vec<_>>>()?;
    findings.push(stored_code(connection, schema)?);
    const SOURCE: &str = "a table or view with this column";
    match opened {
        Err(error) => findings.push(HealthRow::new("source", SOURCE, error, false)),
        Ok(mut source) => {
            // An index that cannot be read is told below.
            let element = survived(elements(&source, element))?.unwrap_or_default();
            source.set_elements(element);
            let name = format!("{}, column {}", source.full_name(), source.column());
            findings.push(HealthRow::new("source", SOURCE, name, true));
            examine_column(&mut source, element, &mut findings)?;
        }
    }
    Ok(findings)
}

/// What views and triggers that a database stores may call only if the host allows schema search, or not at all.
const SEARCHING: [&str; 12] = [
    VecTopk::NAME,
    VecTopkMany::NAME,
    VecHybrid::NAME,
    VecMmr::NAME,
    VecMap::NAME,
    EmbedRows::NAME,
    FafcasHealth::NAME,
    FafcasAudit::NAME,
    FafcasSelftest::NAME,
    "fafcas_config",
    VecStats::NAME,
    VecTrace::NAME,
];

fn stored_code(connection: Connection, schema: &str) -> Result<HealthRow> {
    let (actual, ok) = match survived(stored_code::refused(connection, schema, &SEARCHING))? {
        Ok(refused) if refused.is_empty() => ("all".to_string(), true),
        Ok(refused) => {
            let advice = "make them TEMP, or allow schema search; until then ALTER TABLE fails";
            (format!("not {}: {advice}", refused.join(", ")), false)
        }
        Err(error) => (error.to_string(), false),
    };
    Ok(HealthRow::new("stored_code", "views and triggers that may run", actual, ok))
}

/// A pragma, and the value that it should have.
struct PragmaRule {
    name: &'static str,
    /// The words for its numbers. Empty if the numbers are shown.
    words: &'static [&'static str],
    wanted: ExpectedValue,
    /// Whether each database has its own value.
    of_database: bool,
}

enum ExpectedValue {
    Is(&'static str),
    AtLeast(i64),
}

const SWITCH: &[&str] = &["OFF", "ON"];

/// The values that `sql/harden.sql` sets. That file has the reasons.
const SETTINGS: [PragmaRule; 7] = [
    PragmaRule { name: "journal_mode", words: &[], wanted: ExpectedValue::Is("wal"), of_database: true },
    PragmaRule { name: "busy_timeout", words: &[], wanted: ExpectedValue::AtLeast(5000), of_database: false },
    PragmaRule {
        name: "synchronous",
        words: &["OFF", "NORMAL", "FULL", "EXTRA"],
        wanted: ExpectedValue::Is("NORMAL"),
        of_database: true,
    },
    PragmaRule { name: "mmap_size", words: &[], wanted: ExpectedValue::Is("0"), of_database: true },
    PragmaRule {
        name: "temp_store",
        words: &["DEFAULT", "FILE", "MEMORY"],
        wanted: ExpectedValue::Is("MEMORY"),
        of_database: false,
    },
    PragmaRule { name: "foreign_keys", words: SWITCH, wanted: ExpectedValue::Is("ON"), of_database: false },
    PragmaRule { name: "recursive_triggers", words: SWITCH, wanted: ExpectedValue::Is("ON"), of_database: false },
];

impl PragmaRule {
    fn check(&self, connection: Connection, schema: &str) -> Result<HealthRow> {
        let actual = match survived(self.read(connection, schema))? {
            Ok(actual) => actual,
            Err(error) => return Ok(HealthRow::new(self.name, self.expected(), advised(error), false)),
        };
        // A database without a file can only have one journal mode.
        if self.name == "journal_mode" && connection.file_name(schema).is_none() {
            return Ok(HealthRow::new(self.name, "memory", &actual, actual == "memory"));
        }
        let ok = match self.wanted {
            ExpectedValue::Is(wanted) => actual == wanted,
            ExpectedValue::AtLeast(least) => actual.parse::<i64>().is_ok_and(|actual| actual >= least),
        };
        Ok(HealthRow::new(self.name, self.expected(), actual, ok))
    }

    fn expected(&self) -> String {
        match self.wanted {
            ExpectedValue::Is(wanted) => wanted.to_string(),
            ExpectedValue::AtLeast(least) => format!("at least {least}"),
        }
    }

    fn read(&self, connection: Connection, schema: &str) -> Result<String> {
        let place = if self.of_database { format!("{}.", quoted(schema)) } else { String::new() };
        let mut statement = connection.prepare(&format!("PRAGMA {place}{}", self.name))?;
        // mmap_size gives no row if there is no file to map.
        let text = if statement.step()? { statement.text(0) } else { "0".into() };
        let word = text.parse::<usize>().ok().and_then(|number| self.words.get(number));
        Ok(word.map_or(text, |word| word.to_string()))
    }
}

/// The text of an error. If the text of SQLite does not tell how to mend it, that is added.
fn advised(error: Error) -> String {
    match error {
        Error::Sqlite { code, message }
            if matches!(code as u32 & 0xff, ffi::SQLITE_READONLY | ffi::SQLITE_CANTOPEN) =>
        {
            format!(
                "{message} (in WAL mode readers too write the -shm file beside the database: \
                 let them write in its folder, or copy the database with VACUUM INTO and leave WAL mode there)"
            )
        }
        error => error.to_string(),
    }
}

fn examine_column(source: &mut Source, element: ElementType, findings: &mut Vec<HealthRow>) -> Result<()> {
    const READABLE: &str = "every row";
    let found = match survived(read(source))? {
        Ok(found) => found,
        Err(error) => {
            findings.push(HealthRow::new("readable", READABLE, advised(error), false));
            return examine_indexes(source, None, findings);
        }
    };
    findings.push(HealthRow::new("readable", READABLE, format_args!("{} rows", found.values + found.nulls), true));
    for (rule, expected, exceptions) in [
        ("vectors", "vectors or NULL".to_string(), &found.not_vectors),
        ("finite", "no NaN and no infinities".into(), &found.not_finite),
        ("dimensions", "as many as the first vector has".into(), &found.other_dimensions),
        ("unit_length", format!("1 within {UNIT_TOLERANCE}"), &found.not_unit),
    ] {
        // Types of few digits round a length of 1 to another, and bits have none.
        if rule == "unit_length" && element != ElementType::F32 {
            continue;
        }
        let actual = match (rule, found.dimensions.keys().next()) {
            ("dimensions", Some(dimensions)) if exceptions.count == 0 => dimensions.to_string(),
            _ => exceptions.to_string(),
        };
        findings.push(HealthRow::new(rule, expected, actual, exceptions.count == 0));
    }
    findings.push(HealthRow::new("null_vectors", "any number", found.nulls, true));
    examine_indexes(source, Some(found.values), findings)
}

fn read(source: &mut Source) -> Result<Invariants> {
    let _running = Running::enter(std::slice::from_ref(source))?;
    let mut found = Invariants::default();
    let everything = Conditions::default();
    let mut scan = source.scan(&everything)?;
    while scan.advance()? {
        found.add(scan.vector(), || scan.describe());
    }
    Ok(found)
}

/// With fewer vectors than this, a search without an index takes milliseconds.
const FEW: u64 = 10_000;

fn examine_indexes(source: &Source, values: Option<u64>, findings: &mut Vec<HealthRow>) -> Result<()> {
    let unreadable = |error| HealthRow::new("index", "readable properties", advised(error), false);
    let indexes = match survived(indexes(source))? {
        Ok(indexes) => indexes,
        Err(error) => {
            findings.push(unreadable(error));
            return Ok(());
        }
    };
    let has_none = indexes.is_empty();
    for index in indexes {
        match index {
            Ok(index) => findings.extend([index.check(values), index.check_memory()]),
            Err(error) => findings.push(unreadable(error)),
        }
    }
    if has_none {
        let has_few = values.is_none_or(|values| values < FEW);
        findings.push(match source.rowid_name() {
            Some(_) => HealthRow::new("index", format_args!("one from {FEW} vectors on"), "none", has_few),
            None => HealthRow::new("index", "none, as this is no ordinary table with rowids", "none", true),
        });
    }
    Ok(())
}

/// What an index reports about itself.
#[derive(Default)]
struct IndexProperties {
    name: String,
    table: String,
    column: String,
    state: String,
    /// Why it may differ from its table.
    sign: Option<String>,
    /// The number of rows with codes, of rows that are known to have none, and of changes in the list.
    known: u64,
    pending: u64,
    /// Bytes of its blocks, as many in memory as in the file.
    bytes: u64,
}

impl IndexProperties {
    fn check(&self, values: Option<u64>) -> HealthRow {
        let lacks_codes = values.is_some_and(|values| self.known + self.pending < values);
        let state = match self.state.as_str() {
            "ready" | "merge due" if lacks_codes => "rebuild",
            state => state,
        };
        let advice = match state {
            "merge due" | "unverified" => format!(": INSERT INTO {0}({0}) VALUES ('merge')", quoted(&self.name)),
            "rebuild" | "damaged" => format!(": INSERT INTO {0}({0}) VALUES ('rebuild')", quoted(&self.name)),
            _ => String::new(),
        };
        let why = self.sign.as_ref().map(|sign| format!(" ({sign})")).unwrap_or_default();
        let actual = format!("{}: {state}, {} pending{why}{advice}", self.name, self.pending);
        HealthRow::new("index", "ready", actual, state == "ready")
    }

    /// Whether the process may keep it in memory. What it may not keep is read from the file for each search.
    fn check_memory(&self) -> HealthRow {
        let Self { name, bytes, .. } = self;
        let budget = config::CACHE_BYTES.get();
        let ok = budget >= *bytes;
        let advice = if ok { "" } else { ": searches read the rest from the file each time" };
        let actual = format_args!("cache_bytes {budget} for {bytes} of {name}{advice}");
        HealthRow::new("index_memory", format_args!("cache_bytes at least {bytes}"), actual, ok)
    }
}

/// The indexes of a column, by their own properties, or why one of them cannot be read. An index that has lost its triggers is
/// among them.
fn indexes(source: &Source) -> Result<Vec<Result<IndexProperties>>> {
    let is_ours = |table: &str, column: &str| {
        table.eq_ignore_ascii_case(source.name()) && column.eq_ignore_ascii_case(source.column())
    };
    let mut indexes = Vec::new();
    for name in index_names(source)? {
        match survived(properties(source, &name))? {
            Ok(index) if is_ours(&index.table, &index.column) => indexes.push(Ok(index)),
            Ok(_) => {}
            // If its triggers do not tell either, it may be an index of this column.
            Err(error) => match of_index(source.connection(), source.schema(), &name)? {
                Some(watched) if !is_ours(&watched.tracked.table, &watched.tracked.column) => {}
                _ => indexes.push(Err(error.within(name))),
            },
        }
    }
    Ok(indexes)
}

/// The names of all indexes of a database.
fn index_names(source: &Source) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT name, sql FROM {}.sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%' ORDER BY name",
        quoted(source.schema())
    );
    let mut names = Vec::new();
    let mut statement = source.connection().prepare(&sql)?;
    while statement.step()? {
        let (name, sql) = (statement.text(0), statement.text(1));
        names.extend(is_of_module(&sql, VecIndex::NAME).then_some(name));
    }
    Ok(names)
}

/// The properties of an index.
fn properties(source: &Source, name: &str) -> Result<IndexProperties> {
    let sql = format!("SELECT property, value FROM {}.{}", quoted(source.schema()), quoted(name));
    let mut statement = source.connection().prepare(&sql)?;
    let mut index = IndexProperties { name: name.to_string(), ..IndexProperties::default() };
    while statement.step()? {
        let whole = u64::try_from(statement.integer(1)).unwrap_or(0);
        let property = statement.text(0);
        match property.as_str() {
            "table" => index.table = statement.text(1),
            "column" => index.column = statement.text(1),
            "state" => index.state = statement.text(1),
            "sign" if statement.column(1) != ValueRef::Null => index.sign = Some(statement.text(1)),
            "rows" | "strays" => index.known += whole,
            "pending" => index.pending = whole,
            "bytes" => index.bytes = whole,
            _ => {}
        }
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_of_a_wal_database_may_lack_is_said() {
        let error = |code| Error::Sqlite { code, message: "no".into() };
        for code in [ffi::SQLITE_CANTOPEN, ffi::SQLITE_READONLY, ffi::SQLITE_READONLY | 6 << 8] {
            assert!(advised(error(code as i32)).starts_with("no (in WAL mode readers too write the -shm file"));
        }
        assert_eq!(advised(error(ffi::SQLITE_CORRUPT as i32)), "no");
    }

    #[test]
    fn lack_of_memory_and_interrupts_end_the_statement() {
        let error = |code| Err::<(), _>(Error::Sqlite { code, message: "no".into() });
        assert!(survived(Err::<(), _>(Error::Memory("too little".into()))).is_err());
        assert!(survived(error(ffi::SQLITE_NOMEM as i32)).is_err());
        assert!(survived(error(ffi::SQLITE_INTERRUPT as i32)).is_err());
        assert!(survived(error(ffi::SQLITE_CORRUPT as i32)).is_ok());
    }
}
