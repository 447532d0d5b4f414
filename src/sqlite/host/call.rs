//! Scalar functions that know the types of vectors. SQLite carries the type beside a BLOB, as its subtype.
//!
//! A subtype lives only within a statement: from a function to the one around it. A table stores the BLOB without.

use super::api;
use super::args::{self, Args};
use super::connection::Connection;
use super::entry::{Trust, c_name, guard, result};
use super::ffi;
use super::value::{Value, ValueRef};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::vector::typed::{ElementValue, TypedVector};
use crate::vector::{ElementType, from_argument};
use std::ffi::{c_int, c_uint, c_void};

/// That a function may return a value with a subtype. SQLite has this flag since 3.45, and ignores it before.
const RESULT_SUBTYPE: c_uint = 0x100_0000;
/// That a function reads subtypes and gives them.
pub const SUBTYPE_FLAGS: c_int = (ffi::SQLITE_SUBTYPE | RESULT_SUBTYPE) as c_int;
/// The subtype of JSON, as SQLite's own functions for it have it.
const JSON: u8 = b'J';

/// The subtype of a vector. The first three are sqlite-vec's, the others our own.
fn subtype_of(element: ElementType) -> u8 {
    match element {
        ElementType::F32 => 223,
        ElementType::Bit => 224,
        ElementType::Int8 => 225,
        ElementType::F16 => 213,
        ElementType::Bf16 => 214,
    }
}

/// The type of a BLOB with this subtype. One without is of f32.
pub fn element_of(subtype: u32) -> ElementType {
    let known = [ElementType::F16, ElementType::Bf16, ElementType::Int8, ElementType::Bit];
    known.into_iter().find(|&element| u32::from(subtype_of(element)) == subtype).unwrap_or_default()
}

/// A scalar function on vectors. It may be called everywhere, and its result depends on its arguments alone.
pub struct VectorFunction {
    /// The name in SQL.
    pub name: &'static str,
    /// How many arguments.
    pub arity: i32,
    /// Computes the result.
    pub call: fn(VectorCall<'_>) -> Result<TypedAnswer>,
}

/// The result of a function, with its subtype.
pub struct TypedAnswer {
    value: Value,
    subtype: Option<u8>,
}

impl From<Value> for TypedAnswer {
    fn from(value: Value) -> Self {
        Self { value, subtype: None }
    }
}

impl From<ElementValue> for TypedAnswer {
    fn from(number: ElementValue) -> Self {
        Self::from(Value::from(number))
    }
}

impl From<TypedVector<'_>> for TypedAnswer {
    fn from(vector: TypedVector<'_>) -> Self {
        let subtype = Some(subtype_of(vector.element()));
        Self { value: Value::Blob(vector.into_bytes()), subtype }
    }
}

impl TypedAnswer {
    /// JSON, which SQLite's functions take as such and not as a text.
    pub fn json(text: String) -> Self {
        Self { value: Value::Text(text.into_bytes()), subtype: Some(JSON) }
    }
}

/// One call.
#[derive(Clone, Copy)]
pub struct VectorCall<'a> {
    context: *mut ffi::sqlite3_context,
    arguments: Args<'a>,
}

