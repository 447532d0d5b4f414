//! The `options` argument of a search: a JSON object. Unknown keys are refused.

use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::resources::reserve;
use crate::vector::{ElementType, is_too_large, shown};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// The options of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How vectors are compared.
    pub metric: Metric,
    /// What the elements of the stored vectors are. If the user does not say, the index of the column does; f32 without one.
    pub element: Option<ElementType>,
    /// Whether the rows must be those of a scan.
    pub exact: bool,
    /// The column that identifies rows. Needed if the source does not say which one it is.
    pub key: Option<String>,
    /// Which index may answer.
    pub index: IndexChoice,
    /// Whether to leave out rows that cannot be scored.
    pub skip_bad: bool,
}

/// The options of a search with many queries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ManyOptions {
    /// The options that every search has.
    pub each: Options,
    /// Whether a row is left out of its own results. The queries are then rows of the source.
    pub exclude_self: bool,
    /// The column that identifies the queries. Needed if their source does not say which one it is.
    pub query_key: Option<String>,
}

impl ManyOptions {
    /// Reads the JSON text.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut options = Self::default();
        for (key, value) in &object(text)? {
            match (key.as_str(), value) {
                ("exclude_self", Value::Bool(exclude)) => options.exclude_self = *exclude,
                ("exclude_self", _) => return Err(wrong(key, "true or false", value)),
                ("query_key", Value::String(name)) => options.query_key = Some(name.clone()),
                ("query_key", _) => return Err(wrong(key, "a column's name", value)),
                _ if options.each.set(key, value)? => {}
                _ => {
                    let known = "options metric, exact, type, key, index, skip_bad, exclude_self or query_key";
                    return Err(Error::expected(known, shown(key)));
                }
            }
        }
        options.each.check()?;
        Ok(options)
    }
}

/// The greatest weight and the greatest spread. A score is a product of them and of others: BM25, and cosines or dot products of floats,
/// which are below 1e82. So it is finite.
const MOST: f64 = 1e12;

/// The options of a search by vectors and words.
#[derive(Debug, Clone, PartialEq)]
pub struct HybridOptions {
    /// The options of the search by vectors.
    pub each: Options,
    /// How much words count compared with vectors. The usual value is 1.
    pub weight: f64,
    /// The weights of the columns of the full text, as in `bm25()`. A column without a weight has 1.
    pub weights: Vec<f64>,
    /// How far the cosines of the model lie apart, if it is not to be measured.
    pub spread: Option<f64>,
    /// An FTS5 table of trigrams, for words that no row has.
    pub fuzzy: Option<String>,
}

impl HybridOptions {
    /// Reads the JSON text.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut options =
            Self { each: Options::default(), weight: 1.0, weights: Vec::new(), spread: None, fuzzy: None };
        let at_most = |what, key: &str, value: &Value, number: f64| {
            if number <= MOST { Ok(number) } else { Err(wrong(key, what, value)) }
        };
        let not_negative = |value: &Value| value.as_f64().filter(|number| *number >= 0.0 && number.is_finite());
        for (key, value) in &object(text)? {
            let number = not_negative(value);
            match (key.as_str(), value) {
                ("weight", _) => {
                    let weight = number.ok_or_else(|| wrong(key, "a number of 0 or more", value))?;
                    options.weight = at_most("a number of 1e12 at most", key, value, weight)?;
                }
                // So that a statement can pass what it may not know.
                ("spread", Value::Null) => options.spread = None,
                ("spread", _) => {
                    let spread = number.filter(|spread| *spread > 0.0);
                    let spread = spread.ok_or_else(|| wrong(key, "a number above 0", value))?;
                    options.spread = Some(at_most("a number of 1e12 at most", key, value, spread)?);
                }
                ("weights", Value::Array(values)) => {
                    let weights: Option<Vec<f64>> = values.iter().map(not_negative).collect();
                    let weights = weights.ok_or_else(|| wrong(key, "an array of numbers of 0 or more", value))?;
                    let greatest = weights.iter().copied().fold(0.0, f64::max);
                    at_most("an array of numbers of 1e12 at most", key, value, greatest)?;
                    options.weights = weights;
                }
                ("fuzzy", Value::String(table)) => options.fuzzy = Some(table.clone()),
                ("fuzzy", _) => return Err(wrong(key, "the name of an FTS5 table", value)),
                ("weights", _) => return Err(wrong(key, "an array of numbers of 0 or more", value)),
                _ if options.each.set(key, value)? => {}
                _ => {
                    let known = "options metric, exact, type, key, index, skip_bad, weight, weights, spread or fuzzy";
                    return Err(Error::expected(known, shown(key)));
                }
            }
        }
        options.each.check()?;
        match options.each.metric {
            Metric::Dot | Metric::Cosine => Ok(options),
            other => {
                let got = format!("'{}'", other.name());
                Err(Error::expected("options.metric as 'dot' or 'cosine' beside words", got))
            }
        }
    }

    /// The options of the search by vectors, as the JSON that [`Options::from_json`] reads.
    pub fn each_to_json(text: &str) -> Result<String> {
        let own = ["weight", "weights", "spread", "fuzzy"];
        let pairs = object(text)?.into_iter().filter(|(key, _)| !own.contains(&key.as_str()));
        Ok(Value::Object(pairs.collect()).to_string())
    }
}

