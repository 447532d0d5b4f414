//! From text to token ids, by the tokenizer of the model.

use super::encoder::{self, ReadTokenizer, TextEncoder};
use super::folder::{read, unreadable};
use super::settings::{Kind, Settings, UnknownTokens};
use super::static_tokens::StaticTokens;
use crate::error::{Error, Result};
use crate::resources::reserve::Reserve;
use std::borrow::Cow;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use tokenizers::{Encoding, TruncationDirection};

/// A long text is first read so many bytes for each token of the limit. An English token has four to six bytes.
const BYTES_A_TOKEN: usize = 16;
/// How many bytes are kept for each token of a stretch of characters without white space, or of white space alone. No
/// word is so long. Other stretches, such as an image in letters or a line of dashes, need no more bytes to make as many
/// tokens as the model reads.
const STRETCH_A_TOKEN: usize = 64;
/// At least so many bytes of a stretch are kept: WordPiece makes one token of a word of more than a hundred characters.
const SHORTEST_STRETCH: usize = 4096;
/// The most bytes that are read for each token. A text with fewer tokens in so many bytes is cut here.
const MOST_BYTES_A_TOKEN: usize = 4096;
/// Once so many words have begun after a token, the token is the same as it would be in the whole text. Words are what
/// the tokenizer takes for words: where there is no white space, punctuation marks, or characters of scripts without it.
const WORDS_AFTER: u32 = 8;
/// How many bytes are tokenized at a time if all tokens of a text are wanted.
const PIECE: usize = 64 << 10;

/// The tokenizer of one model.
pub struct Tokenizer {
    inner: Box<dyn TextEncoder>,
    /// How many tokens a text may have, special ones not counted.
    room: usize,
    greatest_id: u32,
    /// What is different if the model is a static one.
    static_tokens: Option<StaticTokens>,
    unknown_tokens: UnknownTokens,
}

impl Tokenizer {
    /// Reads `tokenizer.json`. Its truncation and padding are meant for other uses of the model and are dropped.
    pub fn load(path: &Path, settings: &Settings) -> Result<Self> {
        let bytes = read(path)?.ok_or_else(|| unreadable(path, ErrorKind::NotFound.into()))?;
        let is_static = settings.kind == Kind::Static;
        let ReadTokenizer { encoder: inner, greatest_id } =
            encoder::read(&bytes, path, settings.lower_case, is_static)?;
        let special = inner.special();
        let room = settings.max_tokens.saturating_sub(special);
        if room == 0 {
            return Err(Error::expected(format_args!("a limit of more than {special} tokens"), settings.max_tokens));
        }
        let read = || StaticTokens::new(&bytes, &inner.vocabulary(), room);
        let static_tokens = is_static.then(read).transpose().map_err(|error| error.within(path.display()))?;
        let unknown_tokens = settings.unknown_tokens;
        let tokenizer = Self { inner, room, greatest_id, static_tokens, unknown_tokens };
        tokenizer.check_vocabulary(settings).map_err(|error| error.within(path.display()))?;
        Ok(tokenizer)
    }

    /// How many tokens a text may have, special ones not counted.
    pub fn room(&self) -> usize {
        self.room
    }

    /// The greatest id there is.
    pub fn greatest_id(&self) -> u32 {
        self.greatest_id
    }

