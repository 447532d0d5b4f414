//! `vec_topk(table_name, column_name, query [, k [, options]])`: the rows nearest to a query, best first.
//!
//! Two forms. With k the relation is the k nearest rows: only bounds that commute with that are passed down. Without k it is
//! every row with a vector: conditions on rowid, id, score and distance are passed down, and rows are found in batches
//! that grow as the reader goes on. A reader of `rank` sees the rank among all rows, so for it only bounds that cut off
//! the far end are passed down.

mod planning;
mod question;
mod reader;

use crate::error::Result;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Risk, Table};
use crate::sqlite::search::planner::{Signature, choose};
use crate::sqlite::search::waiting::WaitingPlace;
use planning::plan;
use reader::TopkReader;

/// The table function.
pub struct VecTopk {
    connection: Connection,
    waiting: WaitingPlace,
}

/// The columns, in the order of the declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum TopkColumn {
    Rowid,
    Id,
    Score,
    Distance,
    Rank,
    Source,
    Table,
    Vectors,
    Query,
    K,
    Options,
}

impl TopkColumn {
    const ALL: [Self; 11] = [
        Self::Rowid,
        Self::Id,
        Self::Score,
        Self::Distance,
        Self::Rank,
        Self::Source,
        Self::Table,
        Self::Vectors,
        Self::Query,
        Self::K,
        Self::Options,
    ];
    const SCHEMA: &'static str = "CREATE TABLE x(rowid INTEGER, id, score REAL, distance REAL, rank INTEGER, source TEXT, \
         table_name HIDDEN, column_name HIDDEN, query HIDDEN, k HIDDEN, options HIDDEN)";
    const ARGUMENTS: [Self; 5] = [Self::Table, Self::Vectors, Self::Query, Self::K, Self::Options];
}

impl Table for VecTopk {
    const NAME: &'static str = "vec_topk";
    type Cursor = TopkReader;

    fn connect(connection: Connection, _arguments: &[&str]) -> Result<(Self, Declaration)> {
        Ok((
            Self { connection, waiting: WaitingPlace::default() },
            Declaration { schema: TopkColumn::SCHEMA.into(), risk: Risk::Searching },
        ))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| plan(self.connection, planner)))
    }

    fn open(&self) -> Result<TopkReader> {
        Ok(TopkReader::new(self.connection, self.waiting.clone()))
    }
}

const SIGNATURE: Signature = Signature {
    first: TopkColumn::Table as i32,
    names: &["table_name", "column_name", "query", "k", "options"],
    required: 3,
};