/// The options of an audit.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditOptions {
    /// The options that every search has.
    pub each: Options,
    /// How many rows are compared for each query.
    pub k: usize,
    /// Where the queries are, as `table.column`. Without it they are rows of the table.
    pub queries: Option<String>,
    /// The column that identifies the queries. Needed if their source does not say which one it is.
    pub query_key: Option<String>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { each: Options::default(), k: 10, queries: None, query_key: None }
    }
}

impl AuditOptions {
    /// Reads the JSON text.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut options = Self::default();
        for (key, value) in &object(text)? {
            match (key.as_str(), value) {
                ("k", _) => {
                    let k = value.as_u64().filter(|k| *k > 0).and_then(|k| usize::try_from(k).ok());
                    options.k = k.ok_or_else(|| wrong(key, "a whole number of 1 or more", value))?;
                }
                ("queries", Value::String(place)) => options.queries = Some(place.clone()),
                ("queries", _) => return Err(wrong(key, "'table.column'", value)),
                ("query_key", Value::String(name)) => options.query_key = Some(name.clone()),
                ("query_key", _) => return Err(wrong(key, "a column's name", value)),
                ("index", Value::Bool(false)) => return Err(wrong(key, "an index's name", value)),
                _ if options.each.set(key, value)? => {}
                _ => {
                    let known = "options k, queries, query_key, metric, exact, type, key, index or skip_bad";
                    return Err(Error::expected(known, shown(key)));
                }
            }
        }
        if !options.each.metric.has_codes() {
            let got = format!("'{}', which scans", options.each.metric.name());
            return Err(Error::expected("options.metric as 'dot', 'cosine' or 'l2'", got));
        }
        options.each.check()?;
        Ok(options)
    }
}

/// What the values of a byte of JSON take at most: `1,` is a value of 32 bytes, in a list that is copied when it grows.
const BYTES_A_BYTE: usize = 64;

/// The keys and values of an object. No key may occur twice.
fn object(text: &str) -> Result<Vec<(String, Value)>> {
    reserve::check_room(text.len().saturating_mul(BYTES_A_BYTE))?;
    let wrong = |reason: serde_json::Error| {
        let what = if is_too_large(&reason) { "finite numbers in the options" } else { "options as a JSON object" };
        Error::expected(what, format_args!("{} ({reason})", shown(text)))
    };
    let Pairs(pairs) = serde_json::from_str(text).map_err(wrong)?;
    let mut before = HashSet::new();
    match pairs.iter().find(|(key, _)| !before.insert(key.as_str())) {
        Some((key, _)) => Err(Error::expected("each of the options once", format_args!("{} twice", shown(key)))),
        None => Ok(pairs),
    }
}

/// The pairs of an object as they were written. A map would silently keep only the last of two values.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(PairsVisitor)
    }
}

/// Which index may answer a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexChoice {
    /// Any that can answer.
    Any,
    /// None.
    Never,
    /// Only the one with this name.
    Named(String),
}

impl Default for Options {
    fn default() -> Self {
        Self { metric: Metric::Dot, element: None, exact: false, key: None, index: IndexChoice::Any, skip_bad: false }
    }
}