    /// What the model reads of this text: its first tokens, and the special ones.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let ids = match (&self.static_tokens, self.unknown_tokens) {
            (None, _) => self.encode_with_special(text)?.get_ids().to_vec(),
            (Some(tokens), UnknownTokens::LeftOut) => tokens.encode(&*self.inner, text)?,
            (Some(tokens), UnknownTokens::Kept) => {
                tokens.or_unknown(self.encode_with_special(text)?.get_ids().to_vec())
            }
        };
        if ids.is_empty() {
            return Err(Error::expected("text that makes a token", "one that makes none"));
        }
        Ok(ids)
    }

    /// How many tokens of a text with this prompt are before those of the text, as sentence-transformers counts them: the
    /// tokens of the prompt alone, and the special ones before them.
    pub fn prompt_length(&self, prompt: &str) -> Result<usize> {
        if prompt.is_empty() {
            return Ok(0);
        }
        let encoding = self.encode_with_special(prompt)?;
        Ok(encoding.len() - usize::from(encoding.get_special_tokens_mask().last() == Some(&1)))
    }

    fn encode_with_special(&self, text: &str) -> Result<Encoding> {
        let mut encoding = self.beginning(text)?;
        encoding.truncate(self.room, 0, TruncationDirection::Right);
        encoding.take_overflowing();
        self.inner.post_process(encoding)
    }

    /// How many tokens the text has, special ones not counted. `proceed` is called between pieces, and stops the work by
    /// an error.
    pub fn count(&self, text: &str, proceed: &dyn Fn() -> Result<()>) -> Result<usize> {
        pieces(text).try_fold(0, |sum, piece| {
            proceed()?;
            Ok(sum + self.plain(&text[piece])?.len())
        })
    }

    /// The byte at which each token of the text begins, special ones left out. `proceed` as for [`Self::count`].
    pub fn starts(&self, text: &str, proceed: &dyn Fn() -> Result<()>) -> Result<Vec<usize>> {
        let mut starts = Vec::new();
        for piece in pieces(text) {
            proceed()?;
            let encoding = self.inner.encode(&text[piece.clone()])?;
            starts.reserve_room(encoding.len())?;
            starts.extend(encoding.get_offsets().iter().map(|(start, _)| piece.start + start));
        }
        Ok(starts)
    }

    /// The tokens of the beginning of the text: at least as many as the model reads, or all.
    ///
    /// A long text is not read to its end, but until its first tokens are certain, see [`Self::is_settled`]. Nor is a text
    /// whose tokens never become certain.
    fn beginning(&self, text: &str) -> Result<Encoding> {
        let most = self.room * MOST_BYTES_A_TOKEN;
        let stretch = SHORTEST_STRETCH.max(self.room * STRETCH_A_TOKEN);
        let mut bytes = self.room * BYTES_A_TOKEN;
        while bytes < text.len() {
            let part = Beginning::of(text, stretch, bytes)?;
            if part.is_all || bytes >= most {
                return self.plain(&part.text);
            }
            let encoding = self.inner.encode(&part.text)?;
            if self.is_settled(&encoding, &part.text) {
                return Ok(encoding);
            }
            bytes = (bytes * 4).min(most);
        }
        self.plain(text)
    }

    /// Whether every text that begins like this has the same tokens, as far as the model reads.
    fn is_settled(&self, encoding: &Encoding, part: &str) -> bool {
        let last = self.room - 1;
        let stop = encoding.get_offsets().get(last).map(|(_, stop)| *stop);
        let words = encoding.get_word_ids();
        let [word, last_word] = [words.get(last), words.last()].map(|word| word.copied().flatten());
        stop.is_some_and(|stop| stop <= settled(part))
            || word.zip(last_word).is_some_and(|(word, last)| last.saturating_sub(word) >= WORDS_AFTER)
    }

    fn plain(&self, text: &str) -> Result<Encoding> {
        self.inner.encode_fast(text)
    }

    /// A tokenizer whose vocabulary is far from that of the model belongs to another model. Tables are often padded to
    /// a round number of rows, so a few rows too many are no error.
    fn check_vocabulary(&self, settings: &Settings) -> Result<()> {
        let tokens = u64::from(self.greatest_id) + 1;
        match settings.vocabulary {
            Some(rows) if tokens > rows || tokens < rows - rows / 10 => {
                Err(Error::expected(format_args!("the model's {rows} tokens"), tokens))
            }
            _ => Ok(()),
        }
    }
}

pub fn failed(error: tokenizers::Error) -> Error {
    Error::Mistake(format!("tokenizer: {error}"))
}

/// The end of the last word after which another word has begun.
fn settled(part: &str) -> usize {
    let last_word = part.trim_end().rfind(char::is_whitespace).unwrap_or(0);
    part[..last_word].trim_end().len()
}

/// The beginning of a text, of bounded size. A stretch is as much as there is of white space alone, or of other
/// characters alone. Of a stretch that is longer than allowed, the rest is left out.
struct Beginning<'t> {
    text: Cow<'t, str>,
    /// Whether nothing of the text follows.
    is_all: bool,
}

