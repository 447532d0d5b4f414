//! From text to vector: a sentence-transformers model in ONNX form, run in this process. README.md beside this file
//! explains it.
//!
//! This folder knows nothing about SQLite. It loads nothing before the first call of [`model`], and never prints
//! anything.

mod cache;
mod card;
mod chunk;
mod encoder;
mod folder;
mod locations;
mod model;
mod prefix;
mod prompts;
mod registry;
mod runtime;
mod session;
mod sessions;
mod settings;
mod split_work;
mod tokenize;
mod unigram;
mod weights;

pub use cache::Counters;
pub use chunk::Chunk;
pub use locations::{Places, configure};
pub use model::Model;
pub use prompts::Prompts;
pub use registry::{DEFAULT_MODEL, ModelListing, model, models};
pub use runtime::version as runtime_version;
