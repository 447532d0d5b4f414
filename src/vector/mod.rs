//! Vectors as users write them: a BLOB of little-endian f32, or TEXT with a JSON array of numbers.

pub mod sums;
pub mod typed;

use crate::error::{Error, Result};
pub use crate::kernels::widen::INT8_STEP;
use crate::kernels::{self, F32Le};
use serde::de::{Deserialize, Deserializer as _, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// How many dimensions a vector may have.
pub const MAX_DIMENSIONS: usize = 65_536;

/// A type that nothing here stores, but that programs have where nobody said otherwise.
const DOUBLES: &str = "float64";

/// A vector. A BLOB is read in place; JSON is parsed into a copy.
pub type Vector<'a> = Cow<'a, [F32Le]>;

/// What the elements of stored vectors are. All arithmetic between a stored vector and a query is in f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ElementType {
    /// Little-endian f32.
    #[default]
    F32,
    /// Little-endian IEEE half precision.
    F16,
    /// The upper half of a little-endian f32.
    Bf16,
    /// Whole numbers from -128 to 127. They stand for the numbers from -1 to 1, as [`INT8_STEP`] says: `vec_quantize_int8(..., 'unit')` cuts
    /// (x + 1) / INT8_STEP - 128 to a whole number, as sqlite-vec's does.
    Int8,
    /// Bits, eight to a byte, the lowest first. They stand for 0 and 1.
    Bit,
}

impl ElementType {
    const NAMES: [(&'static str, Self); 5] =
        [("f32", Self::F32), ("f16", Self::F16), ("bf16", Self::Bf16), ("int8", Self::Int8), ("bit", Self::Bit)];

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, element)| *element)
    }

    /// All names, as an error message lists them.
    pub fn names() -> String {
        let names: Vec<String> = Self::NAMES.iter().map(|(name, _)| format!("'{name}'")).collect();
        names.join(", ")
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// How many bits an element has.
    pub fn bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Int8 => 8,
            Self::Bit => 1,
        }
    }

    /// Whether its elements are floating-point numbers.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    /// How many dimensions so many bytes are; `None` if they are not whole elements.
    pub fn dimensions(self, bytes: usize) -> Option<usize> {
        match self {
            Self::F32 => bytes.is_multiple_of(4).then_some(bytes / 4),
            Self::F16 | Self::Bf16 => bytes.is_multiple_of(2).then_some(bytes / 2),
            Self::Int8 => Some(bytes),
            Self::Bit => Some(8 * bytes),
        }
    }

    /// What vectors that were read as of this type and have `found` dimensions may be of, if they should have `wanted`: the type of which
    /// so many numbers take as many bytes.
    fn mistaken_for(self, wanted: usize, found: usize) -> Option<&'static str> {
        const WIDTHS: [(usize, &str); 5] = [(64, DOUBLES), (32, "f32"), (16, "f16 or bf16"), (8, "int8"), (1, "bit")];
        let bits = self.bits().saturating_mul(found);
        let same_bytes = |width: usize| width != self.bits() && wanted.saturating_mul(width) == bits;
        // One number takes as many bytes as one of something else rather often.
        WIDTHS.iter().find(|(width, _)| wanted > 1 && same_bytes(*width)).map(|(_, name)| *name)
    }

    /// How many dimensions a vector has that was read as of this type, and why it may not have as many as the others.
    pub fn miscounted(self, wanted: usize, found: usize) -> String {
        match self.mistaken_for(wanted, found) {
            Some(DOUBLES) if self == Self::F32 => format!("{found} (twice as many: float64?)"),
            Some(DOUBLES) | None => found.to_string(),
            Some(other) => format!("{found} (of {other}? see the option type)"),
        }
    }

    /// The same for a query that is longer or shorter than the rows, which were read as of this type.
    pub fn query_miscounted(self, rows: usize, query: usize) -> String {
        let doubles = (rows > 1 && query == 2 * rows).then_some("twice as many: float64?");
        let other = self.mistaken_for(query, rows).filter(|other| *other != DOUBLES);
        let other = other.map(|other| format!("are the rows of {other}? see the option type"));
        let reasons: Vec<&str> = doubles.into_iter().chain(other.as_deref()).collect();
        if reasons.is_empty() { query.to_string() } else { format!("{query} ({})", reasons.join(" or ")) }
    }

    /// The elements, as an error message names them.
    fn elements(self) -> &'static str {
        match self {
            Self::F32 => "4-byte floats",
            Self::F16 | Self::Bf16 => "2-byte floats",
            Self::Int8 => "bytes",
            Self::Bit => "bits",
        }
    }
}