impl<'t> Beginning<'t> {
    /// The text has more than `most` bytes.
    fn of(text: &'t str, stretch: usize, most: usize) -> Result<Self> {
        if most <= stretch {
            return Ok(Self { text: Cow::Borrowed(&text[..floor(text, most)]), is_all: false });
        }
        let (mut short, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next()
            && short.len() <= most
        {
            let differs = |character: char| character.is_whitespace() != first.is_whitespace();
            let kept = &rest[..floor(rest, stretch)];
            let stop = kept.find(differs);
            let kept_stop = stop.unwrap_or(kept.len());
            short.reserve_room(kept_stop)?;
            short.push_str(&kept[..kept_stop]);
            let stop = stop.or_else(|| Some(kept.len() + rest[kept.len()..].find(differs)?));
            rest = &rest[stop.unwrap_or(rest.len())..];
        }
        let is_all = short.len() <= most;
        short.truncate(floor(&short, most));
        Ok(Self { text: Cow::Owned(short), is_all })
    }
}

/// The text in pieces of bounded size. A piece ends before white space if it contains any.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = floor(text, start + PIECE);
        let piece = &text[start..end];
        let stop = if end == text.len() { end } else { piece.rfind(char::is_whitespace).map_or(end, |at| start + at) };
        // A piece that is a single word, or begins with its only white space, is cut at its full size.
        let stop = if stop == start { end } else { stop };
        let range = start..stop;
        start = stop;
        (!range.is_empty()).then_some(range)
    })
}

