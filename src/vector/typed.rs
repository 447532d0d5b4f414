//! Vectors that carry the type of their elements, and what is computed with them element by element.
//!
//! The functions that have sqlite-vec's names are made of these. Where sqlite-vec gives a value, the same value comes out here;
//! `docs/from-sqlite-vec.md` lists the differences. Distances are in `metric::pairs`.

use super::{ElementType, INT8_STEP, Vector, check_finite, from_json_integers, normalize, packed, read, within_limit};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use half::{bf16, f16};
use std::borrow::Cow;
use std::fmt::Write;

/// A vector as it is stored, with the type of its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedVector<'a> {
    element: ElementType,
    bytes: Cow<'a, [u8]>,
}

/// One element, as SQL shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ElementValue {
    /// An element of int8 or bit, and sums of such.
    Integer(i64),
    /// An element of the other types.
    Real(f64),
}

/// What is done with two vectors, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// a + b
    Add,
    /// a - b
    Subtract,
}

impl<'a> TypedVector<'a> {
    /// Refuses bytes that are not whole elements, and vectors of too many dimensions.
    pub fn new(element: ElementType, bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        let whole = || {
            let hint = match element {
                ElementType::F32 => {
                    " (a BLOB out of a table or subquery counts as f32 unless wrapped, as in vec_int8(v))"
                }
                _ => "",
            };
            Error::expected(
                format_args!("a BLOB of {}", element.elements()),
                format_args!("{} bytes{hint}", bytes.len()),
            )
        };
        within_limit(element.dimensions(bytes.len()).ok_or_else(whole)?)?;
        Ok(Self { element, bytes })
    }

