//! The scalar functions that embed: `embed`, `embed_query`, `embed_tokens`.

use crate::embed::{DEFAULT_MODEL, Model, model};
use crate::error::{Error, Result};
use crate::resources::config::EMBED_THREADS;
use crate::resources::stats::{self, SearchPath};
use crate::resources::trace::{Stage, StageClock};
use crate::sqlite::host::args::{self, Args};
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::search::call::{failed, kind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// The model that an argument names. The default one if the argument is NULL.
pub fn named(name: ValueRef<'_>) -> Result<Arc<Model>> {
    match name {
        ValueRef::Null => model(DEFAULT_MODEL),
        name => model(args::text("a model's name as text", name)?),
    }
}

/// How many texts are embedded at the same time.
pub fn threads() -> usize {
    EMBED_THREADS.get() as usize
}

/// A vector as a BLOB.
pub fn blob(vector: &[f32]) -> Value {
    Value::Blob(vector.iter().flat_map(|x| x.to_le_bytes()).collect())
}

/// Adds texts and the cache of a model to the counters of `vec_stats`, under the source `embed`.
pub fn count(model: &Model, texts: u64, start: Instant) {
    let entry = stats::entry("embed", model.name());
    entry.rows.fetch_add(texts, Relaxed);
    entry.searched(SearchPath::Model, start.elapsed());
    let cache = model.take_counters();
    entry.memory.bytes.store(cache.bytes, Relaxed);
    entry.memory.hits.fetch_add(cache.hits, Relaxed);
    entry.memory.evictions.fetch_add(cache.evictions, Relaxed);
}

/// `embed(text [, model])`, of a document.
pub fn embed(arguments: Args<'_>) -> Result<Value> {
    embedded("embed", arguments, Model::embed)
}

/// `embed_query(text [, model])`, of a question.
pub fn embed_query(arguments: Args<'_>) -> Result<Value> {
    embedded("embed_query", arguments, Model::embed_query)
}

/// How a model embeds a text, with at most so many threads.
type Embed = fn(&Model, &str, usize) -> Result<Arc<[f32]>>;

/// What is asked of which model.
struct TextQuestion<'a> {
    text: &'a str,
    model: Arc<Model>,
}

impl<'a> TextQuestion<'a> {
    /// `None` if an argument is NULL. A failure is counted under the name of the function.
    fn read(function: &'static str, arguments: Args<'a>) -> Result<Option<Self>> {
        if arguments.get(0) == ValueRef::Null || arguments.count() > 1 && arguments.get(1) == ValueRef::Null {
            return Ok(None);
        }
        let text = args::text("text", arguments.get(0)).inspect_err(failed(function))?;
        let model = named(arguments.get(1)).inspect_err(failed(function))?;
        Ok(Some(Self { text, model }))
    }

    /// Counts a failure under the name of the model.
    fn failed(&self, error: &Error) {
        stats::entry("embed", self.model.name()).failed(kind(error));
    }
}

fn embedded(function: &'static str, arguments: Args<'_>, by: Embed) -> Result<Value> {
    let Some(asked) = TextQuestion::read(function, arguments)? else { return Ok(Value::Null) };
    let start = Instant::now();
    let clock = StageClock::begin(Stage::Embedding);
    let vector = by(&asked.model, asked.text, threads()).inspect_err(|error| asked.failed(error))?;
    drop(clock);
    count(&asked.model, 1, start);
    Ok(blob(&vector))
}

/// `embed_tokens(text [, model])`.
pub fn embed_tokens(arguments: Args<'_>) -> Result<Value> {
    let Some(asked) = TextQuestion::read("embed_tokens", arguments)? else { return Ok(Value::Null) };
    let tokens = asked.model.count_tokens(asked.text).inspect_err(|error| asked.failed(error))?;
    Ok(Value::Integer(tokens as i64))
}
