//! Runs the golden SQL files of this folder through rusqlite; `README.md` beside it says what they may contain.
//!
//! Included by path from packages with rusqlite 0.27 and 0.41, so it keeps to what both offer. It opens nothing itself:
//! the caller says how a connection comes to have the library.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement, types::Value};

/// How to reach one SQLite with the library in it.
pub struct Host<'a> {
    /// Opens a database file with the library ready for use.
    pub open: &'a dyn Fn(&Path) -> Connection,
    /// Whether `trusted_schema` is on, as it is unless somebody turns it off.
    pub trusted: bool,
}

/// Runs every file of `folder` on databases made in `scratch` and returns what went wrong, a line per failure.
pub fn run_folder(folder: &Path, scratch: &Path, host: &Host) -> Vec<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    assert!(!files.is_empty(), "no .slt files in {}", folder.display());
    fs::create_dir_all(scratch).unwrap();
    files.iter().flat_map(|file| run_file(file, scratch, host)).collect()
}

/// Runs one file.
pub fn run_file(file: &Path, scratch: &Path, host: &Host) -> Vec<String> {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let database = scratch.join(&name).with_extension("db");
    remove_database(&database);
    let mut connection = (host.open)(&database);
    let mut failures = Vec::new();
    let root = file.parent().unwrap().join("../..");
    for record in parse(&fs::read_to_string(file).unwrap(), &root).iter().filter(|record| applies(record, host)) {
        if matches!(record.kind, Kind::Reconnect) {
            // What cannot be closed is still in use, so the rest of the file would mean nothing.
            if let Err((_, error)) = connection.close() {
                failures.push(format!("{name}:{}: close: {error}", record.line));
                return failures;
            }
            connection = (host.open)(&database);
        } else if let Err(why) = check(&connection, record) {
            failures.push(format!("{name}:{}: {why}", record.line));
        }
    }
    failures.extend(connection.close().err().map(|(_, error)| format!("{name}: close at the end: {error}")));
    remove_database(&database);
    failures
}

fn remove_database(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        let _ = fs::remove_file(path);
    }
}

#[derive(Default)]
struct Record {
    line: usize,
    kind: Kind,
    conditions: Vec<String>,
    bind: Option<String>,
    /// The statement, or each spelling of it.
    sql: Vec<String>,
    expected: Vec<String>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Ok,
    Error(String),
    Query {
        unordered: bool,
    },
    Plan,
    Reconnect,
}

fn parse(text: &str, root: &Path) -> Vec<Record> {
    let (mut records, mut conditions): (Vec<Record>, Vec<String>) = (Vec::new(), Vec::new());
    let mut block: Vec<(usize, &str)> = Vec::new();
    for (index, line) in text.lines().chain([""]).enumerate() {
        if !line.trim().is_empty() {
            block.push((index + 1, line));
            continue;
        }
        match parse_block(&block, root) {
            Some(record) => records.push(record),
            None => {
                conditions.extend(block.iter().filter_map(|(_, line)| line.strip_prefix("onlyif ")).map(String::from))
            }
        }
        block.clear();
    }
    records.iter_mut().for_each(|record| record.conditions.extend(conditions.iter().cloned()));
    records
}

/// A block of lines without a blank one is one record, or comments alone.
fn parse_block(block: &[(usize, &str)], root: &Path) -> Option<Record> {
    let mut record = Record::default();
    let mut lines = block.iter().skip_while(|(_, line)| line.starts_with('#'));
    loop {
        let (number, line) = lines.next()?;
        record.line = *number;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        record.kind = match word {
            "onlyif" => {
                record.conditions.push(rest.to_owned());
                continue;
            }
            "bind" => {
                record.bind = Some(rest.to_owned());
                continue;
            }
            "ok" => Kind::Ok,
            "error" => Kind::Error(rest.to_owned()),
            "query" => Kind::Query { unordered: rest == "unordered" },
            "plan" => Kind::Plan,
            "reconnect" => Kind::Reconnect,
            _ => panic!("line {number}: expected a record, not {line}"),
        };
        break;
    }
    let body: Vec<&str> = lines.map(|(_, line)| *line).collect();
    let mut halves = body.split(|line| *line == "----");
    let spellings = halves.next().unwrap_or_default().split(|line| *line == "also");
    let script = |line: &&str| match line.strip_prefix(".read ") {
        Some(path) => fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")),
        None => (*line).to_owned(),
    };
    record.sql = spellings.map(|lines| lines.iter().map(script).collect::<Vec<_>>().join("\n")).collect();
    record.expected = halves.next().unwrap_or_default().iter().map(|line| (*line).to_owned()).collect();
    Some(record)
}

fn applies(record: &Record, host: &Host) -> bool {
    let holds = |condition: &str| match condition {
        "trusted" => host.trusted,
        "untrusted" => !host.trusted,
        other => rusqlite::version_number() >= version_number(other),
    };
    record.conditions.iter().all(|condition| condition.split(" or ").any(holds))
}

/// `sqlite 3.39` as SQLite numbers it: 3039000.
fn version_number(condition: &str) -> i32 {
    let minor = condition.strip_prefix("sqlite 3.").unwrap_or_else(|| panic!("unknown condition {condition}"));
    3_000_000 + minor.parse::<i32>().unwrap() * 1000
}

