//! Cuts a text into chunks that a model has room for, at places where a reader would cut it.
//!
//! A heading begins a new chunk. Otherwise a chunk holds as many whole paragraphs as fit; if not even one fits, as many
//! sentences, or else lines, words or characters. Every character that is not white space is in a chunk. The time is
//! proportional to the length of the text.

use super::listing::Chunk;
use super::tokenize::floor;
use crate::error::Result;
use crate::resources::reserve::push;

/// The chunks of `text`. Each has at most `most` tokens, counted by `count`, and repeats at most `overlap` tokens of
/// the chunk before.
///
/// `starts` are the bytes at which the tokens begin. The caller must ensure that `most` is at least 1 and `overlap` is
/// less than `most`.
pub fn chunks<'t>(
    text: &'t str,
    starts: &[usize],
    most: usize,
    overlap: usize,
    count: &dyn Fn(&str) -> Result<usize>,
) -> Result<Vec<Chunk<'t>>> {
    let cutter = Cutter { text, starts, most, overlap, cuts: Cuts::find(text)? };
    let mut chunks = Vec::new();
    let mut characters = Characters { text, byte: 0, number: 1 };
    let (mut begin, mut done) = (0, 0);
    while done < text.len() {
        let stop;
        (begin, stop) = cutter.fit(begin, done, count)?;
        let part = text[begin..stop].trim();
        if !part.is_empty() {
            let start = characters.number_of(stop - text[begin..stop].trim_start().len());
            push(&mut chunks, Chunk { start, stop: start + part.chars().count(), text: part })?;
        }
        (begin, done) = (cutter.step_back(begin, stop), stop);
    }
    Ok(chunks)
}

/// Counts characters from one byte to a later byte.
struct Characters<'t> {
    text: &'t str,
    byte: usize,
    number: usize,
}

impl Characters<'_> {
    fn number_of(&mut self, byte: usize) -> usize {
        self.number += self.text[self.byte..byte].chars().count();
        self.byte = byte;
        self.number
    }
}

struct Cutter<'t> {
    text: &'t str,
    starts: &'t [usize],
    most: usize,
    overlap: usize,
    cuts: Cuts,
}

impl Cutter<'_> {
    /// Begin and end of the chunk that begins at `begin`. The text before `done` is already in chunks; this chunk ends
    /// after it.
    fn fit(&self, begin: usize, done: usize, count: &dyn Fn(&str) -> Result<usize>) -> Result<(usize, usize)> {
        let mut room = self.most;
        loop {
            let Some(stop) = (room > 0).then(|| self.stop(begin, done, room)).flatten() else {
                // The repeated part leaves no room for new text. Without it there is room for at least one character.
                return if begin < done { self.fit(done, done, count) } else { Ok((begin, self.next_character(done))) };
            };
            // A part on its own may be tokenized differently than within the text.
            let excess = count(self.text[begin..stop].trim())?.saturating_sub(self.most);
            if excess == 0 {
                return Ok((begin, stop));
            }
            room = room.saturating_sub(excess);
        }
    }

    /// The best end after `done` for a chunk of `room` tokens.
    fn stop(&self, begin: usize, done: usize, room: usize) -> Option<usize> {
        let reach = self.reach(begin, room);
        let heading = first(&self.cuts.headings, begin + 1, reach);
        let whole = || (reach == self.text.len()).then_some(reach);
        let cut = || self.cuts.by_strength().into_iter().find_map(|cuts| last(cuts, done, reach));
        let word = || last_word(self.text, done, reach);
        heading.or_else(whole).or_else(cut).or_else(word).or((reach > done).then_some(reach))
    }

    /// How far `room` tokens from `begin` reach.
    fn reach(&self, begin: usize, room: usize) -> usize {
        let beyond = self.starts.partition_point(|&start| start < begin) + room;
        match self.starts.get(beyond) {
            // Some tokenizers count the space before a word as part of it, and some divide a character.
            Some(&start) => {
                let start = floor(self.text, start);
                let word = self.text[start..].find(|character: char| !character.is_whitespace());
                word.map_or(self.text.len(), |space| start + space)
            }
            None => self.text.len(),
        }
    }

    /// Where the next chunk begins: at `stop`, or earlier if something is to be repeated. The repeated part is cut like
    /// a chunk.
    fn step_back(&self, begin: usize, stop: usize) -> usize {
        if self.overlap == 0 || stop == self.text.len() || self.cuts.headings.binary_search(&stop).is_ok() {
            return stop;
        }
        let next = self.starts.partition_point(|&start| start < stop);
        let back = self.starts.get(next.saturating_sub(self.overlap)).map_or(stop, |&start| floor(self.text, start));
        let back = back.max(begin + 1);
        let cut = self.cuts.by_strength().into_iter().find_map(|cuts| first(cuts, back, stop - 1));
        cut.or_else(|| first_word(self.text, back, stop)).unwrap_or(stop)
    }

    fn next_character(&self, at: usize) -> usize {
        at + self.text[at..].chars().next().map_or(0, char::len_utf8)
    }
}

