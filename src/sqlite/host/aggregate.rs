//! Aggregate functions over vectors, which are window functions too.

use super::api;
use super::args::Args;
use super::call::{SUBTYPE_FLAGS, TypedAnswer, answer, typed};
use super::connection::Connection;
use super::entry::{Trust, c_name, guard, result};
use super::ffi;
use super::value::Value;
use crate::error::{Error, Result};
use crate::vector::sums::VectorSums;
use crate::vector::typed::TypedVector;
use std::ffi::c_int;

/// An aggregate of one argument. Rows without a vector do not count. It may be called everywhere.
pub struct VectorAggregate {
    /// The name in SQL.
    pub name: &'static str,
    /// The value of a group; `None` if it is NULL.
    pub value: fn(&VectorSums) -> Result<Option<TypedVector<'static>>>,
}

/// Registers the aggregates.
pub fn register(connection: Connection, aggregates: &'static [VectorAggregate]) -> Result<()> {
    let flags = Trust::Pure.flags() | SUBTYPE_FLAGS;
    for aggregate in aggregates {
        let name = c_name(aggregate.name)?;
        let data = std::ptr::from_ref(aggregate).cast_mut().cast();
        let calls = api::WindowCalls { step, last, value, inverse };
        // SAFETY: the connection is open, the name terminated, and the data static.
        let code = unsafe { api::create_aggregate(connection.raw(), name.as_ptr(), 1, flags, data, calls) };
        if code != ffi::SQLITE_OK as c_int {
            return Err(Error::Mistake(format!("SQLite did not take the function {}", aggregate.name)));
        }
    }
    Ok(())
}

/// What SQLite keeps for a group: a pointer of ours, null at first.
type SumsPlace = *mut VectorSums;

/// The place of the running group. `None` if there is no memory, or, where no room is asked for, if no row came.
///
/// # Safety
/// `context` is that of the running call, and the place is borrowed once at a time.
unsafe fn place<'a>(context: *mut ffi::sqlite3_context, bytes: usize) -> Option<&'a mut SumsPlace> {
    // SAFETY: the caller's. SQLite gives zeroed memory of that size, and the same for each call of a group.
    unsafe { api::aggregate_context(context, bytes as c_int).cast::<SumsPlace>().as_mut() }
}

/// The aggregate that is called.
///
/// # Safety
/// As [`place`].
unsafe fn called<'a>(context: *mut ffi::sqlite3_context) -> Option<&'a VectorAggregate> {
    // SAFETY: the data are those of `register`.
    unsafe { api::user_data(context).cast::<VectorAggregate>().as_ref() }
}

/// Lets the sums take in or give back the vector of a row.
///
/// # Safety
/// As SQLite calls xStep and xInverse.
unsafe fn change(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
    by: fn(&mut VectorSums, &TypedVector<'_>) -> Result<()>,
) {
    // SAFETY: the caller's.
    let (aggregate, arguments, place) =
        unsafe { (called(context), Args::new(count, values), place(context, size_of::<SumsPlace>())) };
    let outcome = guard(aggregate.map_or("", |aggregate| aggregate.name), || {
        let Some(vector) = typed(arguments.get(0), arguments.subtype(0))? else { return Ok(()) };
        let place = place.ok_or_else(|| Error::Memory("expected memory for a group, not none".into()))?;
        if place.is_null() {
            *place = Box::into_raw(Box::default());
        }
        // SAFETY: the pointer comes from a box, which `last` alone takes back.
        unsafe { place.as_mut() }.map_or(Ok(()), |sums| by(sums, &vector))
    });
    if let Err(error) = outcome {
        // SAFETY: the caller's.
        unsafe { result(context, Err(error)) };
    }
}

unsafe extern "C" fn step(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: as SQLite calls xStep.
    unsafe { change(context, count, values, VectorSums::add) };
}

unsafe extern "C" fn inverse(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: as SQLite calls xInverse.
    unsafe { change(context, count, values, VectorSums::remove) };
}

unsafe extern "C" fn value(context: *mut ffi::sqlite3_context) {
    // SAFETY: as SQLite calls xValue.
    unsafe {
        let sums = place(context, 0).and_then(|place| place.as_ref());
        give(context, sums);
    }
}

unsafe extern "C" fn last(context: *mut ffi::sqlite3_context) {
    // SAFETY: as SQLite calls xFinal: once for each group, after all other calls. So the box is taken back once.
    unsafe {
        let taken = place(context, 0).map(|place| std::mem::replace(place, std::ptr::null_mut()));
        let sums = taken.filter(|sums| !sums.is_null()).map(|sums| Box::from_raw(sums));
        give(context, sums.as_deref());
    }
}

/// # Safety
/// `context` is that of the running call.
unsafe fn give(context: *mut ffi::sqlite3_context, sums: Option<&VectorSums>) {
    // SAFETY: the caller's.
    let aggregate = unsafe { called(context) };
    let outcome = guard(aggregate.map_or("", |aggregate| aggregate.name), || {
        let (Some(aggregate), Some(sums)) = (aggregate, sums) else { return Ok(TypedAnswer::from(Value::Null)) };
        Ok((aggregate.value)(sums)?.map_or(Value::Null.into(), TypedAnswer::from))
    });
    // SAFETY: the caller's.
    unsafe { answer(context, outcome) };
}
