//! `tokenizer.json` as the `tokenizers` crate runs it. A Unigram model is our own, see unigram.rs; the rest is the crate's.

use super::tokenize::failed;
use super::unigram::{self, Unigram};
use crate::error::{Error, Result};
use crate::resources::reserve;
use std::collections::HashMap;
use std::path::Path;
use tokenizers::normalizers::{Lowercase, Sequence};
use tokenizers::{
    DecoderWrapper, Encoding, Model, ModelWrapper, NormalizerWrapper, PostProcessor, PostProcessorWrapper,
    PreTokenizerWrapper, TokenizerImpl,
};

type Parts<M> = TokenizerImpl<M, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// The package takes at most so many bytes for each byte of a text: 570 were seen for full stops, each of which is a word, 300
/// for letters between spaces, and 190 for English.
const BYTES_A_BYTE: usize = 600;
/// A shorter text takes so little that it is as if it had a fixed size.
const LONG: usize = 16 << 10;

/// Fails where the package would end the process, as it does if there is no memory for its work.
fn check_room(text: &str) -> Result<()> {
    if text.len() < LONG { Ok(()) } else { reserve::check_room(text.len().saturating_mul(BYTES_A_BYTE)) }
}

/// Turns text into tokens. Nothing is cut off or filled up.
pub trait TextEncoder: Send + Sync {
    /// The tokens without special ones, with the bytes they stand for and the words they are in.
    fn encode(&self, text: &str) -> Result<Encoding>;

    /// The same, without the bytes and the words.
    fn encode_fast(&self, text: &str) -> Result<Encoding>;

    /// Adds the special tokens.
    fn post_process(&self, encoding: Encoding) -> Result<Encoding>;

    /// How many special tokens a text gets.
    fn special(&self) -> usize;

    /// A copy of all tokens with their ids.
    fn vocabulary(&self) -> HashMap<String, u32>;
}

impl<M: Model + Send + Sync> TextEncoder for Parts<M> {
    fn encode(&self, text: &str) -> Result<Encoding> {
        check_room(text)?;
        Parts::encode(self, text, false).map_err(failed)
    }

    fn encode_fast(&self, text: &str) -> Result<Encoding> {
        check_room(text)?;
        Parts::encode_fast(self, text, false).map_err(failed)
    }

    fn post_process(&self, encoding: Encoding) -> Result<Encoding> {
        Parts::post_process(self, encoding, None, true).map_err(failed)
    }

    fn special(&self) -> usize {
        self.get_post_processor().map_or(0, |processor| processor.added_tokens(false))
    }

    fn vocabulary(&self) -> HashMap<String, u32> {
        self.get_vocab(true)
    }
}

/// An encoder, and what else is known of it.
pub struct ReadTokenizer {
    /// The encoder.
    pub encoder: Box<dyn TextEncoder>,
    /// The greatest id that it gives.
    pub greatest_id: u32,
}

/// Reads the content of `tokenizer.json`. Its truncation and padding are meant for other uses of the model and are
/// dropped, and of a static model also what adds special tokens.
pub fn read(content: &[u8], path: &Path, lower_case: bool, is_static: bool) -> Result<ReadTokenizer> {
    let refused = |error: &dyn std::fmt::Display| Error::expected("a tokenizer", error).within(path.display());
    // The package panics at a decoder that ends in the middle.
    serde_json::from_slice::<serde::de::IgnoredAny>(content).map_err(|error| refused(&error))?;
    if unigram::is_in(content) {
        let parts = serde_json::from_slice::<Parts<Unigram>>(content).map_err(|error| refused(&error))?;
        let pieces = parts.get_model().get_vocab_size() as u32;
        let added = parts.get_added_vocabulary().get_vocab().values().max().copied();
        return made(parts, pieces.saturating_sub(1).max(added.unwrap_or(0)), lower_case, is_static);
    }
    let parts: Parts<ModelWrapper> =
        tokenizers::Tokenizer::from_bytes(content).map_err(|error| refused(&error))?.into_inner();
    let greatest_id = parts.get_vocab(true).into_values().max().unwrap_or(0);
    made(parts, greatest_id, lower_case, is_static)
}

fn made<M: Model + Send + Sync + 'static>(
    mut parts: Parts<M>,
    greatest_id: u32,
    lower_case: bool,
    is_static: bool,
) -> Result<ReadTokenizer> {
    parts.with_padding(None);
    parts.with_truncation(None).map_err(failed)?;
    if is_static {
        parts.with_post_processor(None::<PostProcessorWrapper>);
    }
    if lower_case {
        let own = parts.get_normalizer().cloned();
        let all = std::iter::once(NormalizerWrapper::Lowercase(Lowercase)).chain(own).collect();
        parts.with_normalizer(Some(NormalizerWrapper::Sequence(Sequence::new(all)))).map_err(failed)?;
    }
    Ok(ReadTokenizer { encoder: Box::new(parts), greatest_id })
}