    /// Floats as elements of this type, which is not int8 or bit. Refuses numbers that are not finite in it.
    pub fn from_floats(element: ElementType, floats: &[F32Le]) -> Result<TypedVector<'static>> {
        check_finite(floats)?;
        let narrowed = |narrow: fn(f32) -> Option<[u8; 2]>, largest: f32| -> Result<Vec<u8>> {
            let pairs = floats.iter().enumerate().map(|(at, number)| {
                let number = number.get();
                match narrow(number) {
                    Some(pair) => Ok(pair),
                    None => Err(Error::expected(
                        format_args!("numbers from -{largest:?} to {largest:?} for {}", element.name()),
                        format_args!("{number:?} at [{at}]"),
                    )),
                }
            });
            pairs.collect::<Result<Vec<[u8; 2]>>>().map(|pairs| pairs.into_flattened())
        };
        let bytes = match element {
            ElementType::F32 => bytemuck::cast_slice(floats).to_vec(),
            ElementType::F16 => {
                let narrow = |number| Some(f16::from_f32(number)).filter(|half| half.is_finite()).map(f16::to_le_bytes);
                narrowed(narrow, f16::MAX.to_f32())?
            }
            ElementType::Bf16 => {
                let narrow =
                    |number| Some(bf16::from_f32(number)).filter(|half| half.is_finite()).map(bf16::to_le_bytes);
                narrowed(narrow, bf16::MAX.to_f32())?
            }
            ElementType::Int8 | ElementType::Bit => return Err(Error::expected("f32, f16 or bf16", element.name())),
        };
        TypedVector::new(element, bytes)
    }

    /// An int8 vector of a JSON array of whole numbers.
    pub fn int8_from_json(text: &str) -> Result<TypedVector<'static>> {
        let numbers = from_json_integers(text, -128, 127)?;
        TypedVector::new(ElementType::Int8, numbers.into_iter().map(|number| number as i8 as u8).collect::<Vec<_>>())
    }

    /// A bit vector of a JSON array of 0 and 1.
    pub fn bits_from_json(text: &str) -> Result<TypedVector<'static>> {
        let numbers = from_json_integers(text, 0, 1)?;
        let (bytes, rest) = numbers.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(not_whole_bytes(numbers.len()));
        }
        TypedVector::new(ElementType::Bit, bytes.iter().map(|bits| packed(bits, |bit| *bit > 0)).collect::<Vec<_>>())
    }

    /// The type of the elements.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// The bytes as they are stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, taken out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_owned()
    }

    /// How many elements there are.
    pub fn dimensions(&self) -> usize {
        self.element.dimensions(self.bytes.len()).unwrap_or(0)
    }

    /// The elements as f32. Refuses int8 and bit, whose elements are whole numbers, and what is not finite.
    pub fn floats(&self) -> Result<Vector<'_>> {
        if !self.element.is_float() {
            return Err(Error::expected("a vector of f32, f16 or bf16", self.element.name()));
        }
        let floats = read(&self.bytes, self.element)?;
        check_finite(&floats)?;
        Ok(floats)
    }

    /// All elements, as SQL shows them.
    pub fn numbers(&self) -> Result<Vec<ElementValue>> {
        Ok(match self.element {
            ElementType::Int8 => self.bytes.iter().map(|&byte| ElementValue::Integer((byte as i8).into())).collect(),
            ElementType::Bit => self.bits().map(|bit| ElementValue::Integer(bit.into())).collect(),
            _ => self.floats()?.iter().map(|number| ElementValue::Real(number.get().into())).collect(),
        })
    }

    fn bits(&self) -> impl Iterator<Item = bool> {
        self.bytes.iter().flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1))
    }

    /// A JSON array. f32 has six digits after the point, as in sqlite-vec; f16 and bf16 have as many as tell them apart.
    pub fn to_json(&self) -> Result<String> {
        let mut text = String::from("[");
        for (at, number) in self.numbers()?.into_iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "," });
            match (number, self.element) {
                (ElementValue::Integer(number), _) => write!(text, "{number}"),
                (ElementValue::Real(number), ElementType::F32) => write_with_six_digits(&mut text, number),
                (ElementValue::Real(number), _) => write!(text, "{}", number as f32),
            }
            .map_err(|_| Error::Bug("a number that cannot be written".into()))?;
        }
        text.push(']');
        Ok(text)
    }

    /// Two vectors of the same type and length, element by element. Refuses bits, and results that the type cannot hold.
    pub fn combine(&self, operation: Operation, other: &Self) -> Result<TypedVector<'static>> {
        self.check_alike(other)?;
        match self.element {
            ElementType::Bit => Err(Error::expected("vectors of numbers", self.element.name())),
            ElementType::Int8 => {
                let pairs = self.bytes.iter().zip(&*other.bytes).enumerate();
                let sums = pairs.map(|(at, (&a, &b))| int8_of(operation, at, a as i8, b as i8));
                TypedVector::new(ElementType::Int8, sums.collect::<Result<Vec<u8>>>()?)
            }
            element => {
                let (a, b) = (self.floats()?, other.floats()?);
                let pairs = a.iter().zip(&*b).map(|(a, b)| (a.get(), b.get()));
                let sums = pairs.map(|(a, b)| match operation {
                    Operation::Add => F32Le::from(a + b),
                    Operation::Subtract => F32Le::from(a - b),
                });
                Self::from_floats(element, &sums.collect::<Vec<_>>())
            }
        }
    }

    /// The elements from `start` up to `end`, without that of `end`.
    pub fn slice(&self, start: usize, end: usize) -> Result<TypedVector<'static>> {
        let dimensions = self.dimensions();
        if start >= end || end > dimensions {
            return Err(Error::expected(
                format_args!("a start below the end, and an end of at most {dimensions}"),
                format_args!("{start} and {end}"),
            ));
        }
        let bits = self.element.bits();
        if !(start * bits).is_multiple_of(8) || !(end * bits).is_multiple_of(8) {
            return Err(Error::expected(
                "a start and an end that are multiples of 8 for bits",
                format_args!("{start} and {end}"),
            ));
        }
        let part = self.bytes.get(start * bits / 8..end * bits / 8).unwrap_or_default();
        TypedVector::new(self.element, part.to_vec())
    }

    /// A vector of length 1 and the same type, or `None` if this one has no direction.
    pub fn normalized(&self) -> Result<Option<TypedVector<'static>>> {
        normalize(&self.floats()?).map(|unit| Self::from_floats(self.element, &unit)).transpose()
    }

    /// int8 elements for numbers from -1 to 1. Numbers beyond them count as -1 or 1.
    pub fn quantized_int8(&self) -> Result<TypedVector<'static>> {
        let step = f64::from(INT8_STEP);
        let floats = self.floats()?;
        // A cast to an integer cuts off the fraction and keeps to the limits.
        let bytes = floats.iter().map(|number| ((f64::from(number.get()) + 1.0) / step - 128.0) as i8 as u8);
        TypedVector::new(ElementType::Int8, bytes.collect::<Vec<_>>())
    }

    /// A bit for each element: 1 for numbers above 0.
    pub fn quantized_binary(&self) -> Result<TypedVector<'static>> {
        if !self.dimensions().is_multiple_of(8) {
            return Err(not_whole_bytes(self.dimensions()));
        }
        let bytes: Vec<u8> = match self.element {
            ElementType::Bit => return Err(Error::expected("a vector of numbers", self.element.name())),
            ElementType::Int8 => {
                self.bytes.as_chunks::<8>().0.iter().map(|eight| packed(eight, |byte| *byte as i8 > 0)).collect()
            }
            _ => {
                let floats = self.floats()?;
                floats.as_chunks::<8>().0.iter().map(|eight| packed(eight, |number| number.get() > 0.0)).collect()
            }
        };
        TypedVector::new(ElementType::Bit, bytes)
    }

    /// Refuses two vectors of different types or lengths.
    #[inline]
    pub fn check_alike(&self, other: &Self) -> Result<()> {
        if self.element != other.element {
            return Err(Error::expected(
                "two vectors of one type",
                format_args!(
                    "{} and {} (a BLOB out of a table or subquery counts as f32 unless wrapped, as in vec_int8(v))",
                    self.element.name(),
                    other.element.name()
                ),
            ));
        }
        if self.bytes.len() != other.bytes.len() {
            return Err(Error::expected(
                format_args!("two vectors of {} dimensions", self.dimensions()),
                format_args!("{}", other.dimensions()),
            ));
        }
        Ok(())
    }
}

