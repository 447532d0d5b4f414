//! The settings of a static model, from the `config.json` that model2vec writes, or of one of sentence-transformers, which has
//! none.

use super::folder::read as read_file;
use super::listing::Prompts;
use super::modules;
use super::prompts;
use super::settings::{JsonFile, Kind, Pooling, PoolingSteps, Settings, UnknownTokens};
use super::table;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// The value of `model_type` for static models.
const MODEL_TYPE: &str = "model2vec";
/// How many tokens are read if the settings do not say.
const MAX_TOKENS: u64 = 512;
/// How many are read if the settings say that there is no limit.
const NO_LIMIT: u64 = 1_000_000;

/// Whether the settings in this folder are those of a static model.
pub fn say_static(folder: &Path) -> Result<bool> {
    Ok(JsonFile::read(folder.join("config.json"))?.text("model_type")? == Some(MODEL_TYPE))
}

/// The settings of the static model in this folder, whose table is `file`. Those of which nothing depends here, such as
/// `normalize`, are not read.
pub fn read(folder: &Path, file: &Path, tokenizer: &Path) -> Result<Settings> {
    let config = JsonFile::read(folder.join("config.json"))?;
    let is_of_module = !say_static(folder)? && modules::static_embedding(folder)?.is_some();
    let (max_tokens, unknown_tokens) = match is_of_module {
        true => (truncation(tokenizer)?, UnknownTokens::Kept),
        false => (max_length(&config)?, UnknownTokens::LeftOut),
    };
    let own = JsonFile::read(folder.join(prompts::FILE))?;
    let (all, kept) = (table::dimensions(file)? as u64, super::settings::kept(&own)?);
    Ok(Settings {
        kind: Kind::Static,
        pooling: Ok(PoolingSteps { pooling: Pooling::Mean, counts_prompt: true, dense: Vec::new() }),
        unknown_tokens,
        max_tokens: max_tokens as usize,
        lower_case: false,
        vocabulary: None,
        dimensions: Some(kept.map_or(all, |kept| kept.min(all))),
        kept,
        prompts: Prompts::read(&own, &[])?,
        spread: own.above_zero("spread")?,
    })
}

fn max_length(config: &JsonFile) -> Result<u64> {
    // Here null is a value: no limit.
    let max_tokens = match config.content.get("max_length") {
        Some(Value::Null) => NO_LIMIT,
        _ => config.whole("max_length")?.map_or(MAX_TOKENS, |limit| limit.min(NO_LIMIT)),
    };
    if max_tokens == 0 {
        return Err(Error::expected("max_length of at least 1", 0).within(config.path.display()));
    }
    Ok(max_tokens)
}

/// The part of `tokenizer.json` that says how much of a text sentence-transformers reads.
#[derive(Deserialize)]
struct CutText {
    truncation: Option<Truncation>,
}

#[derive(Deserialize)]
struct Truncation {
    max_length: u64,
    direction: Option<String>,
}

fn truncation(tokenizer: &Path) -> Result<u64> {
    let content = read_file(tokenizer)?.unwrap_or_default();
    let cut: CutText = serde_json::from_slice(&content)
        .map_err(|error| Error::expected("a tokenizer", error).within(tokenizer.display()))?;
    let Some(Truncation { max_length, direction }) = cut.truncation else { return Ok(NO_LIMIT) };
    match direction.as_deref() {
        None | Some("Right") => Ok(max_length.min(NO_LIMIT)),
        Some(other) => Err(Error::expected("truncation of direction Right", other).within(tokenizer.display())),
    }
}
