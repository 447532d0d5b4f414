//! From text to vector: a sentence-transformers model in ONNX form, or a static model, run in this process. README.md
//! beside this file explains it.
//!
//! This folder knows nothing about SQLite. It loads nothing before the first call of [`model`], and never prints
//! anything.

mod cache;
mod card;
mod chunk;
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "models that run on ONNX Runtime have matrices"))]
mod dense;
mod encoder;
mod engine;
mod folder;
mod listing;
mod locations;
mod model;
mod modules;
#[cfg_attr(not(feature = "onnx"), path = "onnx_left_out.rs")]
mod onnx;
mod prefix;
mod prompts;
mod registry;
#[cfg(feature = "onnx")]
mod runtime;
#[cfg(feature = "onnx")]
mod runtime_locations;
mod safetensors;
#[cfg(feature = "onnx")]
mod session;
#[cfg(feature = "onnx")]
mod sessions;
mod settings;
mod split_work;
mod static_settings;
mod static_tokens;
mod table;
mod tokenize;
mod unigram;
mod unit;
mod weights;

pub use listing::{Chunk, Counters, DEFAULT_MODEL, ModelListing, Places, Prompts};
pub use locations::configure;
pub use model::Model;
pub use onnx::version as runtime_version;
pub use registry::{model, models};
pub use settings::Kind;
