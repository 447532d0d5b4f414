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

#[cfg(all(feature = "onnx", target_family = "wasm"))]
compile_error!(
    "the feature onnx is not for WASM, as ONNX Runtime is a library of the system: use --no-default-features --features static,text"
);

#[cfg_attr(not(feature = "text"), path = "embed/left_out.rs")]
pub mod embed;
pub mod error;

mod analysis;
mod codec;
mod lock;
mod metric;
mod native;
mod planning;
mod random;
mod resources;
mod scan;
mod selftest;
mod sqlite;
mod topk;
mod vector;

// Hidden from the docs: what the tests and benches of this crate use, and no promise to others.
#[doc(hidden)]
pub mod index;
#[doc(hidden)]
pub mod kernels;
#[doc(hidden)]
pub mod parts {
    pub use crate::analysis::ranking::candidates;
    pub use crate::codec::{Encoder, Space, fingerprint};
    pub use crate::metric::{Metric, Scorer};
    pub use crate::random::splitmix64;
    pub use crate::resources::stats::{Entry, SearchPath, entry};
    pub use crate::scan::*;
    pub use crate::topk::Place;
}

pub use resources::config;
pub use sqlite::host::exports::register_auto_extension;

use error::Result;
use resources::config::SchemaSearch;
use sqlite::functions::bm25::register_bm25;
use sqlite::functions::chunk::ChunkFunction;
use sqlite::functions::embed_rows::EmbedRows;
use sqlite::functions::embedding as e;
use sqlite::functions::fafcas_audit::FafcasAudit;
use sqlite::functions::fafcas_health::FafcasHealth;
use sqlite::functions::fafcas_models::FafcasModels;
use sqlite::functions::fafcas_selftest::FafcasSelftest;
use sqlite::functions::scalars as f;
use sqlite::functions::vec_each::VecEach;
use sqlite::functions::vec_hybrid::VecHybrid;
use sqlite::functions::vec_index::VecIndex;
use sqlite::functions::vec_map::VecMap;
use sqlite::functions::vec_mmr::VecMmr;
use sqlite::functions::vec_stats::VecStats;
use sqlite::functions::vec_topk::VecTopk;
use sqlite::functions::vec_topk_many::VecTopkMany;
use sqlite::functions::vec_trace::VecTrace;
use sqlite::functions::vectors as v;
use sqlite::host::connection::Connection;
use sqlite::host::entry::{Scalar, scalar};
use sqlite::host::vtab::{register_function, register_module, register_writable_function};
use sqlite::host::{aggregate, call};

/// Every scalar function but those on vectors, which `v` lists: its name in SQL, how many arguments it takes, how far SQLite may trust it, and the Rust function.
const SCALARS: &[Scalar] = &[
    scalar!("rrf", -1, Pure, f::rrf),
    scalar!("embed", 1, Deterministic, e::embed),
    scalar!("embed", 2, Deterministic, e::embed),
    scalar!("embed_query", 1, Deterministic, e::embed_query),
    scalar!("embed_query", 2, Deterministic, e::embed_query),
    scalar!("embed_tokens", 1, Deterministic, e::embed_tokens),
    scalar!("embed_tokens", 2, Deterministic, e::embed_tokens),
    scalar!("fafcas_info", 0, Volatile, f::fafcas_info),
    scalar!("fafcas_config", 1, Direct, f::fafcas_config),
    scalar!("fafcas_config", 2, Direct, f::fafcas_config),
];

/// What sqlite-vec has under the same name. Its other names are those of `v::SHARED`.
const SHARED_SCALAR: Scalar = scalar!("vec_version", 0, Pure, f::vec_version);
const SHARED_TABLE: fn(Connection, SchemaSearch) -> Result<()> = register_function::<VecEach>;

/// Every table function and module that is ours alone.
const TABLES: &[fn(Connection, SchemaSearch) -> Result<()>] = &[
    register_function::<VecTopk>,
    register_function::<VecTopkMany>,
    register_function::<VecHybrid>,
    register_function::<VecMmr>,
    register_function::<VecMap>,
    register_function::<EmbedRows>,
    register_function::<ChunkFunction>,
    register_function::<FafcasAudit>,
    register_function::<FafcasHealth>,
    register_function::<FafcasModels>,
    register_function::<FafcasSelftest>,
    register_writable_function::<VecStats>,
    register_writable_function::<VecTrace>,
    register_module::<VecIndex>,
];

pub(crate) fn register(connection: Connection, search: SchemaSearch) -> Result<()> {
    TABLES.iter().try_for_each(|table| table(connection, search))?;
    if config::has_shared_names() {
        SHARED_TABLE(connection, search)?;
    }
    let registered = register_functions(connection);
    // SQLite redefines no function while a statement runs. One runs where SQL calls `load_extension`; when it does so for the
    // second time, the functions are there already.
    if registered.is_err() && connection.prepare("SELECT fafcas_info()").is_ok() {
        return Ok(());
    }
    registered
}

fn register_functions(connection: Connection) -> Result<()> {
    SCALARS.iter().try_for_each(|scalar| (scalar.register)(connection, scalar))?;
    call::register(connection, v::OWN)?;
    aggregate::register(connection, v::AGGREGATES)?;
    if config::has_shared_names() {
        (SHARED_SCALAR.register)(connection, &SHARED_SCALAR)?;
        call::register(connection, v::SHARED)?;
    }
    register_bm25(connection)
}