/// The last of these cuts that is after `after` and not after `reach`.
fn last(cuts: &[usize], after: usize, reach: usize) -> Option<usize> {
    let within = cuts.partition_point(|&cut| cut <= reach);
    cuts[..within].last().copied().filter(|&cut| cut > after)
}

/// The first of these cuts that is not before `from` and not after `reach`.
fn first(cuts: &[usize], from: usize, reach: usize) -> Option<usize> {
    let before = cuts.partition_point(|&cut| cut < from);
    cuts.get(before).copied().filter(|&cut| cut <= reach)
}

fn last_word(text: &str, after: usize, reach: usize) -> Option<usize> {
    let part = &text[after..reach];
    if part.ends_with(char::is_whitespace) {
        return Some(reach);
    }
    let (at, space) = part.char_indices().rev().find(|(_, character)| character.is_whitespace())?;
    Some(after + at + space.len_utf8())
}

fn first_word(text: &str, from: usize, stop: usize) -> Option<usize> {
    let from = floor(text, from);
    let part = text.get(from..stop)?;
    let begins = text[..from].ends_with(char::is_whitespace);
    let space = if begins { 0 } else { part.find(char::is_whitespace)? };
    let word = part[space..].find(|character: char| !character.is_whitespace())?;
    Some(from + space + word)
}

/// Good places to cut a text: the bytes at which something begins, in order.
#[derive(Default)]
struct Cuts {
    headings: Vec<usize>,
    paragraphs: Vec<usize>,
    sentences: Vec<usize>,
    lines: Vec<usize>,
}

impl Cuts {
    /// The kinds of cuts, those that a reader prefers first. Headings are not among them, because every heading is a
    /// cut.
    fn by_strength(&self) -> [&[usize]; 3] {
        [&self.paragraphs, &self.sentences, &self.lines]
    }

    fn find(text: &str) -> Result<Self> {
        let mut cuts = Self { sentences: sentences(text)?, ..Self::default() };
        let mut before = Line::Blank;
        let (mut in_code, mut after_heading, mut at) = (false, false, 0);
        let mut lines = text.split_inclusive('\n').peekable();
        while let Some(line) = lines.next() {
            let fence = is_fence(line);
            let kind = match line {
                _ if line.trim().is_empty() => Line::Blank,
                _ if in_code || fence => Line::Text,
                _ if is_heading(line) => Line::Heading,
                _ if before == Line::Blank && lines.peek().is_some_and(|next| is_underline(next)) => Line::Heading,
                _ if after_heading && before == Line::Heading && is_underline(line) => Line::Heading,
                _ => Line::Text,
            };
            in_code ^= fence;
            // A heading stays together with what follows it, be it text or another heading.
            match kind {
                Line::Heading if !after_heading => push(&mut cuts.headings, at)?,
                Line::Text if !after_heading && before == Line::Blank => push(&mut cuts.paragraphs, at)?,
                Line::Text if !after_heading => push(&mut cuts.lines, at)?,
                _ => {}
            }
            if kind != Line::Blank {
                after_heading = kind == Line::Heading;
            }
            before = kind;
            at += line.len();
        }
        Ok(cuts)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Blank,
    Heading,
    Text,
}

fn is_fence(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("```") || line.starts_with("~~~")
}

/// `# ` to `###### `.
fn is_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    (1..=6).contains(&(line.len() - rest.len())) && rest.starts_with(char::is_whitespace)
}

