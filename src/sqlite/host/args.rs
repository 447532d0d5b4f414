//! The arguments of a call, and what the functions of this crate read from them.

use super::api;
use super::ffi;
use super::in_list::List;
use super::value::{Value, ValueRef};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::planning::options::Options;
use crate::vector::{self, ElementType, Vector};
use std::borrow::Cow;
use std::marker::PhantomData;

/// The arguments of one call.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    values: &'a [*mut ffi::sqlite3_value],
    call: PhantomData<&'a ffi::sqlite3_value>,
}

impl<'a> Args<'a> {
    /// Wraps the array that SQLite passed.
    ///
    /// # Safety
    /// `values` points to `count` protected values that live for `'a`; it may be anything when `count` is 0.
    pub unsafe fn new(count: i32, values: *const *mut ffi::sqlite3_value) -> Self {
        let values = match usize::try_from(count) {
            // SAFETY: the caller's.
            Ok(count) if count > 0 => unsafe { std::slice::from_raw_parts(values, count) },
            _ => &[],
        };
        Self { values, call: PhantomData }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.values.len()
    }

    /// The argument at `at`, counted from 0. NULL if there are fewer arguments, so that one that was left out reads like NULL.
    pub fn get(self, at: usize) -> ValueRef<'a> {
        // SAFETY: `new` was promised protected values.
        self.values.get(at).map_or(ValueRef::Null, |&value| unsafe { read(value) })
    }

    /// The subtype of the argument at `at`; 0 if it has none.
    pub fn subtype(self, at: usize) -> u32 {
        // SAFETY: `new` was promised protected values.
        self.values.get(at).map_or(0, |&value| unsafe { api::value_subtype(value) })
    }

    /// All values of an IN whose list `xBestIndex` asked for.
    pub fn list(self, at: usize) -> Result<List> {
        List::collect(|with| self.each_of_list(at, with))
    }

    fn each_of_list(self, at: usize, with: &mut dyn FnMut(ValueRef<'_>) -> Result<()>) -> Result<()> {
        let Some(&list) = self.values.get(at) else { return Ok(()) };
        let mut value = std::ptr::null_mut();
        // SAFETY: `list` is a protected value; SQLite answers MISUSE where it is no list.
        let mut code = unsafe { api::vtab_in_first(list, &mut value) };
        while code == ffi::SQLITE_OK as i32 && !value.is_null() {
            // SAFETY: SQLite just handed the value over, and it lives until the next call.
            with(unsafe { read(value) })?;
            // SAFETY: as for `vtab_in_first`.
            code = unsafe { api::vtab_in_next(list, &mut value) };
        }
        match code as u32 {
            ffi::SQLITE_OK | ffi::SQLITE_DONE => Ok(()),
            _ => Err(Error::Sqlite { code, message: format!("reading the values of IN failed with code {code}") }),
        }
    }
}

/// Reads a value.
///
/// # Safety
/// `value` is a protected value; what is read stays valid until the value changes or is freed.
pub unsafe fn read<'a>(value: *mut ffi::sqlite3_value) -> ValueRef<'a> {
    // SAFETY: the caller's; `bytes` comes after the conversion it measures, as SQLite wants.
    unsafe {
        match api::value_type(value) as u32 {
            ffi::SQLITE_INTEGER => ValueRef::Integer(api::value_int64(value)),
            ffi::SQLITE_FLOAT => ValueRef::Real(api::value_double(value)),
            ffi::SQLITE_TEXT => {
                let text = api::value_text(value);
                ValueRef::Text(bytes(text, api::value_bytes(value)))
            }
            ffi::SQLITE_BLOB => {
                let blob = api::value_blob(value);
                ValueRef::Blob(bytes(blob.cast(), api::value_bytes(value)))
            }
            _ => ValueRef::Null,
        }
    }
}

/// The bytes that a pointer of SQLite names. The pointer is null if there are none.
///
/// # Safety
/// `at` is null or points to `length` bytes that live for `'a`.
pub unsafe fn bytes<'a>(at: *const u8, length: i32) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: the caller's.
        Ok(length) if length > 0 && !at.is_null() => unsafe { std::slice::from_raw_parts(at, length) },
        _ => &[],
    }
}

