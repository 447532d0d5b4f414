//! What the JSON files of a sentence-transformers folder say about the model.

use super::folder::unreadable;
use crate::error::{Error, Result};
use serde_json::Value;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// A tokenizer without a limit of its own has a number as large as this or larger.
const NO_LIMIT: u64 = 1_000_000;

/// How the vectors of the tokens become the vector of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean, without padding.
    Mean,
    /// The vector of the first token.
    Cls,
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
        })
    }
}

/// The settings of one model. Whether it normalises is not among them: a FAFCAS vector always has length 1.
#[derive(Debug, Clone)]
pub struct Settings {
    /// If this is an error, it matters only for a model that does not pool by itself.
    pub pooling: Result<Pooling>,
    /// The most tokens that the model reads, special ones included.
    pub max_tokens: usize,
    /// Whether the text is made lower case before it is tokenized.
    pub lower_case: bool,
    /// How many rows the model's table of tokens has.
    pub vocabulary: Option<u64>,
    /// The length of the vectors.
    pub dimensions: Option<u64>,
}

impl Settings {
    /// Reads the settings of the model in this folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let config = json(&folder.join("config.json"))?;
        let sentence = json(&folder.join("sentence_bert_config.json"))?;
        let tokenizer = json(&folder.join("tokenizer_config.json"))?;
        Ok(Self {
            pooling: pooling(folder),
            max_tokens: max_tokens(&config, &sentence, &tokenizer)?,
            lower_case: sentence["do_lower_case"].as_bool().unwrap_or(false),
            vocabulary: config["vocab_size"].as_u64(),
            dimensions: config["hidden_size"].as_u64(),
        })
    }

    /// The settings that change a vector, for the fingerprint.
    pub fn identity(&self) -> String {
        let pooling = self.pooling.as_ref().map_or("none".into(), Pooling::to_string);
        format!("pooling={pooling} max_tokens={} lower_case={}", self.max_tokens, self.lower_case)
    }
}

/// The content of the file; null if there is no such file.
fn json(path: &Path) -> Result<Value> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Value::Null),
        read => read.map_err(|error| unreadable(path, error))?,
    };
    serde_json::from_slice(&text).map_err(|error| Error::expected("JSON", error).within(path.display()))
}

/// The same rule as in sentence-transformers: its own limit, or else that of the tokenizer, but never more than the
/// positions in the model's table.
fn max_tokens(config: &Value, sentence: &Value, tokenizer: &Value) -> Result<usize> {
    let limit = |value: &Value| value.as_u64().filter(|&limit| limit < NO_LIMIT);
    let named = limit(&sentence["max_seq_length"]).or_else(|| limit(&tokenizer["model_max_length"]));
    let table = limit(&config["max_position_embeddings"]);
    let least = named.into_iter().chain(table).min();
    least.map(|limit| limit as usize).ok_or_else(|| {
        let files = "max_seq_length in sentence_bert_config.json, model_max_length in tokenizer_config.json or \
                     max_position_embeddings in config.json";
        Error::expected(files, "none of them")
    })
}

fn pooling(folder: &Path) -> Result<Pooling> {
    let modules = json(&folder.join("modules.json"))?;
    let file = folder.join(pooling_folder(&modules)?).join("config.json");
    let config = json(&file)?;
    if config.is_null() {
        let wanted = "an output sentence_embedding in the model, or its pooling in 1_Pooling/config.json";
        return Err(Error::expected(wanted, "neither"));
    }
    match modes(&config).as_slice() {
        ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
        ["cls" | "cls_token"] => Ok(Pooling::Cls),
        modes => Err(Error::expected("pooling by mean or cls", modes.join(" and ")).within(file.display())),
    }
}

/// The pooling modes that are on, in the newer form (`pooling_mode`) or the older one (`pooling_mode_...`).
fn modes(config: &Value) -> Vec<&str> {
    match &config["pooling_mode"] {
        Value::String(mode) => vec![mode],
        Value::Array(modes) => modes.iter().filter_map(Value::as_str).collect(),
        _ => {
            let entries = config.as_object().into_iter().flatten();
            let on = entries.filter(|(_, value)| value.as_bool() == Some(true));
            on.filter_map(|(key, _)| key.strip_prefix("pooling_mode_")).collect()
        }
    }
}

/// The folder of the pooling module. An error if there is a step after the model that is not known here.
fn pooling_folder(modules: &Value) -> Result<&str> {
    let mut folder = "1_Pooling";
    for module in modules.as_array().into_iter().flatten() {
        let kind = module["type"].as_str().and_then(|path| path.rsplit('.').next()).unwrap_or("a nameless one");
        match kind {
            "Transformer" | "Normalize" => {}
            "Pooling" => folder = module["path"].as_str().unwrap_or(folder),
            other => return Err(Error::expected("modules Transformer, Pooling and Normalize", other)),
        }
    }
    Ok(folder)
}