fn not_whole_bytes(dimensions: usize) -> Error {
    Error::expected("a multiple of 8 dimensions for bits", dimensions)
}

fn int8_of(operation: Operation, at: usize, a: i8, b: i8) -> Result<u8> {
    let (sum, sign) = match operation {
        Operation::Add => (a.checked_add(b), '+'),
        Operation::Subtract => (a.checked_sub(b), '-'),
    };
    sum.map(|sum| sum as u8)
        .ok_or_else(|| Error::expected("results from -128 to 127 for int8", format_args!("{a} {sign} {b} at [{at}]")))
}

/// Writes an f32 as C's `%f` does, with SQLite's rules: halves away from zero, 16 significant digits, no sign for zero.
fn write_with_six_digits(text: &mut String, number: f64) -> std::fmt::Result {
    let magnitude = number.abs();
    let sign = if number < 0.0 { "-" } else { "" };
    // From here on an f32 has no fraction.
    if magnitude < f64::from(1 << 24) {
        // Exact: 24 bits times 20 bits.
        let millionths = (magnitude * 1e6).round() as u64;
        return write!(text, "{sign}{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    }
    let digits = format!("{magnitude:.15e}");
    let (digits, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let length = exponent.parse().unwrap_or(0) + 1;
    let digits: String =
        digits.chars().filter(|digit| *digit != '.').chain(std::iter::repeat('0')).take(length).collect();
    write!(text, "{sign}{digits}.000000")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn floats(numbers: &[f32]) -> TypedVector<'static> {
        let numbers: Vec<F32Le> = numbers.iter().map(|&number| number.into()).collect();
        TypedVector::from_floats(ElementType::F32, &numbers).unwrap()
    }

    fn message<T: std::fmt::Debug>(outcome: Result<T>) -> String {
        outcome.unwrap_err().to_string()
    }

    /// As sqlite-vec 0.1.9 does it: seen by running it.
    #[test]
    fn int8_is_quantized_as_by_sqlite_vec() {
        let vector = floats(&[-1.0, -0.5, -0.004, 0.0, 0.0039, 0.004, 0.5, 0.99, 1.0, 2.0, -2.0]);
        let bytes: Vec<i8> = vector.quantized_int8().unwrap().bytes().iter().map(|&byte| byte as i8).collect();
        assert_eq!(bytes, [-128, -64, -1, 0, 0, 0, 63, 125, 126, 127, -128]);
    }

    #[test]
    fn numbers_are_written_as_sqlite_writes_them() {
        let vector = floats(&[1e38, 1e-38, 0.1, 123_456_789.0, -0.0, -1e-7, 0.007_812_5, 1.5e16, -127.9]);
        let text = "[99999996802856920000000000000000000000.000000,0.000000,0.100000,123456792.000000,0.000000,\
                    -0.000000,0.007813,15000000408846340.000000,-127.900002]";
        assert_eq!(vector.to_json().unwrap(), text);
    }

    #[test]
    fn small_types_hold_what_they_can() {
        let half = TypedVector::from_floats(ElementType::F16, &[F32Le::from(0.1)]).unwrap();
        assert_eq!(half.to_json().unwrap(), "[0.099975586]");
        let beyond = [F32Le::from(1.0), F32Le::from(65520.0)];
        let refusal = message(TypedVector::from_floats(ElementType::F16, &beyond));
        assert_eq!(refusal, "expected numbers from -65504.0 to 65504.0 for f16, not 65520.0 at [1]");
        assert!(TypedVector::from_floats(ElementType::Bf16, &beyond).is_ok());
        assert!(TypedVector::from_floats(ElementType::Bf16, &[F32Le::from(f32::MAX)]).is_err());
        let int8 = TypedVector::int8_from_json("[100, -100]").unwrap();
        assert_eq!(
            message(int8.combine(Operation::Add, &int8)),
            "expected results from -128 to 127 for int8, not 100 + 100 at [0]"
        );
    }

    #[test]
    fn bits_come_lowest_first() {
        let bits = TypedVector::bits_from_json("[1,0,1,0,0,0,0,0]").unwrap();
        assert_eq!((bits.bytes(), bits.to_json().unwrap().as_str()), (&[5][..], "[1,0,1,0,0,0,0,0]"));
        assert_eq!(floats(&[1.0, -1.0, 0.5, 0.0, -0.0, 0.0, 0.0, 0.0]).quantized_binary().unwrap(), bits);
        assert_eq!(message(TypedVector::bits_from_json("[1]")), "expected a multiple of 8 dimensions for bits, not 1");
    }
}
