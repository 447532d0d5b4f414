//! Tokens by Unigram, in little memory.
//!
//! The vocabulary of a model of many languages has a quarter of a million pieces. The `tokenizers` crate keeps a hash
//! table for every node of its tree of pieces, and holds the file as a tree of JSON values while it reads it. Here one
//! table serves the whole tree, and pieces go into it as they are read. The tokens are the same: a text is cut into the
//! pieces whose scores have the greatest sum, and characters that no piece has become one unknown token.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use tokenizers::models::unigram::UnigramTrainer;
use tokenizers::{Model, Result, Token};

/// How much worse an unknown character is than the worst piece.
const UNKNOWN_PENALTY: f64 = 10.0;
/// The name of this kind of model in `tokenizer.json`.
const KIND: &str = "Unigram";
/// No piece ends at this node.
const NO_PIECE: u32 = u32::MAX;

/// The model of a tokenizer.
#[derive(Debug, Clone)]
pub struct Unigram {
    pieces: PieceTexts,
    tree: Tree,
    unknown: Option<u32>,
    unknown_score: f64,
    byte_fallback: bool,
}

/// The texts of the pieces, one after the other, and their scores.
#[derive(Debug, Clone, Default)]
struct PieceTexts {
    text: String,
    ends: Vec<usize>,
    scores: Vec<f64>,
}

impl PieceTexts {
    fn push(&mut self, piece: &str, score: f64) {
        self.text.push_str(piece);
        self.ends.push(self.text.len());
        self.scores.push(score);
    }

    fn get(&self, id: u32) -> Option<&str> {
        let id = id as usize;
        let start = id.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start..*self.ends.get(id)?)
    }
}

/// All pieces as a tree, a byte at each step. A step is found in one table by the node it leaves and the byte.
#[derive(Debug, Clone)]
struct Tree {
    /// Open addressing, with a power of two of slots. Node 0 is the root, where no step leads; so 0 marks a free slot.
    steps: Vec<Step>,
    /// The piece that ends at each node.
    ends: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Step {
    from: u32,
    to: u32,
    byte: u8,
}

impl Tree {
    fn new() -> Self {
        Self { steps: vec![Step::default(); 64], ends: vec![NO_PIECE] }
    }

