//! The scalar functions on vectors of every type. Most have sqlite-vec's names and give its results, so that SQL written for it
//! keeps working; `docs/from-sqlite-vec.md` lists where they differ.

use crate::error::{Error, Result};
use crate::metric::pairs::PairMeasure;
use crate::sqlite::host::aggregate::VectorAggregate;
use crate::sqlite::host::args;
use crate::sqlite::host::call::{TypedAnswer, VectorCall, VectorFunction};
use crate::sqlite::host::value::{Value, ValueRef};
use crate::vector::sums::VectorSums;
use crate::vector::typed::{Operation, TypedVector};
use crate::vector::{ElementType, check_finite, normalize};

/// Those that sqlite-vec has too. `FAFCAS_VEC_NAMES=0` leaves them to it.
pub static SHARED: &[VectorFunction] = &[
    function("vec_f32", 1, |call| constructed(call, ElementType::F32)),
    function("vec_int8", 1, |call| constructed(call, ElementType::Int8)),
    function("vec_bit", 1, |call| constructed(call, ElementType::Bit)),
    function("vec_length", 1, |call| of_one(call, |v| Ok(Value::Integer(v.dimensions() as i64).into()))),
    function("vec_type", 1, |call| of_one(call, |v| Ok(Value::from(type_name(v.element())).into()))),
    function("vec_to_json", 1, |call| of_one(call, |v| v.to_json().map(TypedAnswer::json))),
    function("vec_add", 2, |call| of_two(call, |a, b| a.combine(Operation::Add, &b).map(TypedAnswer::from))),
    function("vec_sub", 2, |call| of_two(call, |a, b| a.combine(Operation::Subtract, &b).map(TypedAnswer::from))),
    function("vec_slice", 3, sliced),
    function("vec_normalize", 1, |call| {
        of_one(call, |v| Ok(v.normalized()?.map_or(Value::Null.into(), TypedAnswer::from)))
    }),
    function("vec_quantize_int8", 2, quantized_int8),
    function("vec_quantize_binary", 1, |call| of_one(call, |v| v.quantized_binary().map(TypedAnswer::from))),
    function("vec_distance_cosine", 2, |call| measured(call, PairMeasure::Cosine)),
    function("vec_distance_l2", 2, |call| measured(call, PairMeasure::L2)),
    function("vec_distance_l1", 2, |call| measured(call, PairMeasure::L1)),
    function("vec_distance_hamming", 2, |call| measured(call, PairMeasure::Hamming)),
];

/// Those that are ours alone.
pub static OWN: &[VectorFunction] = &[
    function("vec_f16", 1, |call| narrowed(call, ElementType::F16)),
    function("vec_f16", 2, |call| narrowed(call, ElementType::F16)),
    function("vec_bf16", 1, |call| narrowed(call, ElementType::Bf16)),
    function("vec_bf16", 2, |call| narrowed(call, ElementType::Bf16)),
    function("vec_dot", 2, dot),
    function("fafcas_normalize", 1, unit),
];

/// Over the vectors of many rows.
pub static AGGREGATES: &[VectorAggregate] = &[
    VectorAggregate { name: "vec_sum", value: VectorSums::sum },
    VectorAggregate { name: "vec_avg", value: VectorSums::average },
];

const fn function(name: &'static str, arity: i32, call: fn(VectorCall<'_>) -> Result<TypedAnswer>) -> VectorFunction {
    VectorFunction { name, arity, call }
}

/// The name of a type as sqlite-vec writes it, and the names of the others in its manner.
fn type_name(element: ElementType) -> &'static str {
    match element {
        ElementType::F32 => "float32",
        ElementType::F16 => "float16",
        ElementType::Bf16 => "bfloat16",
        ElementType::Int8 => "int8",
        ElementType::Bit => "bit",
    }
}

fn not_empty(vector: TypedVector<'_>) -> Result<TypedVector<'_>> {
    if vector.dimensions() == 0 { Err(Error::expected("at least 1 dimension", 0)) } else { Ok(vector) }
}

/// NULL for NULL.
fn of_one<'a>(call: VectorCall<'a>, with: impl FnOnce(TypedVector<'a>) -> Result<TypedAnswer>) -> Result<TypedAnswer> {
    match call.vector(0)? {
        Some(vector) => with(not_empty(vector)?),
        None => Ok(Value::Null.into()),
    }
}

/// Both vectors, or `None` if one of them is NULL.
#[inline]
fn both<'a>(call: VectorCall<'a>) -> Result<Option<(TypedVector<'a>, TypedVector<'a>)>> {
    let a = call.vector(0).map_err(|error| error.within("first vector"))?;
    let b = call.vector(1).map_err(|error| error.within("second vector"))?;
    Ok(a.zip(b))
}

