//! What the JSON files of a sentence-transformers folder say about the model.

use super::dense::DenseSettings;
use super::folder::read;
use super::listing::Prompts;
use super::modules::{AfterModel, Module};
use super::prompts;
use crate::error::{Error, Result};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// A tokenizer without a limit of its own has a number as large as this or larger.
const NO_LIMIT: u64 = 1_000_000;
/// The values of `model_type` for models whose first position is the one after that of padding.
const COUNT_BEHIND_PADDING: [&str; 10] = [
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "camembert",
    "mpnet",
    "longformer",
    "data2vec-text",
    "ibert",
    "xmod",
];
/// How the names of settings begin in the older form of pooling.
const OLDER_MODE: &str = "pooling_mode_";

/// What a model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ONNX Runtime.
    Onnx,
    /// A table with a vector for each token.
    Static,
}

impl Kind {
    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Static => "static",
        }
    }
}

/// How the vectors of the tokens become the vector of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean, without padding.
    Mean,
    /// The vector of the first token.
    Cls,
    /// The vector of the last token.
    Last,
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Last => "last token",
        })
    }
}

/// How the vectors of the tokens become that of the text, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolingSteps {
    /// The first step.
    pub pooling: Pooling,
    /// Whether the tokens of a prompt count in the mean.
    pub counts_prompt: bool,
    /// What the vector is multiplied by, in order.
    pub dense: Vec<DenseSettings>,
}

/// What a static model does with tokens that its tokenizer does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownTokens {
    /// They are left out: the way of model2vec.
    LeftOut,
    /// They count like others: the way of sentence-transformers, and of transformers.
    Kept,
}

/// The settings of one model. Whether it normalises is not among them: a FAFCAS vector always has length 1.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the model runs on.
    pub kind: Kind,
    /// If this is an error, it matters only for a model that does not pool by itself.
    pub pooling: Result<PoolingSteps>,
    /// What happens to unknown tokens.
    pub unknown_tokens: UnknownTokens,
    /// The most tokens that the model reads, special ones included.
    pub max_tokens: usize,
    /// Whether the text is made lower case before it is tokenized.
    pub lower_case: bool,
    /// How many rows the model's table of tokens has.
    pub vocabulary: Option<u64>,
    /// The length of the vectors.
    pub dimensions: Option<u64>,
    /// How many numbers of a vector are kept. The models of Matryoshka's kind are trained for several such lengths.
    pub kept: Option<u64>,
    /// What is put in front of texts.
    pub prompts: Prompts,
    /// How far the cosines of questions with texts lie apart: their standard deviation. It changes no vector.
    pub spread: Option<f64>,
}

impl Settings {
    /// Reads the settings of the ONNX model in this folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let config = JsonFile::read(folder.join("config.json"))?;
        let sentence = JsonFile::read(folder.join("sentence_bert_config.json"))?;
        let tokenizer = JsonFile::read(folder.join("tokenizer_config.json"))?;
        let own = JsonFile::read(folder.join(prompts::FILE))?;
        let folder_name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let prompts = Prompts::read(&own, &[folder_name, config.text("_name_or_path")?.unwrap_or_default()])?;
        let pooling = pooling(folder, &prompts);
        let of_matrix = pooling.as_ref().ok().and_then(|steps| Some(steps.dense.last()?.outputs));
        let (hidden, kept) = (of_matrix.or(config.whole("hidden_size")?), kept(&own)?);
        Ok(Self {
            kind: Kind::Onnx,
            pooling,
            unknown_tokens: UnknownTokens::Kept,
            max_tokens: max_tokens(&config, &sentence, &tokenizer)?,
            lower_case: sentence.flag("do_lower_case")?.unwrap_or(false),
            vocabulary: config.whole("vocab_size")?,
            dimensions: hidden.map(|hidden| hidden.min(kept.unwrap_or(hidden))),
            kept,
            prompts,
            spread: own.above_zero("spread")?,
        })
    }

    /// The settings that change a vector, for the fingerprint.
    pub fn identity(&self) -> String {
        let steps = self.pooling.as_ref().ok();
        let pooling = steps.map_or("none".into(), |steps| steps.pooling.to_string());
        let mut text = format!("pooling={pooling} max_tokens={} lower_case={}", self.max_tokens, self.lower_case);
        // What came later is named only where there is any, so that the fingerprints of other models stay.
        if let Some(kept) = self.kept {
            text.push_str(&format!(" kept={kept}"));
        }
        if !self.prompts.are_empty() {
            text.push_str(&format!(" query={:?} document={:?}", self.prompts.query, self.prompts.document));
        }
        for dense in steps.iter().flat_map(|steps| &steps.dense) {
            text.push_str(&format!(" dense={dense}"));
        }
        if steps.is_some_and(|steps| !steps.counts_prompt) {
            text.push_str(" without prompt");
        }
        if self.kind == Kind::Static && self.unknown_tokens == UnknownTokens::Kept {
            text.push_str(" unknown=kept");
        }
        text
    }

    /// The files of the matrices behind the model.
    pub fn matrices(&self) -> impl Iterator<Item = PathBuf> {
        self.pooling.iter().flat_map(|steps| steps.dense.iter().map(|dense| dense.file.clone()))
    }
}