/// A vector that is an argument, or `None` for NULL. Whether its numbers are finite is not checked.
#[inline]
pub fn vector(value: ValueRef<'_>) -> Result<Option<Vector<'_>>> {
    query(value, ElementType::F32)
}

/// The query of a search, or `None` for NULL. A BLOB has elements of this type. Whether its numbers are finite is not checked.
#[inline]
pub fn query(value: ValueRef<'_>, element: ElementType) -> Result<Option<Vector<'_>>> {
    match value {
        ValueRef::Text(_) => read_text(value, element, vector::from_argument),
        value => stored(value, element),
    }
}

fn read_text(
    value: ValueRef<'_>,
    element: ElementType,
    read: fn(&str) -> Result<Vec<F32Le>>,
) -> Result<Option<Vector<'static>>> {
    let floats = read(text("a JSON array of numbers", value)?)?;
    if element == ElementType::Bit {
        vector::packed_bits(&floats)?;
    }
    Ok(Some(Cow::Owned(floats)))
}

/// A vector that is stored with elements of this type, or `None` for NULL. Whether its numbers are finite is not checked.
#[inline]
pub fn stored(value: ValueRef<'_>, element: ElementType) -> Result<Option<Vector<'_>>> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(blob) => vector::read(blob, element).map(Some),
        ValueRef::Text(_) => read_text(value, element, vector::from_json),
        other => Err(Error::expected("a vector (BLOB of 4-byte floats or JSON array of numbers)", other)),
    }
}

/// A text. It must be valid UTF-8. `what` is what the message says was expected.
pub fn text<'a>(what: &str, value: ValueRef<'a>) -> Result<&'a str> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .map_err(|reason| Error::expected(what, format_args!("text that is not UTF-8 ({reason})"))),
        other => Err(Error::expected(what, other)),
    }
}

/// A whole number of 0 or more. It may be a text, as in SQLite's LIMIT, because some hosts bind all parameters as texts.
pub fn count(what: &str, value: ValueRef<'_>) -> Result<u64> {
    let number = match value {
        ValueRef::Text(text) => number_in(text),
        other => Some(other),
    };
    number.and_then(whole).ok_or_else(|| Error::expected(format_args!("{what} as a whole number of 0 or more"), value))
}

/// The number that a text reads as.
fn number_in(text: &[u8]) -> Option<ValueRef<'static>> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    text.parse().map(ValueRef::Integer).or_else(|_| text.parse().map(ValueRef::Real)).ok()
}

/// A rank, which is 1 or more. `number` says in the message which of the ranks of the call it is.
pub fn rank(number: usize, value: ValueRef<'_>) -> Result<u64> {
    let rank = whole(value).filter(|&rank| rank > 0);
    rank.ok_or_else(|| Error::expected(format_args!("rank {number} as a whole number of 1 or more"), value))
}

/// A number from 0 to 1. It may be a text, as in [`count`].
pub fn share(what: &str, value: ValueRef<'_>) -> Result<f64> {
    let number = match value {
        ValueRef::Text(text) => number_in(text),
        other => Some(other),
    };
    let number = match number {
        Some(ValueRef::Integer(x)) => x as f64,
        Some(ValueRef::Real(x)) => x,
        _ => f64::NAN,
    };
    let within = Some(number).filter(|number| (0.0..=1.0).contains(number));
    within.ok_or_else(|| Error::expected(format_args!("{what} as a number from 0 to 1"), value))
}

/// A number with a fraction of zero counts as whole: clients whose only number is a double bind 10 as 10.0.
fn whole(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::Integer(x) => u64::try_from(x).ok(),
        ValueRef::Real(x) if x >= 0.0 && x.fract() == 0.0 && x < 9.0e15 => Some(x as u64),
        _ => None,
    }
}

/// The type of the elements, if the user names it, for a function whose options have nothing else.
pub fn element(value: ValueRef<'_>) -> Result<Option<ElementType>> {
    match value {
        ValueRef::Null => Ok(None),
        given => Options::type_from_json(text("options as a JSON object", given)?),
    }
}

/// The options of a search; the default ones for NULL.
pub fn options(value: &Value) -> Result<Options> {
    match value {
        Value::Null => Ok(Options::default()),
        given => Options::from_json(text("options as a JSON object", given.borrow())?),
    }
}