/// The last character boundary that is not after `at`.
pub fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn tokenizer(name: &str, parts: Value, max_tokens: usize) -> Tokenizer {
        let path = std::env::temp_dir().join(format!("fafcas-{}-{name}.json", std::process::id()));
        std::fs::write(&path, parts.to_string()).unwrap();
        let pooling = super::super::settings::Pooling::Mean;
        let pooling = Ok(super::super::settings::PoolingSteps { pooling, counts_prompt: true, dense: Vec::new() });
        let prompts = crate::embed::Prompts::default();
        let settings = Settings {
            kind: Kind::Onnx,
            pooling,
            unknown_tokens: UnknownTokens::Kept,
            max_tokens,
            lower_case: false,
            vocabulary: None,
            dimensions: None,
            kept: None,
            spread: None,
            prompts,
        };
        let tokenizer = Tokenizer::load(&path, &settings);
        std::fs::remove_file(&path).unwrap();
        tokenizer.unwrap()
    }

    fn word_piece() -> Value {
        let mut parts: Value = serde_json::from_str(include_str!("../../tests/data/tiny/tokenizer.json")).unwrap();
        parts["normalizer"] = json!({ "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true });
        parts
    }

    /// Letters, each with a second form that follows a space, and one or two merges.
    fn byte_level() -> Value {
        let letters = ('a'..='z').map(String::from).chain(["Ġ".into(), "Ċ".into(), "é".into(), "Ã".into(), "©".into()]);
        let merged = ["Ġa", "ab", "Ġab", "ĠĠ", "ĠĠĠĠ"].map(String::from);
        let vocab =
            letters.chain(merged).enumerate().map(|(id, token)| (token, id.into())).collect::<serde_json::Map<_, _>>();
        json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
            "post_processor": null, "decoder": null,
            "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
                "merges": ["Ġ a", "a b", "Ġa b", "Ġ Ġ", "ĠĠ ĠĠ"] } })
    }

    fn unigram() -> Value {
        let words = ["<unk>", "▁", "▁ab", "ab", "a", "b", "▁a", "bab", "c", "▁c", ".", "é"];
        let vocab = words.iter().enumerate().map(|(id, word)| json!([word, -(id as f64) - 1.0])).collect::<Vec<_>>();
        json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": { "type": "NFKC" },
            "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true },
            "post_processor": null, "decoder": null, "model": { "type": "Unigram", "unk_id": 0, "vocab": vocab } })
    }

    /// The ids by tokenizing the whole text.
    fn whole(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        let mut encoding = tokenizer.plain(text).unwrap();
        encoding.truncate(tokenizer.room, 0, TruncationDirection::Right);
        encoding.take_overflowing();
        tokenizer.inner.post_process(encoding).unwrap().get_ids().to_vec()
    }

    fn random(state: &mut u64) -> usize {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state >> 33) as usize
    }

    fn text(seed: u64) -> String {
        let parts = [
            "ab",
            "a",
            "b",
            "c",
            " ",
            "  ",
            "   ",
            "    ",
            "\n",
            ".",
            "é",
            "e\u{301}",
            "blueish",
            "red",
            "中",
            "x",
            "\0",
            "abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbx",
            "                                     ",
        ];
        let mut state = seed;
        let length = random(&mut state) % 400;
        (0..length).map(|_| parts[random(&mut state) % parts.len()]).collect()
    }

    #[test]
    fn the_beginning_of_a_text_makes_the_tokens_it_makes_in_the_whole() {
        let kinds = [("word-piece", word_piece()), ("byte-level", byte_level()), ("unigram", unigram())];
        for (name, parts) in kinds {
            for max_tokens in [3, 5, 8, 20] {
                let tokenizer = tokenizer(name, parts.clone(), max_tokens);
                let mut shortened = 0;
                for seed in 0..500 {
                    let text = text(seed);
                    shortened +=
                        usize::from(tokenizer.beginning(&text).unwrap().len() < tokenizer.plain(&text).unwrap().len());
                    assert_eq!(
                        tokenizer.encode(&text).ok(),
                        Some(whole(&tokenizer, &text)).filter(|ids| !ids.is_empty()),
                        "{name} {max_tokens} seed {seed}"
                    );
                }
                assert!(shortened > 100, "{name} {max_tokens}: only {shortened} texts were not read to the end");
            }
        }
    }

    /// Issue 12, item 11: a text without white space was tokenized whole.
    #[test]
    fn a_text_without_white_space_is_not_read_to_its_end() {
        let kinds = [("word-piece", word_piece()), ("byte-level", byte_level()), ("unigram", unigram())];
        for (name, parts) in kinds {
            let tokenizer = tokenizer(&format!("{name}-unspaced"), parts, 20);
            for unit in ["中", "a,", "ab", "e\u{301}", "."] {
                let text = unit.repeat(20_000);
                let expected = Some(whole(&tokenizer, &text)).filter(|ids| !ids.is_empty());
                assert_eq!(tokenizer.encode(&text).ok(), expected, "{name} {unit:?}");
                // One more for the space that some begin with.
                let most = SHORTEST_STRETCH + 1;
                assert!(tokenizer.beginning(&text).unwrap().len() <= most, "{name} {unit:?}");
            }
        }
    }

    #[test]
    fn what_follows_a_long_word_is_seen() {
        let tokenizer = tokenizer("long-word", word_piece(), 8);
        let encode = |text: &str| tokenizer.encode(text).unwrap();
        let text = |letters: usize| format!("red {} {}green", "x".repeat(letters), " ".repeat(letters));
        assert_eq!(encode(&text(1_000_000)), encode(&text(200)));
        assert_eq!(encode(&text(200)).len(), 5);
        // Signs that make no token, and never a word.
        assert_eq!(encode(&format!("red{} green", "\0".repeat(1_000_000))), encode("red green"));
    }

    #[test]
    fn a_text_that_makes_hardly_any_tokens_is_cut() {
        let tokenizer = tokenizer("hardly-any", word_piece(), 20);
        let text = format!("red {} green", "\0 ".repeat(MOST_BYTES_A_TOKEN * 20));
        assert_eq!(tokenizer.encode(&text).unwrap(), tokenizer.encode("red").unwrap());
    }

    #[test]
    fn the_beginning_of_a_text_keeps_so_much_of_each_stretch() {
        let of = |text: &str, most| {
            let beginning = Beginning::of(text, 4, most).unwrap();
            (beginning.text.into_owned(), beginning.is_all)
        };
        assert_eq!(of("abcdefgh", 3), ("abc".into(), false));
        assert_eq!(of("abcdefgh", 5), ("abcd".into(), true));
        assert_eq!(of("abcdefgh      ij k", 11), ("abcd    ij ".into(), false));
        assert_eq!(of("abcdefgh      ij k", 12), ("abcd    ij k".into(), true));
        assert_eq!(of("ééé  é", 5), ("éé ".into(), false));
        assert_eq!(of("ab éé", 6), ("ab é".into(), false));
    }

    #[test]
    fn pieces_make_the_tokens_of_the_whole() {
        let tokenizer = tokenizer("pieces", word_piece(), 8);
        let text = "red green blueish. ".repeat(PIECE / 5);
        let starts = tokenizer.starts(&text, &|| Ok(())).unwrap();
        assert_eq!(starts.len(), tokenizer.plain(&text).unwrap().len());
        assert_eq!(tokenizer.count(&text, &|| Ok(())).unwrap(), starts.len());
        assert!(starts.is_sorted() && starts[4] == 17 && starts[5] == 19, "{:?}", &starts[..8]);
    }

    #[test]
    fn pieces_are_cut_between_characters_and_leave_nothing_out() {
        for unit in ["x", "é", "中", "🙂", " ", "🙂 ", "word 中 "] {
            let text = unit.repeat(3 * PIECE / unit.len() + 1);
            let joined = pieces(&text).map(|piece| &text[piece]).collect::<String>();
            assert!(joined == text, "{unit:?}");
        }
    }
}