    /// The slot of a step: the one that has it, or the free one where it belongs.
    fn slot(&self, from: u32, byte: u8) -> usize {
        let mask = self.steps.len() - 1;
        let mixed = (u64::from(from) << 8 | u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut slot = (mixed >> 32) as usize & mask;
        while self.steps[slot].to != 0 && (self.steps[slot].from, self.steps[slot].byte) != (from, byte) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn step(&self, from: u32, byte: u8) -> Option<u32> {
        Some(self.steps[self.slot(from, byte)].to).filter(|&to| to != 0)
    }

    fn push(&mut self, piece: &str, id: u32) {
        let node = piece.bytes().fold(0, |node, byte| self.step(node, byte).unwrap_or_else(|| self.add(node, byte)));
        self.ends[node as usize] = id;
    }

    fn add(&mut self, from: u32, byte: u8) -> u32 {
        let to = self.ends.len() as u32;
        self.ends.push(NO_PIECE);
        // Two thirds full at most, so that a search for a free slot is short.
        if self.ends.len() * 3 > self.steps.len() * 2 {
            let larger = vec![Step::default(); self.steps.len() * 2];
            for step in std::mem::replace(&mut self.steps, larger) {
                if step.to != 0 {
                    let slot = self.slot(step.from, step.byte);
                    self.steps[slot] = step;
                }
            }
        }
        let slot = self.slot(from, byte);
        self.steps[slot] = Step { from, to, byte };
        to
    }

    fn piece_at(&self, node: u32) -> Option<u32> {
        self.ends.get(node as usize).copied().filter(|&id| id != NO_PIECE)
    }

    fn find(&self, piece: &str) -> Option<u32> {
        let node = piece.bytes().try_fold(0, |node, byte| self.step(node, byte))?;
        self.piece_at(node)
    }

    /// The pieces that the text begins with, the shortest first, each with its length.
    fn prefixes(&self, text: &[u8]) -> impl Iterator<Item = (usize, u32)> {
        let nodes = text.iter().scan(0, |node, &byte| {
            *node = self.step(*node, byte)?;
            Some(*node)
        });
        nodes.enumerate().filter_map(|(at, node)| Some((at + 1, self.piece_at(node)?)))
    }
}

/// The best way found to the end of this place of a text.
#[derive(Clone, Copy)]
struct Arrival {
    score: f64,
    start: usize,
    id: u32,
}

impl Unigram {
    /// `None` as `unknown` is an error of texts with unknown characters.
    fn new(pieces: PieceTexts, tree: Tree, unknown: Option<u32>, byte_fallback: bool) -> Result<Self> {
        if let Some(unknown) = unknown.filter(|&unknown| unknown as usize >= pieces.ends.len()) {
            return Err(format!("unk_id {unknown} is beyond its {} pieces", pieces.ends.len()).into());
        }
        let worst = pieces.scores.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(Self { pieces, tree, unknown, unknown_score: worst - UNKNOWN_PENALTY, byte_fallback })
    }

    /// For each place of the text, the best way there.
    fn arrivals(&self, text: &str) -> Result<Vec<Option<Arrival>>> {
        let mut arrivals: Vec<Option<Arrival>> = vec![None; text.len() + 1];
        for (start, character) in text.char_indices() {
            let so_far = match start {
                0 => 0.0,
                start => arrivals[start].map_or(f64::NEG_INFINITY, |arrival| arrival.score),
            };
            let is_better = |known: Option<Arrival>, score: f64| known.is_none_or(|known| score > known.score);
            let mut is_known = false;
            for (length, id) in self.tree.prefixes(&text.as_bytes()[start..]) {
                is_known |= length == character.len_utf8();
                let score = so_far + self.pieces.scores.get(id as usize).copied().unwrap_or_default();
                if is_better(arrivals[start + length], score) {
                    arrivals[start + length] = Some(Arrival { score, start, id });
                }
            }
            let (stop, score) = (start + character.len_utf8(), so_far + self.unknown_score);
            if !is_known && is_better(arrivals[stop], score) {
                arrivals[stop] = Some(Arrival { score, start, id: self.expect_unknown()? });
            }
        }
        Ok(arrivals)
    }

    fn expect_unknown(&self) -> Result<u32> {
        self.unknown.ok_or_else(|| "a character is unknown, and the vocabulary has no unk_id".into())
    }

    /// Where the pieces of the text begin and end. Neighbours that are unknown are one.
    fn cuts(&self, text: &str) -> Result<Vec<std::ops::Range<usize>>> {
        let arrivals = self.arrivals(text)?;
        let mut cuts: Vec<std::ops::Range<usize>> = Vec::new();
        let (mut end, mut follows_unknown) = (text.len(), false);
        while let Some(arrival) = arrivals.get(end).copied().flatten() {
            let is_unknown = Some(arrival.id) == self.unknown;
            match cuts.last_mut() {
                Some(last) if is_unknown && follows_unknown => last.start = arrival.start,
                _ => cuts.push(arrival.start..end),
            }
            (end, follows_unknown) = (arrival.start, is_unknown);
        }
        cuts.reverse();
        Ok(cuts)
    }

    /// The tokens of the bytes of a piece, if the vocabulary has all of them.
    fn byte_tokens(&self, piece: &str, offsets: (usize, usize)) -> Option<Vec<Token>> {
        let token = |byte: u8| {
            let name = format!("<0x{byte:02X}>");
            Some(Token::new(self.tree.find(&name)?, name, offsets))
        };
        piece.bytes().map(token).collect()
    }
}

impl Model for Unigram {
    type Trainer = UnigramTrainer;

    fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        for cut in self.cuts(text)? {
            let (piece, offsets) = (&text[cut.clone()], (cut.start, cut.end));
            if let Some(id) = self.tree.find(piece) {
                tokens.push(Token::new(id, piece.into(), offsets));
                continue;
            }
            match self.byte_tokens(piece, offsets).filter(|_| self.byte_fallback) {
                Some(bytes) => tokens.extend(bytes),
                None => tokens.push(Token::new(self.expect_unknown()?, piece.into(), offsets)),
            }
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.tree.find(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.pieces.get(id).map(str::to_owned)
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        (0..self.pieces.ends.len() as u32).filter_map(|id| Some((self.pieces.get(id)?.to_owned(), id))).collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.pieces.ends.len()
    }

    fn save(&self, _: &Path, _: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("a tokenizer is only read here".into())
    }

    fn get_trainer(&self) -> UnigramTrainer {
        UnigramTrainer::default()
    }
}

impl<'de> Deserialize<'de> for Unigram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(UnigramVisitor)
    }
}

struct UnigramVisitor;

impl<'de> Visitor<'de> for UnigramVisitor {
    type Value = Unigram;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Unigram model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Unigram, A::Error> {
        let (mut vocabulary, mut unknown, mut byte_fallback) = (None, None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "vocab" => vocabulary = Some(map.next_value::<Vocabulary>()?),
                "unk_id" => unknown = map.next_value::<Option<u32>>()?,
                "byte_fallback" => byte_fallback = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let Vocabulary { pieces, tree } = vocabulary.ok_or_else(|| A::Error::missing_field("vocab"))?;
        Unigram::new(pieces, tree, unknown, byte_fallback).map_err(A::Error::custom)
    }
}

/// The list of pieces, taken into their tree as it is read.
struct Vocabulary {
    pieces: PieceTexts,
    tree: Tree,
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct VocabularyVisitor;
        impl<'de> Visitor<'de> for VocabularyVisitor {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of pieces with their scores")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> std::result::Result<Vocabulary, A::Error> {
                let (mut pieces, mut tree) = (PieceTexts::default(), Tree::new());
                while let Some(ScoredPiece(piece, score)) = entries.next_element()? {
                    tree.push(&piece, pieces.ends.len() as u32);
                    pieces.push(&piece, score);
                }
                Ok(Vocabulary { pieces, tree })
            }
        }
        deserializer.deserialize_seq(VocabularyVisitor)
    }
}

#[derive(Deserialize)]
struct ScoredPiece<'e>(#[serde(borrow)] std::borrow::Cow<'e, str>, f64);