/// Reads the bytes of a BLOB as a vector, at any address. f32 is read in place; other types are widened into a copy. The
/// values are not checked.
#[inline]
pub fn read(blob: &[u8], element: ElementType) -> Result<Vector<'_>> {
    if element == ElementType::F32 {
        let vector: &[F32Le] = bytemuck::try_cast_slice(blob).map_err(|_| not_whole(blob, element))?;
        within_limit(vector.len())?;
        return Ok(Cow::Borrowed(vector));
    }
    check_bytes(blob, element)?;
    let mut floats = Vec::new();
    widen_all(blob, element, &mut floats);
    Ok(Cow::Owned(floats))
}

/// The same into memory that is used again for the next vector.
pub fn read_into<'m>(blob: &[u8], element: ElementType, memory: &'m mut Vec<F32Le>) -> Result<&'m [F32Le]> {
    check_bytes(blob, element)?;
    widen_all(blob, element, memory);
    Ok(memory)
}

fn check_bytes(blob: &[u8], element: ElementType) -> Result<()> {
    within_limit(element.dimensions(blob.len()).ok_or_else(|| not_whole(blob, element))?)
}

fn not_whole(blob: &[u8], element: ElementType) -> Error {
    Error::expected(format_args!("a BLOB of {}", element.elements()), format_args!("{} bytes", blob.len()))
}

fn widen_all(blob: &[u8], element: ElementType, memory: &mut Vec<F32Le>) {
    memory.resize(element.dimensions(blob.len()).unwrap_or(0), F32Le::from(0.0));
    widen(blob, element, memory);
}

/// Widens elements into the memory given, as far as it reaches, and gives what was written.
pub fn widen<'m>(bytes: &[u8], element: ElementType, into: &'m mut [F32Le]) -> &'m [F32Le] {
    let length = element.dimensions(bytes.len()).unwrap_or(0).min(into.len());
    let into = &mut into[..length];
    let kernels = kernels::table();
    match element {
        ElementType::F32 => into.copy_from_slice(&bytemuck::try_cast_slice(bytes).unwrap_or_default()[..length]),
        ElementType::F16 => (kernels.widen_f16)(bytes, into),
        ElementType::Bf16 => (kernels.widen_bf16)(bytes, into),
        ElementType::Int8 => (kernels.widen_int8)(bytes, into),
        ElementType::Bit => {
            for (eight, byte) in into.chunks_mut(8).zip(bytes) {
                for (wide, at) in eight.iter_mut().zip(0..8) {
                    *wide = F32Le::from(f32::from(byte >> at & 1));
                }
            }
        }
    }
    into
}

/// Reads a JSON array of numbers.
pub fn from_json(text: &str) -> Result<Vec<F32Le>> {
    json_array("a JSON array of numbers", text, |number: f64| F32Le::from(number as f32))
}

/// The same, of a text that the user passed as an argument. If it has words in it, it was perhaps to be embedded.
pub fn from_argument(text: &str) -> Result<Vec<F32Le>> {
    from_json(text).map_err(|error| if has_words(text) { words(text) } else { error })
}

fn words(text: &str) -> Error {
    let call = match text.chars().count() > QUOTED {
        true => "embed(...)".into(),
        false => format!("embed('{}')", text.replace('\'', "''")),
    };
    Error::expected("a JSON array of numbers", format_args!("{}: did you mean {call}?", shown(text)))
}

/// Whether a text reads like words, and not like JSON with a mistake in it.
fn has_words(text: &str) -> bool {
    !text.trim_start().starts_with(['[', '{']) && text.chars().any(char::is_alphabetic)
}

/// Reads a JSON array of whole numbers, and refuses those outside of the limits.
pub fn from_json_integers(text: &str, least: i64, most: i64) -> Result<Vec<i64>> {
    let numbers = json_array("a JSON array of whole numbers", text, |number: i64| number)?;
    match numbers.iter().position(|number| !(least..=most).contains(number)) {
        Some(at) => Err(Error::expected(
            format_args!("whole numbers from {least} to {most}"),
            format_args!("{} at [{at}]", numbers[at]),
        )),
        None => Ok(numbers),
    }
}

fn json_array<'de, N: Deserialize<'de>, T>(what: &str, text: &'de str, keep: fn(N) -> T) -> Result<Vec<T>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let numbers = Numbers { first: Vec::new(), count: 0, keep };
    let read = reader.deserialize_seq(numbers).and_then(|numbers| reader.end().map(|()| numbers));
    // Only the place, as the parser's own words are about Rust and not about vectors.
    let place = |reason: serde_json::Error| format!("(at line {}, column {})", reason.line(), reason.column());
    let wrong = |reason: serde_json::Error| {
        let what = if is_too_large(&reason) { "finite numbers" } else { what };
        Error::expected(what, format_args!("{} {}", shown(text), place(reason)))
    };
    let Numbers { first, count, .. } = read.map_err(wrong)?;
    within_limit(count)?;
    Ok(first)
}

