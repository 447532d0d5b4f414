#![doc = include_str!("README.md")]
// Code that SQL can reach must not panic, and must not write to the host's terminal.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

#[cfg_attr(not(feature = "text"), path = "embed/left_out.rs")]
pub mod embed;
pub mod error;

// Hidden from the docs: open to the tests and benches of this crate alone, and no promise to others.
#[doc(hidden)]
pub mod analysis;
#[doc(hidden)]
pub mod codec;
#[doc(hidden)]
pub mod index;
#[doc(hidden)]
pub mod kernels;
#[doc(hidden)]
pub mod metric;
mod native;
mod planning;
#[doc(hidden)]
pub mod resources;
#[doc(hidden)]
pub mod scan;
mod sqlite;
#[doc(hidden)]
pub mod topk;
mod vector;

pub use resources::config;
pub use sqlite::host::exports::register_auto_extension;

use error::Result;
use sqlite::functions::bm25::register_bm25;
use sqlite::functions::chunk::ChunkFunction;
use sqlite::functions::embed_rows::EmbedRows;
use sqlite::functions::embedding as e;
use sqlite::functions::fafcas_health::FafcasHealth;
use sqlite::functions::fafcas_models::FafcasModels;
use sqlite::functions::scalars as f;
use sqlite::functions::vec_hybrid::VecHybrid;
use sqlite::functions::vec_index::VecIndex;
use sqlite::functions::vec_map::VecMap;
use sqlite::functions::vec_mmr::VecMmr;
use sqlite::functions::vec_stats::VecStats;
use sqlite::functions::vec_topk::VecTopk;
use sqlite::functions::vec_topk_many::VecTopkMany;
use sqlite::host::connection::Connection;
use sqlite::host::entry::{Scalar, scalar};
use sqlite::host::vtab::{register_function, register_module, register_writable_function};

/// Every scalar function: its name in SQL, how many arguments it takes, how far SQLite may trust it, and the code.
const SCALARS: &[Scalar] = &[
    scalar!("fafcas_normalize", 1, Pure, f::fafcas_normalize),
    scalar!("vec_dot", 2, Pure, f::vec_dot),
    scalar!("rrf", -1, Pure, f::rrf),
    scalar!("vec_version", 0, Pure, f::vec_version),
    scalar!("embed", 1, Deterministic, e::embed),
    scalar!("embed", 2, Deterministic, e::embed),
    scalar!("embed_tokens", 1, Deterministic, e::embed_tokens),
    scalar!("embed_tokens", 2, Deterministic, e::embed_tokens),
    scalar!("fafcas_info", 0, Volatile, f::fafcas_info),
    scalar!("fafcas_config", 1, Direct, f::fafcas_config),
    scalar!("fafcas_config", 2, Direct, f::fafcas_config),
];

/// Every table function and module.
const TABLES: &[fn(Connection) -> Result<()>] = &[
    register_function::<VecTopk>,
    register_function::<VecTopkMany>,
    register_function::<VecHybrid>,
    register_function::<VecMmr>,
    register_function::<VecMap>,
    register_function::<EmbedRows>,
    register_function::<ChunkFunction>,
    register_function::<FafcasHealth>,
    register_function::<FafcasModels>,
    register_writable_function::<VecStats>,
    register_module::<VecIndex>,
];

pub(crate) fn register(connection: Connection) -> Result<()> {
    SCALARS.iter().try_for_each(|scalar| (scalar.register)(connection, scalar))?;
    TABLES.iter().try_for_each(|table| table(connection))?;
    register_bm25(connection)
}
