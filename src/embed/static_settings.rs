//! The settings of a static model, from the `config.json` that model2vec writes.

use super::prompts::{self, Prompts};
use super::settings::{JsonFile, Kind, Pooling, Settings};
use super::table;
use crate::error::{Error, Result};
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
pub fn read(folder: &Path, file: &Path) -> Result<Settings> {
    let config = JsonFile::read(folder.join("config.json"))?;
    // Here null is a value: no limit.
    let max_tokens = match config.content.get("max_length") {
        Some(Value::Null) => NO_LIMIT,
        _ => config.whole("max_length")?.map_or(MAX_TOKENS, |limit| limit.min(NO_LIMIT)),
    };
    if max_tokens == 0 {
        return Err(Error::expected("max_length of at least 1", 0).within(config.path.display()));
    }
    let own = JsonFile::read(folder.join(prompts::FILE))?;
    if own.whole("truncate_dim")?.is_some() {
        return Err(Error::expected("no truncate_dim for a static model", "one").within(own.path.display()));
    }
    Ok(Settings {
        kind: Kind::Static,
        pooling: Ok(Pooling::Mean),
        max_tokens: max_tokens as usize,
        lower_case: false,
        vocabulary: None,
        dimensions: Some(table::dimensions(file)? as u64),
        kept: None,
        prompts: Prompts::read(&own, &[])?,
        spread: own.above_zero("spread")?,
    })
}