/// Whether a number in JSON is beyond f64. To the parser, that is a mistake in the text.
pub fn is_too_large(reason: &serde_json::Error) -> bool {
    reason.to_string().starts_with("number out of range")
}

/// The numbers of a JSON array, and how many there are. No more are kept than a vector may have; the rest is only counted.
struct Numbers<N, T> {
    first: Vec<T>,
    count: usize,
    keep: fn(N) -> T,
}

impl<'de, N: Deserialize<'de>, T> Visitor<'de> for Numbers<N, T> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut text: A) -> std::result::Result<Self, A::Error> {
        while let Some(number) = text.next_element()? {
            self.count += 1;
            if self.count <= MAX_DIMENSIONS {
                self.first.push((self.keep)(number));
            }
        }
        Ok(self)
    }
}

fn within_limit(dimensions: usize) -> Result<()> {
    if dimensions > MAX_DIMENSIONS {
        return Err(Error::expected(format_args!("at most {MAX_DIMENSIONS} dimensions"), dimensions));
    }
    Ok(())
}

/// Refuses NaN and infinities. The error names the position of the first.
pub fn check_finite(vector: &[F32Le]) -> Result<()> {
    if all_finite(vector) {
        return Ok(());
    }
    match vector.iter().position(|x| !x.get().is_finite()) {
        Some(at) => Err(Error::expected("finite numbers", format_args!("{} at [{at}]", shown_float(vector[at].get())))),
        None => Ok(()),
    }
}

/// Each group without an end in its middle, so that it is compiled to vectors; and never as a part of the caller, where the loop took from 7
/// to 8.3 instructions for a number, by what stood beside it.
#[inline(never)]
fn all_finite(vector: &[F32Le]) -> bool {
    let is_finite = |group: &[F32Le]| group.iter().fold(true, |all, x| all & x.get().is_finite());
    let (groups, rest) = vector.as_chunks::<32>();
    groups.iter().all(|group| is_finite(group)) && is_finite(rest)
}

/// Numbers that are 0 and 1 as bits, as they are stored. Refuses other numbers, and what does not fill whole bytes.
pub fn packed_bits(vector: &[F32Le]) -> Result<Vec<u8>> {
    if let Some(at) = vector.iter().position(|x| x.get() != 0.0 && x.get() != 1.0) {
        return Err(Error::expected("bits as 0 or 1", format_args!("{:?} at [{at}]", vector[at].get())));
    }
    let (bytes, rest) = vector.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Error::expected("a multiple of 8 dimensions for bits", vector.len()));
    }
    Ok(bytes.iter().map(|bits| packed(bits, |bit| bit.get() > 0.0)).collect())
}

/// Eight elements as the bits of a byte, the first as the lowest.
fn packed<T>(eight: &[T; 8], is_one: impl Fn(&T) -> bool) -> u8 {
    eight.iter().rev().fold(0, |byte, element| byte << 1 | u8::from(is_one(element)))
}

fn shown_float(x: f32) -> &'static str {
    match x {
        x if x.is_nan() => "NaN",
        x if x > 0.0 => "infinity",
        _ => "-infinity",
    }
}

/// Scales a vector to length 1. `None` if it has no direction: an empty vector, or one of zeros.
///
/// The norm is added up in f64 from first to last, and each element is divided by it in f64. So every CPU gives the
/// same bits, and the result may be stored by replicated statements and indexed.
pub fn normalize(vector: &[F32Le]) -> Option<Vec<F32Le>> {
    let norm = vector.iter().map(|x| f64::from(x.get()).powi(2)).sum::<f64>().sqrt();
    (norm > 0.0).then(|| vector.iter().map(|x| F32Le::from((f64::from(x.get()) / norm) as f32)).collect())
}

/// How far from 1 a length may be. Rounding a vector to f32, or summing its norm in f32, changes the length a hundred
/// times less. A cosine is wrong by at most as much.
pub const UNIT_TOLERANCE: f64 = 1e-4;

/// Fails with the length of a vector if it is not 1.
pub fn unit_length(vector: &[F32Le]) -> std::result::Result<(), f64> {
    let length = f64::from((kernels::table().dot_f32)(vector, vector)).sqrt();
    if (length - 1.0).abs() > UNIT_TOLERANCE { Err(length) } else { Ok(()) }
}

/// How many characters of a text an error message quotes.
const QUOTED: usize = 60;