/// A file of settings. A file that does not exist has no settings.
pub struct JsonFile {
    pub path: PathBuf,
    pub content: Value,
}

impl JsonFile {
    pub fn read(path: PathBuf) -> Result<Self> {
        let content = match read(&path)? {
            None => Value::Null,
            Some(text) => {
                serde_json::from_slice(&text).map_err(|error| Error::expected("JSON", error).within(path.display()))?
            }
        };
        Ok(Self { path, content })
    }

    /// The error for a setting of the wrong type. Without it the setting would have no effect, and nobody would know.
    pub fn wrong(&self, name: &str, what: &str, found: &Value) -> Error {
        Error::expected(format_args!("{name} as {what}"), shown(found)).within(self.path.display())
    }

    /// A whole number. One that is too large for the type is read as the greatest of the type.
    pub fn whole(&self, name: &str) -> Result<Option<u64>> {
        let wrong = |found: &Value| self.wrong(name, "a whole number", found);
        match &self.content[name] {
            Value::Null => Ok(None),
            Value::Number(number) => match (number.as_u64(), number.as_f64()) {
                (Some(whole), _) => Ok(Some(whole)),
                (None, Some(real)) if real >= 0.0 && real.fract() == 0.0 => Ok(Some(real as u64)),
                _ => Err(wrong(&self.content[name])),
            },
            other => Err(wrong(other)),
        }
    }

