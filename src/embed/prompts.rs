//! The texts that a model wants in front of what it reads: one before questions, one before documents.
//!
//! They stand in `config_sentence_transformers.json`, under the names that sentence-transformers looks for. The older
//! models of two families do not say theirs there; these are known here by the name of the model.

use super::listing::Prompts;
use super::settings::JsonFile;
use crate::error::{Error, Result};
use crate::resources::reserve::Reserve;
use serde_json::Value;
use std::borrow::Cow;

/// The file that prompts stand in.
pub const FILE: &str = "config_sentence_transformers.json";
/// The names under which the prompt for questions is looked for, in this order.
const QUERY: [&str; 2] = ["query", "search_query"];
/// The same for documents.
const DOCUMENT: [&str; 4] = ["document", "passage", "corpus", "search_document"];

impl Prompts {
    /// Reads the prompts of a model that may be known by one of `names`.
    pub(super) fn read(file: &JsonFile, names: &[&str]) -> Result<Self> {
        let named = named(file)?;
        let default = match file.text("default_prompt_name")? {
            None => None,
            Some(name) => Some(found(&named, &[name]).ok_or_else(|| {
                let wanted = format!("default_prompt_name as one of the prompts ({})", names_of(&named));
                Error::expected(wanted, format_args!("{name:?}")).within(file.path.display())
            })?),
        };
        let [query, document] = [found(&named, &QUERY), found(&named, &DOCUMENT)];
        if query.or(document).or(default).is_none() && named.iter().any(|(_, prompt)| !prompt.is_empty()) {
            let wanted = "a prompt named query or document, or a default_prompt_name";
            return Err(Error::expected(wanted, format_args!("only {}", names_of(&named))).within(file.path.display()));
        }
        if named.is_empty() {
            return Ok(names.iter().find_map(|name| of_family(name)).unwrap_or_default());
        }
        let text = |prompt: Option<&str>| prompt.or(default).unwrap_or_default().to_owned();
        Ok(Self { query: text(query), document: text(document) })
    }

    /// Whether there is no prompt at all.
    pub fn are_empty(&self) -> bool {
        self.query.is_empty() && self.document.is_empty()
    }
}

/// A text with its prompt.
pub fn prompted<'t>(prompt: &str, text: &'t str) -> Result<Cow<'t, str>> {
    if prompt.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let mut both = String::new();
    both.reserve_room(prompt.len() + text.len())?;
    both.push_str(prompt);
    both.push_str(text);
    Ok(Cow::Owned(both))
}

fn named<'f>(file: &'f JsonFile) -> Result<Vec<(&'f str, &'f str)>> {
    let prompts = &file.content["prompts"];
    if prompts.is_null() {
        return Ok(Vec::new());
    }
    let all = prompts.as_object().ok_or_else(|| file.wrong("prompts", "an object of texts", prompts))?;
    let text = |(name, prompt): (&'f String, &'f Value)| match prompt {
        Value::String(prompt) => Ok((name.as_str(), prompt.as_str())),
        other => Err(file.wrong(&format!("prompts.{name}"), "text", other)),
    };
    all.iter().map(text).collect()
}

/// The prompt with the first of these names that there is.
fn found<'f>(named: &[(&'f str, &'f str)], names: &[&str]) -> Option<&'f str> {
    names.iter().find_map(|wanted| named.iter().find(|(name, _)| name == wanted)).map(|(_, prompt)| *prompt)
}

fn names_of(named: &[(&str, &str)]) -> String {
    named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The prompts of models whose folders do not name them.
fn of_family(name: &str) -> Option<Prompts> {
    let name = name.rsplit('/').next()?.to_ascii_lowercase();
    let prompts = |query: &str, document: &str| Some(Prompts { query: query.into(), document: document.into() });
    let e5 = name.strip_prefix("multilingual-").unwrap_or(&name);
    let is_e5 = ["e5-small", "e5-base", "e5-large"].iter().any(|kind| e5.starts_with(kind));
    if is_e5 && !name.contains("instruct") {
        return prompts("query: ", "passage: ");
    }
    let bge = ["bge-small-", "bge-base-", "bge-large-"].iter().find_map(|kind| name.strip_prefix(kind))?;
    match bge.split('-').next()? {
        "en" => prompts("Represent this sentence for searching relevant passages: ", ""),
        "zh" => prompts("为这个句子生成表示以用于检索相关文章：", ""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_models_of_two_families_are_known_by_name() {
        let query = |name| of_family(name).map(|prompts| prompts.query);
        for name in ["e5-small-v2", "intfloat/multilingual-e5-base", "Multilingual-E5-small-int8"] {
            assert_eq!(query(name).as_deref(), Some("query: "), "{name}");
        }
        assert!(query("BAAI/bge-small-en-v1.5").is_some_and(|prompt| prompt.starts_with("Represent")));
        assert!(query("bge-base-zh").is_some());
        for name in ["multilingual-e5-large-instruct", "bge-m3", "bge-reranker-base", "my-e5-small", "bge-small-entity"]
        {
            assert_eq!(query(name), None, "{name}");
        }
    }
}
