//! How a static model reads a text. It is model2vec's way, so that the vectors are those of that package.
//!
//! A text is cut after so many characters, whatever tokens they make; no special tokens are added; tokens beyond the
//! limit are cut off, and unknown tokens are left out. Of a text without a known token model2vec makes zeros, which point
//! nowhere. Here it counts as one unknown token. sentence-transformers reads in its own way, tokenize.rs, and keeps unknown
//! tokens; of a text without a token it makes zeros, too.

use super::encoder::TextEncoder;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::HashMap;

/// How one static model reads.
pub struct StaticTokens {
    most_tokens: usize,
    /// How many characters of a text are read.
    most_characters: usize,
    unknown: Option<u32>,
}

/// The part of `tokenizer.json` that says which token is the unknown one.
#[derive(Deserialize)]
struct TokenizerFile {
    model: TokenizerModel,
}

#[derive(Deserialize)]
struct TokenizerModel {
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    unk_id: Option<u32>,
}

impl StaticTokens {
    /// `file` is the content of `tokenizer.json`.
    pub fn new(file: &[u8], vocabulary: &HashMap<String, u32>, most_tokens: usize) -> Result<Self> {
        let file: TokenizerFile =
            serde_json::from_slice(file).map_err(|error| Error::expected("a tokenizer", error))?;
        let unknown = match file.model.unk_token {
            Some(token) => vocabulary.get(&token).copied(),
            None => file.model.unk_id,
        };
        let most_characters = most_tokens.saturating_mul(median_length(vocabulary));
        Ok(Self { most_tokens, most_characters, unknown })
    }

    /// What the model reads of this text.
    pub fn encode(&self, encoder: &dyn TextEncoder, text: &str) -> Result<Vec<u32>> {
        let end = text.char_indices().nth(self.most_characters).map_or(text.len(), |(at, _)| at);
        let encoding = encoder.encode_fast(&text[..end])?;
        let read = encoding.get_ids().iter().copied().take(self.most_tokens);
        let known = read.filter(|&id| Some(id) != self.unknown).collect::<Vec<_>>();
        Ok(self.or_unknown(known))
    }

    /// These tokens, or an unknown one if there are none.
    pub fn or_unknown(&self, ids: Vec<u32>) -> Vec<u32> {
        if ids.is_empty() { self.unknown.into_iter().collect() } else { ids }
    }
}

/// The median length of a token in characters. Of two in the middle it is their mean, rounded down.
fn median_length(vocabulary: &HashMap<String, u32>) -> usize {
    let mut lengths = vocabulary.keys().map(|token| token.chars().count()).collect::<Vec<_>>();
    lengths.sort_unstable();
    let (low, high) = (lengths.len().saturating_sub(1) / 2, lengths.len() / 2);
    let at = |index: usize| lengths.get(index).copied().unwrap_or(0);
    (at(low) + at(high)) / 2
}