    /// A number above 0.
    pub fn above_zero(&self, name: &str) -> Result<Option<f64>> {
        match &self.content[name] {
            Value::Null => Ok(None),
            found => match found.as_f64().filter(|number| *number > 0.0) {
                Some(number) => Ok(Some(number)),
                None => Err(self.wrong(name, "a number above 0", found)),
            },
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>> {
        match &self.content[name] {
            Value::Null => Ok(None),
            Value::Bool(flag) => Ok(Some(*flag)),
            other => Err(self.wrong(name, "true or false", other)),
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        match &self.content[name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Err(self.wrong(name, "text", other)),
        }
    }
}

/// The same rule as in sentence-transformers: its own limit, or else that of the tokenizer, but never more than the
/// positions in the model's table.
fn max_tokens(config: &JsonFile, sentence: &JsonFile, tokenizer: &JsonFile) -> Result<usize> {
    let limit = |file: &JsonFile, name| Ok(file.whole(name)?.filter(|&limit| limit < NO_LIMIT));
    let (own, of_tokenizer) = (limit(sentence, "max_seq_length")?, limit(tokenizer, "model_max_length")?);
    let table = limit(config, "max_position_embeddings")?;
    let table = table.map(|rows| Ok::<_, Error>(rows.saturating_sub(first_position(config)?))).transpose()?;
    let least = own.or(of_tokenizer).into_iter().chain(table).min();
    least.map(|limit| limit as usize).ok_or_else(|| {
        let files = "max_seq_length in sentence_bert_config.json, model_max_length in tokenizer_config.json or \
                     max_position_embeddings in config.json";
        Error::expected(files, "none of them")
    })
}

/// The row of the table of positions that the first token gets. RoBERTa and models like it begin after the row of padding.
fn first_position(config: &JsonFile) -> Result<u64> {
    if !config.text("model_type")?.is_some_and(|kind| COUNT_BEHIND_PADDING.contains(&kind)) {
        return Ok(0);
    }
    Ok(config.whole("pad_token_id")?.unwrap_or(1).saturating_add(1))
}

/// How many numbers of each vector are kept, if not all.
pub fn kept(file: &JsonFile) -> Result<Option<u64>> {
    match file.whole("truncate_dim")? {
        Some(0) => Err(file.wrong("truncate_dim", "a number from 1", &Value::from(0))),
        kept => Ok(kept),
    }
}

fn pooling(folder: &Path, prompts: &Prompts) -> Result<PoolingSteps> {
    let AfterModel { pooling, steps } = AfterModel::read(folder)?;
    let file = JsonFile::read(pooling.join("config.json"))?;
    if file.content.is_null() {
        let wanted = "an output sentence_embedding in the model, or its pooling in 1_Pooling/config.json";
        return Err(Error::expected(wanted, "neither"));
    }
    let pooling = mode(&file)?;
    let is_left_out = file.flag("include_prompt")? == Some(false) && !prompts.are_empty();
    // The first token is that of the whole text, and the last one is behind the prompt.
    let counts_prompt = !is_left_out || pooling != Pooling::Mean;
    let dense = matrices(&steps)?;
    if !dense.is_empty() && modes(&file)?.contains(&"mean_sqrt_len_tokens") {
        let wanted = "pooling_mode as mean, cls or lasttoken before Dense";
        return Err(Error::expected(wanted, "mean_sqrt_len_tokens").within(file.path.display()));
    }
    Ok(PoolingSteps { pooling, counts_prompt, dense })
}

fn matrices(steps: &[Module]) -> Result<Vec<DenseSettings>> {
    let mut dense = Vec::new();
    let mut is_normalised = false;
    for step in steps {
        if let Module::Dense(folder) = step {
            dense.push(DenseSettings::read(folder, is_normalised)?);
        }
        is_normalised = *step == Module::Normalize;
    }
    Ok(dense)
}

fn mode(file: &JsonFile) -> Result<Pooling> {
    match modes(file)?.as_slice() {
        ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
        // This is the sum by the root of the number of tokens, and has the direction of the mean.
        ["mean_sqrt_len_tokens"] => Ok(Pooling::Mean),
        ["cls" | "cls_token"] => Ok(Pooling::Cls),
        ["lasttoken"] => Ok(Pooling::Last),
        [] => Err(Error::expected("a pooling_mode that is on", "none").within(file.path.display())),
        modes => {
            let wanted = "pooling_mode as mean, cls or lasttoken";
            Err(Error::expected(wanted, modes.join(" and ")).within(file.path.display()))
        }
    }
}

/// The pooling modes that are on, in the newer form (`pooling_mode`) or the older one (`pooling_mode_...`).
fn modes(file: &JsonFile) -> Result<Vec<&str>> {
    let wrong = |found| file.wrong("pooling_mode", "a mode or a list of them", found);
    match &file.content["pooling_mode"] {
        Value::String(mode) => Ok(vec![mode]),
        Value::Array(modes) => modes.iter().map(|mode| mode.as_str().ok_or_else(|| wrong(mode))).collect(),
        Value::Null => {
            let named = |key: &'_ String| key.starts_with(OLDER_MODE);
            let keys = file.content.as_object().into_iter().flat_map(|all| all.keys()).filter(|key| named(key));
            let mut on = Vec::new();
            for key in keys {
                if file.flag(key)? == Some(true) {
                    on.extend(key.strip_prefix(OLDER_MODE));
                }
            }
            Ok(on)
        }
        other => Err(wrong(other)),
    }
}

/// The beginning of a value, for a message.
pub fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    value.to_string().chars().take(LONGEST).collect()
}
