//! In place of `mod.rs` in a library that was built without the feature `text`: the same names, and every call that needs
//! a model is an error. So the SQL functions are there, and say what is left out.

use crate::error::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// The model that is used if none is named.
pub const DEFAULT_MODEL: &str = if cfg!(target_family = "wasm") { "static-MiniLM" } else { "all-MiniLM-L6-v2" };

/// What a host program may set in place of the environment.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folder that contains a folder for each model.
    pub models: Option<PathBuf>,
    /// The library of ONNX Runtime, a file.
    pub runtime: Option<PathBuf>,
}

/// Changes nothing: no model can be loaded.
pub fn configure(_: Places) {}

/// What the cache of a model holds now, and what it has done since the counters were last taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Texts whose vector was in the cache.
    pub hits: u64,
    /// Texts that had to be embedded.
    pub misses: u64,
    /// Vectors that were dropped to make room for others.
    pub evictions: u64,
    /// Bytes of the vectors and keys in the cache.
    pub bytes: u64,
}

/// A part of a text, without white space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'t> {
    /// The number of its first character, counted from 1 as in SQL.
    pub start: usize,
    /// The number of the character after its last.
    pub stop: usize,
    /// The chunk itself.
    pub text: &'t str,
}

/// What can be said about a model without loading it.
#[derive(Debug, Clone)]
pub struct ModelListing {
    /// Its name.
    pub name: String,
    /// The length of its vectors.
    pub dimensions: Option<u64>,
    /// The most tokens of a text that it reads.
    pub max_tokens: Option<usize>,
    /// See [`Model::fingerprint`].
    pub fingerprint: Option<String>,
    /// Whether this process has loaded it.
    pub loaded: bool,
    /// What it runs on.
    pub kind: Option<Kind>,
    /// How the vectors of tokens become that of the text.
    pub pooling: Option<String>,
    /// What is put in front of texts.
    pub prompts: Prompts,
    /// The languages that its card names.
    pub languages: Vec<String>,
    /// How far its cosines lie apart.
    pub spread: Option<f64>,
}

/// What is put in front of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompts {
    /// In front of questions.
    pub query: String,
    /// In front of documents.
    pub document: String,
}

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