/// A line of `=` or `-` under a title.
fn is_underline(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 3 && (line.bytes().all(|byte| byte == b'=') || line.bytes().all(|byte| byte == b'-'))
}

/// Where sentences begin. A full stop ends a sentence if the word before it has at least two letters, and if white
/// space follows and then no small letter. So `e.g. this` and `J. Smith` are not cut, but `Dr. Smith` is. Full stops of
/// scripts without spaces need no white space after them.
fn sentences(text: &str) -> Result<Vec<usize>> {
    let mut starts = Vec::new();
    let mut word = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let wide = matches!(character, '。' | '！' | '？' | '｡');
        let ends = wide || matches!(character, '!' | '?' | '…') || (character == '.' && is_word(&text[word..at]));
        if character.is_whitespace() {
            word = at + character.len_utf8();
        }
        if !ends {
            continue;
        }
        while characters.next_if(|(_, next)| is_closing(*next)).is_some() {}
        let mut spaced = wide;
        while characters.next_if(|(_, next)| next.is_whitespace()).is_some() {
            spaced = true;
        }
        match characters.peek() {
            Some(&(next, letter)) if spaced && !letter.is_lowercase() => push(&mut starts, next)?,
            _ => {}
        }
        word = characters.peek().map_or(text.len(), |&(next, _)| next);
    }
    Ok(starts)
}

/// The text between white space and a full stop is a word that may end a sentence.
fn is_word(text: &str) -> bool {
    let text = text.trim_start_matches(|character: char| !character.is_alphanumeric());
    text.chars().nth(1).is_some() && !text.contains('.')
}