/// Whether this `tokenizer.json` has a model of this kind. What is no such file at all has none.
pub fn is_in(file: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct UnigramFile<'f> {
        #[serde(borrow)]
        model: ModelType<'f>,
    }
    #[derive(Deserialize)]
    struct ModelType<'f> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'f, str>,
    }
    serde_json::from_slice::<UnigramFile<'_>>(file).is_ok_and(|file| file.model.kind == KIND)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tokenizers::models::unigram::Unigram as Peer;

    fn both(vocabulary: &Value, unknown: Option<u32>, byte_fallback: bool) -> (Unigram, Peer) {
        let file = json!({ "type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": byte_fallback });
        let file = file.to_string();
        (serde_json::from_str(&file).unwrap(), serde_json::from_str(&file).unwrap())
    }

    fn random(state: &mut u64) -> usize {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state >> 33) as usize
    }

    /// Texts of a few signs, among them some that no piece has.
    fn text(state: &mut u64, longest: usize) -> String {
        const SIGNS: [&str; 9] = ["a", "b", "c", "▁", "é", "中", "🙂", "x", "\0"];
        (0..1 + random(state) % longest).map(|_| SIGNS[random(state) % SIGNS.len()]).collect()
    }

    #[test]
    fn tokens_are_those_of_the_tokenizers_crate() {
        let mut state = 1;
        for vocabulary in 0..60 {
            let mut pieces = vec![json!(["<unk>", 0.0])];
            // Scores of few values, so that many ways are equally good. A piece may come twice.
            pieces.extend((0..random(&mut state) % 40).map(|_| {
                let piece = text(&mut state, 4);
                json!([piece, -((random(&mut state) % 8) as f64) / 2.0])
            }));
            let byte_fallback = vocabulary % 3 == 0;
            if byte_fallback {
                let bytes = if vocabulary % 2 == 0 { 256 } else { 100 };
                pieces.extend((0..bytes).map(|byte| json!([format!("<0x{byte:02X}>"), -9.0])));
            }
            let unknown = (vocabulary % 5 > 0).then_some(0);
            let (ours, peer) = both(&json!(pieces), unknown, byte_fallback);
            for _ in 0..200 {
                let text = if random(&mut state).is_multiple_of(50) { String::new() } else { text(&mut state, 20) };
                let [tokens, wanted] = [ours.tokenize(&text).ok(), peer.tokenize(&text).ok()];
                assert_eq!(tokens, wanted, "vocabulary {vocabulary}: {text:?}");
            }
            assert_eq!(ours.get_vocab(), peer.get_vocab());
            assert_eq!(ours.get_vocab_size(), peer.get_vocab_size());
            for id in 0..ours.get_vocab_size() as u32 + 1 {
                assert_eq!(ours.id_to_token(id), peer.id_to_token(id));
            }
        }
    }

    #[test]
    fn files_are_known_by_the_type_of_their_model() {
        assert!(is_in(br#"{"version": "1.0", "model": {"vocab": [], "type": "Unigram"}}"#));
        for other in
            [&br#"{"model": {"type": "BPE"}}"#[..], br#"{"model": {}}"#, br#"{"type": "Unigram"}"#, b"", b"{", b"\xff"]
        {
            assert!(!is_in(other));
        }
    }
}