/// NULL if one of both is NULL.
#[inline]
fn of_two<'a>(
    call: VectorCall<'a>,
    with: impl FnOnce(TypedVector<'a>, TypedVector<'a>) -> Result<TypedAnswer>,
) -> Result<TypedAnswer> {
    match both(call)? {
        Some((a, b)) => with(not_empty(a)?, not_empty(b)?),
        None => Ok(Value::Null.into()),
    }
}

#[inline]
fn measured(call: VectorCall<'_>, measure: PairMeasure) -> Result<TypedAnswer> {
    of_two(call, |a, b| measure.between(&a, &b).map(TypedAnswer::from))
}

/// `vec_dot(a, b)`. Of two empty vectors it is 0.
fn dot(call: VectorCall<'_>) -> Result<TypedAnswer> {
    match both(call)? {
        Some((a, b)) => PairMeasure::Dot.between(&a, &b).map(TypedAnswer::from),
        None => Ok(Value::Null.into()),
    }
}

/// `fafcas_normalize(v)`: as f32, whatever type of floats it is given. Of an empty vector it is NULL.
fn unit(call: VectorCall<'_>) -> Result<TypedAnswer> {
    let floats = match call.element(0) {
        ElementType::F32 => args::vector(call.get(0))?,
        _ => call.vector(0)?.map(|vector| vector.floats().map(|floats| floats.into_owned().into())).transpose()?,
    };
    let Some(floats) = floats else { return Ok(Value::Null.into()) };
    check_finite(&floats)?;
    let unit = normalize(&floats).map_or(Value::Null, |unit| Value::Blob(bytemuck::cast_slice(&unit).to_vec()));
    Ok(unit.into())
}

/// A vector of this type, of JSON or of the bytes of a BLOB. f16 and bf16 become f32 by their values.
fn constructed(call: VectorCall<'_>, element: ElementType) -> Result<TypedAnswer> {
    let vector = match (call.get(0), element) {
        (text @ ValueRef::Text(_), ElementType::Int8) => {
            TypedVector::int8_from_json(args::text("a JSON array of whole numbers", text)?).map(Some)
        }
        (text @ ValueRef::Text(_), ElementType::Bit) => {
            TypedVector::bits_from_json(args::text("a JSON array of 0 and 1", text)?).map(Some)
        }
        (_, ElementType::F32) if call.has_halves(0) => call.vector(0),
        _ => call.vector_of(0, element),
    };
    let Some(vector) = vector? else { return Ok(Value::Null.into()) };
    let vector = not_empty(vector)?;
    if element == ElementType::F32 {
        return TypedVector::from_floats(element, &vector.floats()?).map(TypedAnswer::from);
    }
    Ok(vector.into())
}

/// `vec_f16(v [, type])` and `vec_bf16(v [, type])`. `type` says what a BLOB holds, if it is not f32 and its type is lost.
fn narrowed(call: VectorCall<'_>, element: ElementType) -> Result<TypedAnswer> {
    let vector = match call.get(1) {
        ValueRef::Null => call.vector(0)?,
        name => call.vector_of(0, float_type(name)?)?,
    };
    let Some(vector) = vector else { return Ok(Value::Null.into()) };
    TypedVector::from_floats(element, &not_empty(vector)?.floats()?).map(TypedAnswer::from)
}

fn float_type(name: ValueRef<'_>) -> Result<ElementType> {
    let named = args::text("the type of the vector", name).ok().and_then(ElementType::from_name);
    let wanted = || Error::expected("the type of the vector as 'f32', 'f16' or 'bf16'", name);
    named.filter(|element| element.is_float()).ok_or_else(wanted)
}

fn sliced(call: VectorCall<'_>) -> Result<TypedAnswer> {
    if call.get(1) == ValueRef::Null || call.get(2) == ValueRef::Null {
        return Ok(Value::Null.into());
    }
    of_one(call, |vector| {
        let place =
            |what, at| args::count(what, call.get(at)).map(|place| usize::try_from(place).unwrap_or(usize::MAX));
        vector.slice(place("start", 1)?, place("end", 2)?).map(TypedAnswer::from)
    })
}

fn quantized_int8(call: VectorCall<'_>) -> Result<TypedAnswer> {
    of_one(call, |vector| {
        match call.get(1) {
            ValueRef::Text(scale) if scale.eq_ignore_ascii_case(b"unit") => {}
            other => return Err(Error::expected("the scale as 'unit'", other)),
        }
        vector.quantized_int8().map(TypedAnswer::from)
    })
}