fn is_closing(character: char) -> bool {
    matches!(
        character,
        '"' | '\'' | ')' | ']' | '}' | '”' | '’' | '»' | '」' | '』' | '）' | '.' | '!' | '?' | '。' | '！' | '？'
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Words are tokens. A word of more than eight letters is several tokens.
    fn starts(text: &str) -> Vec<usize> {
        let mut starts = Vec::new();
        let mut letters = 0;
        for (at, character) in text.char_indices() {
            letters = if character.is_whitespace() { 0 } else { letters + 1 };
            if letters % 8 == 1 {
                starts.push(at);
            }
        }
        starts
    }

    fn cut(text: &str, most: usize, overlap: usize) -> Vec<&str> {
        let count = |part: &str| Ok(starts(part).len());
        let chunks = chunks(text, &starts(text), most, overlap, &count).unwrap();
        chunks.into_iter().map(|chunk| chunk.text).collect()
    }

    #[test]
    fn a_text_with_room_is_one_chunk() {
        assert_eq!(cut("  One two.\n\nThree four. \n", 4, 0), ["One two.\n\nThree four."]);
    }

    #[test]
    fn whole_paragraphs_come_before_sentences() {
        let text = "One two. Three.\n\nFour five. Six seven.\n\nEight nine. Ten.";
        assert_eq!(cut(text, 8, 0), ["One two. Three.\n\nFour five. Six seven.", "Eight nine. Ten."]);
        assert_eq!(cut(text, 6, 0), ["One two. Three.", "Four five. Six seven.", "Eight nine. Ten."]);
        assert_eq!(cut(text, 3, 0), ["One two. Three.", "Four five.", "Six seven.", "Eight nine. Ten."]);
    }

    #[test]
    fn sentences_come_before_lines_and_lines_before_words() {
        assert_eq!(cut("a b cc. D e\nf g h i. J", 7, 0), ["a b cc.", "D e\nf g h i. J"]);
        assert_eq!(cut("a b c\nd e f\ng h i", 5, 0), ["a b c", "d e f", "g h i"]);
        assert_eq!(cut("a b c d e f g", 3, 0), ["a b c", "d e f", "g"]);
    }

    #[test]
    fn a_word_without_room_is_cut_between_characters() {
        assert_eq!(cut("éééééééééééééééééééé end", 1, 0), ["éééééééé", "éééééééé", "éééé", "end"]);
    }

    #[test]
    fn a_heading_begins_a_chunk_and_stays_with_what_it_heads() {
        let text = "Intro.\n# One\n\nText of one.\n\n## Two\n### Three\nText of three.\nMore\n\n# Four";
        let expected = ["Intro.", "# One\n\nText of one.", "## Two\n### Three\nText of three.\nMore", "# Four"];
        assert_eq!(cut(text, 50, 0), expected);
        assert_eq!(cut(text, 50, 5), expected, "nothing is repeated across a heading");
    }

    #[test]
    fn underlined_titles_are_headings() {
        let text = "Title\n=====\nText one.\n\nSecond\n---\nText two.\n\n---\n\nAfter a rule.";
        let expected = ["Title\n=====\nText one.", "Second\n---\nText two.\n\n---\n\nAfter a rule."];
        assert_eq!(cut(text, 50, 0), expected);
    }

    #[test]
    fn code_has_no_headings() {
        let text = "Look:\n```\n# a comment\nx = 1\n```\nDone.\n# Next\n#hash #tags\n####### seven";
        assert_eq!(
            cut(text, 50, 0),
            ["Look:\n```\n# a comment\nx = 1\n```\nDone.", "# Next\n#hash #tags\n####### seven"]
        );
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        let ends =
            |text: &str| sentences(text).unwrap().into_iter().map(|at| text[at..].to_owned()).collect::<Vec<_>>();
        assert_eq!(
            ends("One. Two! Three? Four… Five"),
            ["Two! Three? Four… Five", "Three? Four… Five", "Four… Five", "Five"]
        );
        assert_eq!(ends("He said \"Go.\" Then (he went.) Gone."), ["Then (he went.) Gone.", "Gone."]);
        assert_eq!(ends("Version 1.2 of e.g. this, J. Smith et al. and so on... yes"), [""; 0]);
        assert_eq!(ends("一つ。二つ！三つ"), ["二つ！三つ", "三つ"]);
        assert_eq!(ends("Ende. Über allem."), ["Über allem."]);
        assert_eq!(ends("What?! Really."), ["Really."]);
    }

    #[test]
    fn overlap_repeats_whole_sentences_where_they_fit_else_words() {
        let text = "One two. Three four. Five six. Seven eight.";
        assert_eq!(cut(text, 4, 2), ["One two. Three four.", "Three four. Five six.", "Five six. Seven eight."]);
        assert_eq!(cut(text, 4, 1), ["One two. Three four.", "four. Five six.", "six. Seven eight."]);
        assert_eq!(cut("a b c d e", 3, 2), ["a b c", "b c d", "c d e"]);
    }

    #[test]
    fn characters_are_numbered_as_sql_numbers_them() {
        let text = " é🙂 中文. Next one.";
        let chunks = chunks(text, &starts(text), 2, 0, &|part| Ok(starts(part).len())).unwrap();
        let numbers = chunks.iter().map(|chunk| (chunk.start, chunk.stop, chunk.text)).collect::<Vec<_>>();
        assert_eq!(numbers, [(2, 8, "é🙂 中文."), (9, 18, "Next one.")]);
    }

    /// With a tokenizer that finds more tokens in a part than it found there in the whole text.
    #[test]
    fn a_part_with_more_tokens_than_expected_is_made_smaller() {
        let text = "a b c d e f g h";
        let count = |part: &str| Ok(starts(part).len() + 1);
        for overlap in 0..3 {
            let chunks = chunks(text, &starts(text), 3, overlap, &count).unwrap();
            assert!(chunks.iter().all(|chunk| starts(chunk.text).len() == 2), "{chunks:?}");
            assert!(chunks.last().unwrap().text.ends_with('h'));
        }
        // A single character becomes a chunk even if there is no room for it.
        let chunks = chunks("abc", &[0], 1, 0, &|_| Ok(2)).unwrap();
        assert_eq!(chunks.iter().map(|chunk| chunk.text).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
