//! In place of `mod.rs` in a library that was built without the feature `text`: the same names, and every call that needs
//! a model is an error. So the SQL functions are there, and say what is left out.

mod listing;

pub use listing::{Chunk, Counters, DEFAULT_MODEL, ModelListing, Places, Prompts};

use crate::error::{Error, Result};
use std::sync::Arc;

/// Changes nothing: no model can be loaded.
pub fn configure(_: Places) {}

/// What a model runs on. There is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {}

impl Kind {
    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {}
    }
}

/// There is none.
pub enum Model {}

/// Always an error.
pub fn model(_: &str) -> Result<Arc<Model>> {
    Err(Error::expected("a library with the feature text", "one that was built without"))
}

/// The models that can be found: none.
pub fn models() -> Result<Vec<ModelListing>> {
    Ok(Vec::new())
}

/// The version of ONNX Runtime: none is ever loaded.
pub fn runtime_version() -> Option<&'static str> {
    None
}

impl Model {
    /// Its name.
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// What its cache of recent texts holds.
    pub fn take_counters(&self) -> Counters {
        match *self {}
    }

    /// What tells its vectors from those of others.
    pub fn fingerprint(&self) -> Result<&str> {
        match *self {}
    }

    /// The vector of a text.
    pub fn embed(&self, _: &str, _: usize) -> Result<Arc<[f32]>> {
        match *self {}
    }

    /// The vector of a question.
    pub fn embed_query(&self, _: &str, _: usize) -> Result<Arc<[f32]>> {
        match *self {}
    }

    /// The vectors of many texts.
    pub fn embed_batch(&self, _: &[&str], _: usize, _: &mut dyn FnMut(usize) -> Result<()>) -> Result<Vec<Arc<[f32]>>> {
        match *self {}
    }

    /// How many tokens of a text it reads.
    pub fn count_tokens(&self, _: &str) -> Result<usize> {
        match *self {}
    }

    /// The text in chunks.
    pub fn chunks<'t>(
        &self,
        _: &'t str,
        _: Option<usize>,
        _: usize,
        _: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<Chunk<'t>>> {
        match *self {}
    }
}