fn check(connection: &Connection, record: &Record) -> Result<(), String> {
    match &record.kind {
        Kind::Ok => check_ok(connection, record),
        Kind::Error(pattern) => check_error(connection, record, pattern),
        Kind::Query { unordered } => check_query(connection, record, *unordered),
        Kind::Plan => check_plan(connection, record),
        Kind::Reconnect => Ok(()),
    }
}

fn check_ok(connection: &Connection, record: &Record) -> Result<(), String> {
    if record.bind.is_none() {
        return connection.execute_batch(&record.sql[0]).map_err(|error| format!("unexpected error: {error}"));
    }
    for statement in statements(&record.sql[0]) {
        ask(connection, &statement, record)?;
    }
    Ok(())
}

/// Single statements of a script, none of which is a trigger: parameters are bound to one at a time.
fn statements(script: &str) -> Vec<String> {
    let code: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let parts = code.join("\n").split(";\n").map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

fn check_error(connection: &Connection, record: &Record, pattern: &str) -> Result<(), String> {
    match ask(connection, &record.sql[0], record) {
        Err(message) if fits(pattern, &message) => Ok(()),
        Err(message) => Err(format!("expected the error\n    {pattern}\n  not\n    {message}")),
        Ok(rows) => Err(format!("expected the error\n    {pattern}\n  not {} rows", rows.len())),
    }
}

fn check_query(connection: &Connection, record: &Record, unordered: bool) -> Result<(), String> {
    let arrange = |mut rows: Vec<String>| {
        if unordered {
            rows.sort();
        }
        rows
    };
    let expected = arrange(record.expected.clone());
    for sql in &record.sql {
        let rows = arrange(ask(connection, sql, record).map_err(|error| format!("unexpected error: {error}\n{sql}"))?);
        if rows != expected {
            return Err(format!("expected\n{}\n  not\n{}\n  from\n{sql}", expected.join("\n"), rows.join("\n")));
        }
    }
    Ok(())
}

fn check_plan(connection: &Connection, record: &Record) -> Result<(), String> {
    let sql = format!("EXPLAIN QUERY PLAN {}", record.sql[0]);
    let plan = ask(connection, &sql, record)?.join("\n");
    for line in &record.expected {
        let (word, text) = line.split_once(' ').unwrap_or((line, ""));
        if plan.contains(text) != (word == "has") {
            return Err(format!("the plan must: {line}\n{plan}"));
        }
    }
    Ok(())
}

/// The rows of one statement as the files write them, or its error message.
fn ask(connection: &Connection, sql: &str, record: &Record) -> Result<Vec<String>, String> {
    let values = match &record.bind {
        Some(bind) => bound_values(connection, bind).map_err(|error| format!("bind: {error}"))?,
        None => Vec::new(),
    };
    rows(connection, sql, &values).map_err(|error| message(&error, sql))
}

/// The names and values of the row that `bind` gives.
fn bound_values(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<(String, Value)>> {
    let mut statement = connection.prepare(sql)?;
    // Column by column, as the two versions of rusqlite give all names in different shapes.
    let columns = 0..statement.column_count();
    let names: Vec<String> =
        columns.map(|column| statement.column_name(column).map(String::from)).collect::<Result<_, _>>()?;
    statement
        .query_row([], |row| names.into_iter().enumerate().map(|(column, name)| Ok((name, row.get(column)?))).collect())
}

fn rows(connection: &Connection, sql: &str, values: &[(String, Value)]) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let count = statement.column_count();
    bind(&mut statement, values)?;
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let cells: Vec<String> = (0..count).map(|column| row.get_ref(column).map(written)).collect::<Result<_, _>>()?;
        lines.push(cells.join("|"));
    }
    Ok(lines)
}

/// By name where the statement's parameters have names, else by place.
fn bind(statement: &mut Statement, values: &[(String, Value)]) -> rusqlite::Result<()> {
    let named = statement.parameter_name(1).is_some_and(|name| name.starts_with(':'));
    for (column, (name, value)) in values.iter().enumerate() {
        let index = match named {
            true => statement.parameter_index(&format!(":{name}"))?,
            false => Some(column + 1).filter(|index| *index <= statement.parameter_count()),
        };
        if let Some(index) = index {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

/// SQLite's own message: newer versions of rusqlite add the statement to it.
fn message(error: &rusqlite::Error, sql: &str) -> String {
    let text = error.to_string();
    text.split(&format!(" in {sql} at offset ")).next().unwrap_or_default().to_owned()
}

fn written(value: ValueRef) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(integer) => integer.to_string(),
        ValueRef::Real(real) => written_real(real),
        ValueRef::Text(text) => {
            format!("'{}'", String::from_utf8_lossy(text).replace('\'', "''").replace('\n', "\\n"))
        }
        ValueRef::Blob(bytes) => {
            format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    }
}

fn written_real(real: f64) -> String {
    if real.is_infinite() {
        return real.to_string();
    }
    let text = format!("{real:.5}");
    let digits = text.trim_end_matches('0');
    let padded = if digits.ends_with('.') { format!("{digits}0") } else { digits.to_owned() };
    if padded == "-0.0" { "0.0".to_owned() } else { padded }
}

/// Whether `text` is `pattern`, where `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(tail) = text.strip_prefix(head) else {
        return false;
    };
    (0..=tail.len()).any(|start| tail.is_char_boundary(start) && fits(rest, &tail[start..]))
}
