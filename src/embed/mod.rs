//! Text to vector: a sentence-transformers model in ONNX form, run in this process. README.md beside this file explains.
//!
//! Knows nothing of SQLite. Nothing is loaded before the first [`model`] call, and nothing is ever printed.

mod cache;
mod chunk;
mod folder;
mod model;
mod places;
mod prefix;
mod registry;
mod runtime;
mod session;
mod sessions;
mod settings;
mod share;
mod tokenize;
mod weights;

pub use cache::Counters;
pub use chunk::Chunk;
pub use model::Model;
pub use places::{Places, configure};
pub use registry::{DEFAULT_MODEL, Listing, model, models};
pub use runtime::version as runtime_version;
