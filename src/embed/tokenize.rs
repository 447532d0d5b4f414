//! Text to token ids, by the tokenizer of the model.

use super::folder::unreadable;
use super::settings::Settings;
use crate::error::{Error, Result};
use std::ops::Range;
use std::path::Path;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::{Encoding, TruncationDirection};

/// Bytes looked at first for each token of a long text; English has four to six to a token.
const BYTES_A_TOKEN: usize = 16;
/// Bytes tokenized at a time where all tokens of a text are wanted.
const PIECE: usize = 64 << 10;

/// The tokenizer of one model.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Tokens that a text may have beside the special ones.
    room: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json`. Its own truncation and padding are for other uses of the model and are dropped.
    pub fn load(path: &Path, settings: &Settings) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| unreadable(path, error))?;
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|error| Error::expected("a tokenizer", error).within(path.display()))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(failed)?;
        if settings.lower_case {
            lower_case(&mut inner)?;
        }
        let special = inner.get_post_processor().map_or(0, |processor| {
            use tokenizers::PostProcessor;
            processor.added_tokens(false)
        });
        let room = settings.max_tokens.saturating_sub(special);
        if room == 0 {
            return Err(Error::expected(format_args!("a limit of more than {special} tokens"), settings.max_tokens));
        }
        let tokenizer = Self { inner, room };
        tokenizer.check_vocabulary(settings).map_err(|error| error.within(path.display()))?;
        Ok(tokenizer)
    }

    /// Tokens that a text may have beside the special ones.
    pub fn room(&self) -> usize {
        self.room
    }

    /// The greatest id there is.
    pub fn greatest_id(&self) -> u32 {
        self.inner.get_vocab(true).into_values().max().unwrap_or(0)
    }

    /// What the model sees of this text: its first tokens, with the special ones.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut encoding = self.beginning(text)?;
        encoding.truncate(self.room, 0, TruncationDirection::Right);
        encoding.take_overflowing();
        let encoding = self.inner.post_process(encoding, None, true).map_err(failed)?;
        if encoding.is_empty() {
            return Err(Error::expected("text that makes a token", "one that makes none"));
        }
        Ok(encoding.get_ids().to_vec())
    }

    /// How many tokens the text makes, special ones not counted.
    pub fn count(&self, text: &str) -> Result<usize> {
        pieces(text).try_fold(0, |sum, piece| Ok(sum + self.plain(&text[piece])?.len()))
    }

    /// Where each token of the text begins, in bytes, special ones left out.
    pub fn starts(&self, text: &str) -> Result<Vec<usize>> {
        let mut starts = Vec::new();
        for piece in pieces(text) {
            let encoding = self.inner.encode(&text[piece.clone()], false).map_err(failed)?;
            starts.extend(encoding.get_offsets().iter().map(|(start, _)| piece.start + start));
        }
        Ok(starts)
    }

    /// At least as many tokens of the text's beginning as the model sees, or all.
    ///
    /// A long text is not read to its end: a token is as it would be in the whole text once a word has begun after it.
    fn beginning(&self, text: &str) -> Result<Encoding> {
        let mut bytes = self.room * BYTES_A_TOKEN;
        while bytes < text.len() {
            let part = &text[..floor(text, bytes)];
            let encoding = self.inner.encode(part, false).map_err(failed)?;
            let settled = settled(part);
            if encoding.get_offsets().get(self.room - 1).is_some_and(|(_, stop)| *stop <= settled) {
                return Ok(encoding);
            }
            bytes *= 4;
        }
        self.plain(text)
    }

    fn plain(&self, text: &str) -> Result<Encoding> {
        self.inner.encode_fast(text, false).map_err(failed)
    }

    /// A tokenizer whose vocabulary is far from the model's belongs to another model. Tables are often padded to a
    /// round number of rows, so that a few too many are no fault.
    fn check_vocabulary(&self, settings: &Settings) -> Result<()> {
        let tokens = u64::from(self.greatest_id()) + 1;
        match settings.vocabulary {
            Some(rows) if tokens > rows || tokens < rows - rows / 10 => {
                Err(Error::expected(format_args!("the model's {rows} tokens"), tokens))
            }
            _ => Ok(()),
        }
    }
}

fn failed(error: tokenizers::Error) -> Error {
    Error::Mistake(format!("tokenizer: {error}"))
}

fn lower_case(tokenizer: &mut tokenizers::Tokenizer) -> Result<()> {
    let own = tokenizer.get_normalizer().cloned();
    let all = std::iter::once(NormalizerWrapper::Lowercase(Lowercase)).chain(own).collect();
    tokenizer.with_normalizer(Some(NormalizerWrapper::Sequence(Sequence::new(all)))).map_err(failed)?;
    Ok(())
}

/// The end of the last word that is followed by the beginning of another.
fn settled(part: &str) -> usize {
    let last_word = part.trim_end().rfind(char::is_whitespace).unwrap_or(0);
    part[..last_word].trim_end().len()
}

/// The text in pieces of bounded size, cut before white space where there is any.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = floor(text, start + PIECE);
        let piece = &text[start..end];
        let stop = if end == text.len() { end } else { piece.rfind(char::is_whitespace).map_or(end, |at| start + at) };
        // A piece that is all one word, or begins with its only white space, is cut where it must be.
        let stop = if stop == start { end } else { stop };
        let range = start..stop;
        start = stop;
        (!range.is_empty()).then_some(range)
    })
}

/// The next character boundary at or before `at`.
pub fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