/// A text of the user as an error message quotes it: only its beginning.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("'{}...'", &text[..end]),
        None => format!("'{text}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(vector: &[F32Le]) -> Vec<f32> {
        vector.iter().map(|x| x.get()).collect()
    }

    #[test]
    fn a_blob_is_read_at_any_address() {
        let mut bytes = vec![0u8];
        bytes.extend([1.0f32, -2.5].iter().flat_map(|x| x.to_le_bytes()));
        assert_eq!(floats(&read(&bytes[1..], ElementType::F32).unwrap()), [1.0, -2.5]);
        assert_eq!(
            read(&bytes, ElementType::F32).unwrap_err().to_string(),
            "expected a BLOB of 4-byte floats, not 9 bytes"
        );
    }

    #[test]
    fn each_type_of_element_is_widened() {
        let read = |bytes: &[u8], element| floats(&read(bytes, element).unwrap());
        assert_eq!(read(&[0x00, 0x3c, 0x00, 0xc0], ElementType::F16), [1.0, -2.0]);
        assert_eq!(read(&[0x80, 0x3f, 0x00, 0xc0], ElementType::Bf16), [1.0, -2.0]);
        assert_eq!(read(&[0x80, 0x7f], ElementType::Int8), [-1.0, 1.0]);
        assert_eq!(read(&[0b0000_0101], ElementType::Bit), [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn json_is_numbers_and_nothing_else() {
        assert_eq!(floats(&from_json(" [1, -2.5e0] ").unwrap()), [1.0, -2.5]);
        for text in ["", "1", "[1,]", "[\"1\"]", "[null]", "[[1]]", "{}", "[NaN]", "[1] 2"] {
            let message = from_json(text).unwrap_err().to_string();
            assert!(message.starts_with("expected a JSON array of numbers, not '"), "{message}");
        }
    }

    #[test]
    fn only_words_are_taken_for_a_text_to_embed() {
        let message = |text: &str| from_argument(text).unwrap_err().to_string();
        let start = "expected a JSON array of numbers, not ";
        assert_eq!(message("tides"), format!("{start}'tides': did you mean embed('tides')?"));
        assert_eq!(message("the sea's"), format!("{start}'the sea's': did you mean embed('the sea''s')?"));
        let long = "ä".repeat(61);
        assert_eq!(message(&long), format!("{start}{}: did you mean embed(...)?", shown(&long)));
        for text in ["", "5", "[1,\"x\"]", " [tides", "{\"a\": 1}"] {
            assert!(message(text).contains(" (at line 1, column "), "{}", message(text));
        }
    }

    #[test]
    fn what_does_not_fit_f32_is_found_as_infinite() {
        let vector = from_json("[0, 1e39]").unwrap();
        assert_eq!(check_finite(&vector).unwrap_err().to_string(), "expected finite numbers, not infinity at [1]");
    }

    #[test]
    fn the_first_that_is_not_finite_is_found_wherever_it_is() {
        let finite = [f32::MAX, f32::MIN, f32::from_bits(1), -0.0].map(F32Le::from);
        let finite: Vec<_> = finite.into_iter().cycle().take(100).collect();
        for length in 0..=finite.len() {
            assert!(check_finite(&finite[..length]).is_ok(), "{length}");
            for at in 0..length {
                for (other, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "infinity"), (f32::NEG_INFINITY, "-infinity")]
                {
                    let mut vector = finite[..length].to_vec();
                    vector[at] = F32Le::from(other);
                    vector[length - 1] = F32Le::from(other);
                    let told = check_finite(&vector).unwrap_err().to_string();
                    assert_eq!(told, format!("expected finite numbers, not {name} at [{at}]"), "{length}");
                }
            }
        }
    }

    #[test]
    fn normalize_gives_unit_length_or_nothing() {
        assert!(normalize(&[]).is_none());
        assert!(normalize(&from_json("[0, -0.0]").unwrap()).is_none());
        assert_eq!(floats(&normalize(&from_json("[3, 4]").unwrap()).unwrap()), [0.6, 0.8]);
        let tiny = normalize(&[F32Le::from(f32::from_bits(1)); 2]).unwrap();
        assert!((f64::from(tiny[0].get()) - 0.5f64.sqrt()).abs() < 1e-7);
        assert!(normalize(&[F32Le::from(f32::MAX); 3]).unwrap().iter().all(|x| x.get().is_finite()));
    }

    #[test]
    fn long_texts_are_quoted_by_their_beginning() {
        assert_eq!(shown("ab"), "'ab'");
        assert_eq!(shown(&"ä".repeat(61)), format!("'{}...'", "ä".repeat(60)));
    }
}
