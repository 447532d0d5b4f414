//! What is said and asked about models and texts. A library without the feature `text` has these types too.

use super::Kind;
use std::path::PathBuf;

/// The model that is used if none is named. In WASM, where ONNX Runtime does not run, it is the static one.
pub const DEFAULT_MODEL: &str = if cfg!(target_family = "wasm") { "static-MiniLM" } else { "all-MiniLM-L6-v2" };

/// What a host program may set in place of the environment. For what is `None`, the environment decides.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folder that contains a folder for each model.
    pub models: Option<PathBuf>,
    /// The library of ONNX Runtime, a file.
    pub runtime: Option<PathBuf>,
}

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
    /// The number of the character after its last: `substr(text, start, stop - start)` is the chunk.
    pub stop: usize,
    /// The chunk itself.
    pub text: &'t str,
}

/// What can be said about a model without loading it.
#[derive(Debug, Clone)]
pub struct ModelListing {
    /// Its name.
    pub name: String,
    /// The length of its vectors, if its settings say so or it is loaded.
    pub dimensions: Option<u64>,
    /// The most tokens of a text that it reads, special ones included.
    pub max_tokens: Option<usize>,
    /// See [`Model::fingerprint`](super::Model::fingerprint). `None` if its files cannot be read.
    pub fingerprint: Option<String>,
    /// Whether this process has loaded it.
    pub loaded: bool,
    /// What it runs on. `None` if its files cannot be read.
    pub kind: Option<Kind>,
    /// How the vectors of tokens become that of the text, if its settings say so.
    pub pooling: Option<String>,
    /// What is put in front of questions and of documents.
    pub prompts: Prompts,
    /// The languages that its card names.
    pub languages: Vec<String>,
    /// How far its cosines lie apart, if its settings say so.
    pub spread: Option<f64>,
}

/// What is put in front of texts. An empty one changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompts {
    /// In front of questions.
    pub query: String,
    /// In front of documents.
    pub document: String,
}