impl Options {
    /// Reads the JSON text.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut options = Self::default();
        for (key, value) in &object(text)? {
            if !options.set(key, value)? {
                return Err(Error::expected("options metric, exact, type, key, index or skip_bad", shown(key)));
            }
        }
        options.check()?;
        Ok(options)
    }

    /// Reads a JSON text that may have the option `type` alone.
    pub fn type_from_json(text: &str) -> Result<Option<ElementType>> {
        let mut options = Self::default();
        for (key, value) in &object(text)? {
            if key != "type" || !options.set(key, value)? {
                return Err(Error::expected("the option type", shown(key)));
            }
        }
        Ok(options.element)
    }

    /// Reads the options of an index, of which `type` is the only one: what the elements of its column are.
    pub fn index_type_from_json(text: &str) -> Result<ElementType> {
        let element = Self::type_from_json(text)?.unwrap_or_default();
        if element == ElementType::Bit {
            let got = "'bit': searches by hamming scan, which takes a tenth of the time that f32 takes";
            return Err(Error::expected("options.type as 'f32', 'f16', 'bf16' or 'int8' for an index", got));
        }
        Ok(element)
    }

    /// What the elements of the query are: bits are compared with bits.
    pub fn query_element(&self) -> ElementType {
        if self.metric == Metric::Hamming { ElementType::Bit } else { ElementType::F32 }
    }

    /// Refuses options that contradict each other. If the user names an index, the answer must come from that index,
    /// not from a scan.
    fn check(&self) -> Result<()> {
        if matches!(self.index, IndexChoice::Named(_)) && !self.metric.has_codes() {
            let got = format!("'{}'", self.metric.name());
            return Err(Error::expected("options.metric as 'dot', 'cosine' or 'l2' with options.index", got));
        }
        if self.metric == Metric::Hamming && self.element != Some(ElementType::Bit) {
            let got = format!("'{}'", self.element.unwrap_or_default().name());
            return Err(Error::expected("options.type as 'bit' with options.metric 'hamming'", got));
        }
        Ok(())
    }

    /// Returns false if the option is not known.
    fn set(&mut self, key: &str, value: &Value) -> Result<bool> {
        match (key, value) {
            ("metric", Value::String(name)) => {
                let metric = Metric::from_name(name);
                self.metric = metric.ok_or_else(|| wrong(key, "'dot', 'cosine', 'l2', 'l1' or 'hamming'", value))?;
            }
            ("metric", _) => return Err(wrong(key, "'dot', 'cosine', 'l2', 'l1' or 'hamming'", value)),
            ("type", Value::String(name)) => {
                let element = ElementType::from_name(name);
                self.element = Some(element.ok_or_else(|| wrong(key, &ElementType::names(), value))?);
            }
            ("type", _) => return Err(wrong(key, &ElementType::names(), value)),
            ("key", Value::String(name)) => self.key = Some(name.clone()),
            ("key", _) => return Err(wrong(key, "a column's name", value)),
            ("index", Value::Bool(false)) => self.index = IndexChoice::Never,
            ("index", Value::String(name)) => self.index = IndexChoice::Named(name.clone()),
            ("index", _) => return Err(wrong(key, "an index's name or false", value)),
            ("exact", Value::Bool(exact)) => self.exact = *exact,
            ("skip_bad", Value::Bool(skip)) => self.skip_bad = *skip,
            ("exact" | "skip_bad", _) => return Err(wrong(key, "true or false", value)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn wrong(key: &str, what: &str, value: &Value) -> Error {
    Error::expected(format_args!("options.{key} as {what}"), shown(&value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read() {
        let text = r#"{"metric":"l2","exact":true,"type":"f32","key":"k","index":"i","skip_bad":true}"#;
        let index = IndexChoice::Named("i".into());
        let element = Some(ElementType::F32);
        let read = Options { metric: Metric::L2, element, exact: true, key: Some("k".into()), index, skip_bad: true };
        assert_eq!(Options::from_json(text).unwrap(), read);
        assert!(Options::from_json(r#"{"exact":true,"index":false}"#).unwrap().exact);
        assert_eq!(Options::from_json(r#"{"index":false}"#).unwrap().index, IndexChoice::Never);
        assert_eq!(Options::from_json("{}").unwrap(), Options::default());
    }

    #[test]
    fn a_search_of_many_has_more_options() {
        let options = ManyOptions::from_json(r#"{"metric":"l2","exclude_self":true,"query_key":"q"}"#).unwrap();
        let each = Options { metric: Metric::L2, ..Options::default() };
        assert_eq!(options, ManyOptions { each, exclude_self: true, query_key: Some("q".into()) });
        assert!(Options::from_json(r#"{"exclude_self":true}"#).is_err());
        assert!(ManyOptions::from_json(r#"{"exclude":true}"#).is_err());
        assert!(ManyOptions::from_json(r#"{"exclude_self":1}"#).is_err());
    }

    /// Issue 12, item 11: each key was compared with all before it. For so many keys that takes minutes.
    #[test]
    fn as_many_keys_as_one_likes_are_read_in_linear_time() {
        let keys = |last: &str| {
            let keys: Vec<String> = (0..400_000).map(|number| format!("\"k{number}\":1")).collect();
            format!("{{{},{last}}}", keys.join(","))
        };
        let message = |last: &str| Options::from_json(&keys(last)).unwrap_err().to_string();
        assert!(message("\"last\":1").ends_with("not 'k0'"));
        assert_eq!(message("\"k7\":2"), "expected each of the options once, not 'k7' twice");
    }

    #[test]
    fn what_is_not_an_option_is_refused() {
        for (text, message) in [
            ("[]", "expected options as a JSON object, not '[]'"),
            (r#"{"metrics":1}"#, "expected options metric, exact, type, key, index or skip_bad, not 'metrics'"),
            (
                r#"{"metric":"ip"}"#,
                r#"expected options.metric as 'dot', 'cosine', 'l2', 'l1' or 'hamming', not '"ip"'"#,
            ),
            (r#"{"exact":1}"#, "expected options.exact as true or false, not '1'"),
            (r#"{"exact":true,"metric":"l2","exact":true}"#, "expected each of the options once, not 'exact' twice"),
            (
                r#"{"metric":"l1","index":"i"}"#,
                "expected options.metric as 'dot', 'cosine' or 'l2' with options.index, not 'l1'",
            ),
            (r#"{"metric":"hamming"}"#, "expected options.type as 'bit' with options.metric 'hamming', not 'f32'"),
            (r#"{"index":true}"#, "expected options.index as an index's name or false, not 'true'"),
        ] {
            let error = Options::from_json(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
