//! `fafcas_selftest()`: whether this library works on this machine, as rows `(name, ok, detail, milliseconds)`.
//!
//! It sees nothing of the host's databases: the index that it tries lies in a database in memory of its own. What fails is a
//! row and no error; only an interrupt and lack of memory end the statement.

mod embedding;
mod life;

use crate::error::Result;
use crate::kernels;
use crate::selftest::{bounds, codes, normalize, pairs, typed};
use crate::sqlite::host::api;
use crate::sqlite::host::args::Args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::memory::MemoryDatabase;
use crate::sqlite::host::value::Value;
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Listed, Listing, Risk, Table};
use crate::sqlite::search::call::survived;
use crate::sqlite::search::planner::Signature;
use std::env::consts::{ARCH, OS};
use std::time::Instant;

/// The table function.
pub struct FafcasSelftest {
    connection: Connection,
}

const SIGNATURE: Signature = Signature {
    columns: &["name TEXT", "ok INTEGER", "detail TEXT", "milliseconds REAL"],
    arguments: &[],
    required: 0,
};

impl Table for FafcasSelftest {
    const NAME: &'static str = "fafcas_selftest";
    type Cursor = Listed<Machine>;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection }, SIGNATURE.declaration(Risk::Direct)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        info.estimate(1e7, 20);
        Ok(Choice::Plan(0))
    }

    fn open(&self) -> Result<Listed<Machine>> {
        Ok(Listed::new(Machine { connection: self.connection }))
    }
}

/// The machine that the checks run on.
pub struct Machine {
    /// Of the caller, who may interrupt.
    connection: Connection,
}

/// One check and how it ended.
pub struct CheckRow {
    name: String,
    ok: bool,
    detail: String,
    milliseconds: f64,
}

impl Listing for Machine {
    type Row = CheckRow;

    fn list(&mut self, _: i32, _: Args<'_>) -> Result<Vec<CheckRow>> {
        let mut checks = Checks { connection: self.connection, rows: Vec::new() };
        checks.run("library", || Ok(library()))?;
        check_arithmetic(&mut checks)?;
        check_database(&mut checks)?;
        Ok(checks.rows)
    }

    fn column(&mut self, check: &CheckRow, _: usize, column: usize) -> Result<Value> {
        Ok(match column {
            0 => Value::from(check.name.as_str()),
            1 => Value::Integer(check.ok.into()),
            2 => Value::from(check.detail.as_str()),
            _ => Value::Real(check.milliseconds),
        })
    }
}

/// What is tested. Somebody who sends the rows need send nothing else.
fn library() -> String {
    let (version, sqlite, table) = (env!("CARGO_PKG_VERSION"), api::version(), kernels::table().name);
    format!("fafcas {version}, SQLite {sqlite}, {OS} {ARCH}, kernels {table}")
}

/// Runs checks one after the other.
struct Checks {
    connection: Connection,
    rows: Vec<CheckRow>,
}

impl Checks {
    /// Runs one. The error is an interrupt, or that memory is short.
    fn run(&mut self, name: &str, check: impl FnOnce() -> Result<String>) -> Result<()> {
        self.connection.check_interrupt()?;
        let start = Instant::now();
        let outcome = survived(check())?;
        let milliseconds = (start.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let (ok, detail) = match outcome {
            Ok(detail) => (true, detail),
            Err(error) => (false, error.to_string()),
        };
        self.rows.push(CheckRow { name: name.into(), ok, detail, milliseconds });
        Ok(())
    }
}

/// Every table that this CPU can run, not only the one that is used here.
fn check_arithmetic(checks: &mut Checks) -> Result<()> {
    let tables = kernels::tables();
    let Some(scalar) = tables.last().copied() else { return Ok(()) };
    for table in tables {
        checks.run(&format!("kernels {}", table.name), || pairs::check(table))?;
        checks.run(&format!("types {}", table.name), || typed::check(table))?;
        checks.run(&format!("codes {}", table.name), || codes::check(table, scalar))?;
        checks.run(&format!("bounds {}", table.name), || bounds::check(table, scalar))?;
    }
    checks.run("normalize", || normalize::check(scalar))
}

/// What needs a database.
fn check_database(checks: &mut Checks) -> Result<()> {
    let mut opened = None;
    checks.run("database", || {
        opened = Some(MemoryDatabase::open()?);
        Ok("in memory".into())
    })?;
    // Without it there is nothing more to check, and the row says why.
    let Some(database) = opened else { return Ok(()) };
    let connection = database.connection()?;
    life::check(checks, connection)?;
    checks.run("embed", || embedding::check(connection))
}