impl<'a> VectorCall<'a> {
    /// The argument at `at`, counted from 0.
    pub fn get(self, at: usize) -> ValueRef<'a> {
        self.arguments.get(at)
    }

    /// The vector that is the argument at `at`, or `None` for NULL. A BLOB is read in place. A text is JSON of f32; where it is the
    /// same for all rows of a statement, it is parsed for the first.
    #[inline]
    pub fn vector(self, at: usize) -> Result<Option<TypedVector<'a>>> {
        match self.get(at) {
            ValueRef::Text(_) => self.parsed(at).map(Some),
            value => typed(value, self.arguments.subtype(at)),
        }
    }

    /// The same, where a BLOB holds elements of this type, whatever type it carries.
    pub fn vector_of(self, at: usize, element: ElementType) -> Result<Option<TypedVector<'a>>> {
        match self.get(at) {
            ValueRef::Blob(blob) => TypedVector::new(element, blob).map(Some),
            _ => self.vector(at),
        }
    }

    /// The type that the argument at `at` carries; f32 if it carries none.
    pub fn element(self, at: usize) -> ElementType {
        element_of(self.arguments.subtype(at))
    }

    /// Whether the argument at `at` carries a type of 2-byte floats.
    pub fn has_halves(self, at: usize) -> bool {
        matches!(self.element(at), ElementType::F16 | ElementType::Bf16)
    }

    fn parsed(self, at: usize) -> Result<TypedVector<'a>> {
        let place = c_int::try_from(at).unwrap_or(c_int::MAX);
        let parse = || from_argument(args::text("a JSON array of numbers", self.get(at))?);
        let kept = || {
            // SAFETY: the context is that of the running call. What is kept at a place of a function is set below alone. SQLite
            // frees it after the call, or when the statement ends.
            let kept = unsafe { api::get_auxdata(self.context, place).cast::<Vec<F32Le>>().as_ref() };
            kept.map(|floats: &'a Vec<F32Le>| bytemuck::cast_slice::<_, u8>(floats))
        };
        if let Some(bytes) = kept() {
            return TypedVector::new(ElementType::F32, bytes);
        }
        let data = Box::into_raw(Box::new(parse()?)).cast();
        // SAFETY: as above. SQLite takes the data over, and frees them also where it cannot keep them.
        unsafe { api::set_auxdata(self.context, place, data, Some(free_vector)) };
        match kept() {
            Some(bytes) => TypedVector::new(ElementType::F32, bytes),
            None => TypedVector::new(ElementType::F32, bytemuck::cast_slice::<_, u8>(&parse()?).to_vec()),
        }
    }
}

unsafe extern "C" fn free_vector(data: *mut c_void) {
    // SAFETY: the pointer comes from `Box::into_raw` above, and comes back once.
    drop(unsafe { Box::from_raw(data.cast::<Vec<F32Le>>()) });
}

/// A value with its subtype as a vector, or `None` for NULL.
#[inline]
pub fn typed(value: ValueRef<'_>, subtype: u32) -> Result<Option<TypedVector<'_>>> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(blob) => TypedVector::new(element_of(subtype), blob).map(Some),
        ValueRef::Text(_) => {
            let floats = from_argument(args::text("a JSON array of numbers", value)?)?;
            TypedVector::new(ElementType::F32, bytemuck::cast_slice::<_, u8>(&floats).to_vec()).map(Some)
        }
        other => Err(Error::expected("a vector (BLOB of 4-byte floats or JSON array of numbers)", other)),
    }
}

/// Registers the functions.
pub fn register(connection: Connection, functions: &'static [VectorFunction]) -> Result<()> {
    let flags = Trust::Pure.flags() | SUBTYPE_FLAGS;
    for function in functions {
        let name = c_name(function.name)?;
        let data = std::ptr::from_ref(function).cast_mut().cast();
        let (db, arity) = (connection.raw(), function.arity);
        // SAFETY: the connection is open, the name terminated, and the data static.
        let code =
            unsafe { api::create_function_v2(db, name.as_ptr(), arity, flags, data, Some(call), None, None, None) };
        if code != ffi::SQLITE_OK as c_int {
            return Err(Error::Mistake(format!("SQLite did not take the function {}", function.name)));
        }
    }
    Ok(())
}

/// SQLite calls this for all of them. The data say which one.
unsafe extern "C" fn call(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite passes the context of this call, its arguments, and the data of `register`.
    let (function, arguments) =
        unsafe { (api::user_data(context).cast::<VectorFunction>().as_ref(), Args::new(count, values)) };
    let outcome = match function {
        Some(function) => guard(function.name, || (function.call)(VectorCall { context, arguments })),
        None => Err(Error::Bug("SQLite called a function of no name".into())),
    };
    // SAFETY: as above.
    unsafe { answer(context, outcome) };
}

/// Sets the result of a function, with its subtype.
///
/// # Safety
/// `context` is that of the running call.
pub unsafe fn answer(context: *mut ffi::sqlite3_context, outcome: Result<TypedAnswer>) {
    let (outcome, subtype) = match outcome {
        Ok(TypedAnswer { value, subtype }) => (Ok(value), subtype),
        Err(error) => (Err(error), None),
    };
    // SAFETY: the caller's. The subtype comes after the value, as SQLite wants.
    unsafe {
        result(context, outcome);
        if let Some(subtype) = subtype {
            api::result_subtype(context, subtype.into());
        }
    }
}
