//! The languages of a model, as its card tells them: the lines between two `---` at the beginning of README.md.
//!
//! The card is written for people, and decides no vector. So one that cannot be read only tells nothing.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The most bytes of a card that are read.
const LONGEST: u64 = 64 << 10;

/// The languages of the model in this folder. None if its card does not say.
pub fn languages(folder: &Path) -> Vec<String> {
    let path = folder.join("README.md");
    // Anything but a file is not opened: a pipe would wait for ever.
    if !fs::metadata(&path).is_ok_and(|data| data.is_file()) {
        return Vec::new();
    }
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => of_card(&String::from_utf8_lossy(&bytes)),
        Err(_) => Vec::new(),
    }
}

/// `language: en`, `language: [en, de]`, or a list below the key.
fn of_card(card: &str) -> Vec<String> {
    let mut lines = card.lines().map(str::trim_end);
    if lines.next() != Some("---") {
        return Vec::new();
    }
    let mut lines = lines.take_while(|line| *line != "---");
    let Some(value) = lines.find_map(|line| line.strip_prefix("language:")) else { return Vec::new() };
    let plain = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let mut languages: Vec<_> = match value.trim() {
        "" => lines.map_while(|line| line.trim_start().strip_prefix("- ")).map(plain).collect(),
        list => list.trim_matches(['[', ']']).split(',').map(plain).collect(),
    };
    languages.retain(|language| !language.is_empty());
    languages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_read_in_the_forms_that_cards_have() {
        for card in
            ["---\nlanguage: en\n---\n", "---\r\nlicense: mit\r\nlanguage: 'en'\r\n---", "---\nlanguage:\n- en\n"]
        {
            assert_eq!(of_card(card), ["en"], "{card:?}");
        }
        assert_eq!(of_card("---\nlanguage: [en, \"de\"]\n---"), ["en", "de"]);
        assert_eq!(of_card("---\nlanguage:\n  - en\n  - de\ntags:\n  - x\n---"), ["en", "de"]);
        for card in [
            "",
            "# Title",
            "language: en",
            "---\ntags: x\n---\nlanguage: en",
            "---\nlanguage:\n---",
            "---\nlanguage: []",
        ] {
            assert!(of_card(card).is_empty(), "{card:?}");
        }
    }
}
