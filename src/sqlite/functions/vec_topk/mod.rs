//! `vec_topk(table_name, column_name, query [, k [, options]])`: the rows nearest to a query, best first.
//!
//! There are two forms. With k, the rows are the k nearest, and conditions choose among these. So only bounds that drop the
//! farthest rows are passed on to the search. Without k, the rows are all that have a vector. Conditions on rowid, id, score
//! and distance are passed on, and rows are found in batches that grow. `rank` is the rank among all rows. So if a statement
//! reads it, again only bounds that drop the farthest rows are passed on.

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

/// The columns in front of the arguments, in the order of the declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum TopkColumn {
    Rowid,
    Id,
    Score,
    Distance,
    Rank,
    Source,
}

impl TopkColumn {
    const ALL: [Self; 6] = [Self::Rowid, Self::Id, Self::Score, Self::Distance, Self::Rank, Self::Source];
}

const SIGNATURE: Signature = Signature {
    columns: &["rowid INTEGER", "id", "score REAL", "distance REAL", "rank INTEGER", "source TEXT"],
    arguments: &["table_name", "column_name", "query", "k", "options"],
    required: 3,
};

impl Table for VecTopk {
    const NAME: &'static str = "vec_topk";
    type Cursor = TopkReader;

    fn connect(connection: Connection, _arguments: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection, waiting: WaitingPlace::default() }, SIGNATURE.declaration(Risk::Searching)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| plan(self.connection, planner)))
    }

    fn open(&self) -> Result<TopkReader> {
        Ok(TopkReader::new(self.connection, self.waiting.clone()))
    }
}
