//! The distance between two vectors of one type: what `vec_distance_*` and `vec_dot` give.
//!
//! Floats are computed in f32 by the kernels, and again in f64 where the sums leave the range of f32. int8 and bit are computed in
//! whole numbers, as they are stored. Nothing is allocated for vectors that lie in BLOBs.

use super::is_well_within;
use crate::error::{Error, Result};
use crate::kernels::typed::{BytesKernel, TypeSums};
use crate::kernels::{self, F32Le, PairKernel};
use crate::vector::ElementType;
use crate::vector::typed::{ElementValue, TypedVector};

/// What is measured between two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairMeasure {
    /// The dot product.
    Dot,
    /// 1 minus the cosine. A vector of zeros has no direction; its cosine with any other is 0.
    Cosine,
    /// The Euclidean distance.
    L2,
    /// The Manhattan distance. A whole number for int8.
    L1,
    /// In how many places two bit vectors differ.
    Hamming,
}

impl PairMeasure {
    /// Measures two vectors of the same type and length. Refuses numbers that are not finite.
    #[inline]
    pub fn between(self, a: &TypedVector<'_>, b: &TypedVector<'_>) -> Result<ElementValue> {
        a.check_alike(b)?;
        match (a.element(), self) {
            (ElementType::Bit, Self::Hamming) => {
                Ok(ElementValue::Real((kernels::table().hamming)(a.bytes(), b.bytes()).into()))
            }
            (ElementType::Bit, Self::Dot) => Ok(ElementValue::Real(common_bits(a.bytes(), b.bytes()).into())),
            (element @ ElementType::Bit, _) => Err(Error::expected("vectors of numbers", element.name())),
            (element, Self::Hamming) => Err(Error::expected("vectors of bits", element.name())),
            (ElementType::Int8, _) => Ok(self.of_int8(a.bytes(), b.bytes())),
            _ => self.of_floats(a, b).map(|real| ElementValue::Real(real + 0.0)),
        }
    }

    fn of_floats(self, a: &TypedVector<'_>, b: &TypedVector<'_>) -> Result<f64> {
        let kernels = kernels::table();
        let dot = |a, b| sum(a, b, kernels.dot_f32, |sums| sums.dot);
        let fast = match self {
            Self::L2 => {
                let square = sum(a, b, kernels.l2_squared_f32, |sums| sums.l2_squared);
                if is_well_within(square as f32) { square.sqrt() } else { f64::NAN }
            }
            Self::L1 => sum(a, b, kernels.l1_f32, |sums| sums.l1),
            Self::Cosine => {
                let [product, squares @ ..] = match a.element() {
                    ElementType::F32 => (kernels.products_f32)(in_place(a), in_place(b)).map(f64::from),
                    _ => [dot(a, b), dot(a, a), dot(b, b)],
                };
                if squares.iter().all(|&square| is_well_within(square as f32)) {
                    cosine_distance(product, squares[0], squares[1])
                } else {
                    f64::NAN
                }
            }
            Self::Dot | Self::Hamming => dot(a, b),
        };
        if fast.is_finite() { Ok(fast) } else { self.careful(a, b) }
    }

    /// The same in f64. NaN and infinities are found here.
    #[cold]
    fn careful(self, a: &TypedVector<'_>, b: &TypedVector<'_>) -> Result<f64> {
        let a = a.floats().map_err(|error| error.within("first vector"))?;
        let b = b.floats().map_err(|error| error.within("second vector"))?;
        let pairs = || a.iter().zip(&*b).map(|(a, b)| (f64::from(a.get()), f64::from(b.get())));
        let total = |term: fn((f64, f64)) -> f64| pairs().map(term).sum::<f64>();
        Ok(match self {
            Self::L2 => total(|(a, b)| (a - b) * (a - b)).sqrt(),
            Self::L1 => total(|(a, b)| (a - b).abs()),
            Self::Cosine => cosine_distance(total(|(a, b)| a * b), total(|(a, _)| a * a), total(|(_, b)| b * b)),
            Self::Dot | Self::Hamming => total(|(a, b)| a * b),
        })
    }

    fn of_int8(self, a: &[u8], b: &[u8]) -> ElementValue {
        let sums = &kernels::table().typed.int8;
        match self {
            Self::L1 => ElementValue::Integer((sums.l1)(a, b)),
            Self::L2 => ElementValue::Real(((sums.l2_squared)(a, b) as f64).sqrt()),
            Self::Cosine => {
                let product = |a, b| (sums.dot)(a, b) as f64;
                ElementValue::Real(cosine_distance(product(a, b), product(a, a), product(b, b)))
            }
            Self::Dot | Self::Hamming => ElementValue::Real((sums.dot)(a, b) as f64),
        }
    }
}

/// The cosine distance for a product and two squares.
fn cosine_distance(product: f64, a: f64, b: f64) -> f64 {
    // Squares of f32 are far from the ends of the range of f64, and so is the product of two.
    let lengths = (a * b).sqrt();
    if lengths > 0.0 { 1.0 - (product / lengths).clamp(-1.0, 1.0) } else { 1.0 }
}

/// What the kernel for the type of two vectors of floats gives: `wide` for f32, `narrow` of its kernels for another type.
#[inline]
fn sum(
    a: &TypedVector<'_>,
    b: &TypedVector<'_>,
    wide: PairKernel,
    narrow: fn(&TypeSums<f32>) -> BytesKernel<f32>,
) -> f64 {
    let typed = &kernels::table().typed;
    f64::from(match a.element() {
        ElementType::F16 => narrow(&typed.f16)(a.bytes(), b.bytes()),
        ElementType::Bf16 => narrow(&typed.bf16)(a.bytes(), b.bytes()),
        _ => wide(in_place(a), in_place(b)),
    })
}

/// The elements of an f32 vector, which is made of whole ones.
fn in_place<'v>(vector: &'v TypedVector<'_>) -> &'v [F32Le] {
    bytemuck::try_cast_slice(vector.bytes()).unwrap_or_default()
}

/// How many bits both have.
fn common_bits(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: [PairMeasure; 4] = [PairMeasure::Dot, PairMeasure::Cosine, PairMeasure::L2, PairMeasure::L1];

    fn floats(element: ElementType, numbers: &[f32]) -> TypedVector<'static> {
        let numbers: Vec<F32Le> = numbers.iter().map(|&number| number.into()).collect();
        TypedVector::from_floats(element, &numbers).unwrap()
    }

    fn real(number: ElementValue) -> f64 {
        match number {
            ElementValue::Integer(number) => number as f64,
            ElementValue::Real(number) => number,
        }
    }

    #[test]
    fn all_types_measure_by_the_definition() {
        let (a, b): (Vec<f32>, Vec<f32>) = (0..1200).map(|at| ((at % 7) as f32 - 3.0, (at % 5) as f32 - 1.0)).unzip();
        let int8 = |numbers: &[f32]| {
            TypedVector::new(ElementType::Int8, numbers.iter().map(|x| *x as i8 as u8).collect::<Vec<_>>()).unwrap()
        };
        for measure in ALL {
            let (a64, b64) = (floats(ElementType::F32, &a), floats(ElementType::F32, &b));
            let truth = measure.careful(&a64, &b64).unwrap();
            for element in [ElementType::F32, ElementType::F16, ElementType::Bf16] {
                let got = real(measure.between(&floats(element, &a), &floats(element, &b)).unwrap());
                assert!(
                    (got - truth).abs() < 1e-6 * (1.0 + truth.abs()),
                    "{measure:?} {element:?}: {got}, not {truth}"
                );
            }
            assert!((real(measure.between(&int8(&a), &int8(&b)).unwrap()) - truth).abs() < 1e-9, "{measure:?}");
        }
    }

    #[test]
    fn bits_are_counted() {
        let bits = |bytes: &[u8]| TypedVector::new(ElementType::Bit, bytes.to_vec()).unwrap();
        let (a, b) = (bits(&[0xff, 0, 1, 2, 3, 4, 5, 6, 7]), bits(&[0x0f, 0, 1, 2, 3, 4, 5, 6, 1]));
        assert_eq!(PairMeasure::Hamming.between(&a, &b), Ok(ElementValue::Real(6.0)));
        assert_eq!(PairMeasure::Dot.between(&a, &b), Ok(ElementValue::Real(14.0)));
        assert!(PairMeasure::L2.between(&a, &b).is_err());
    }

    #[test]
    fn whole_numbers_of_int8_do_not_overflow() {
        let extreme = TypedVector::new(ElementType::Int8, vec![0x80; 65_536]).unwrap();
        let other = TypedVector::new(ElementType::Int8, vec![0x7f; 65_536]).unwrap();
        assert_eq!(PairMeasure::L1.between(&extreme, &other), Ok(ElementValue::Integer(255 * 65_536)));
        assert_eq!(PairMeasure::L2.between(&extreme, &other), Ok(ElementValue::Real(255.0 * 256.0)));
        assert_eq!(PairMeasure::Cosine.between(&extreme, &other), Ok(ElementValue::Real(2.0)));
    }

    #[test]
    fn sums_beyond_f32_and_below_it_are_right() {
        let two = |x: f32| floats(ElementType::F32, &[x, x]);
        for x in [1e38, 1e-38, 1e-30, 1.0] {
            assert!(real(PairMeasure::Cosine.between(&two(x), &two(x)).unwrap()).abs() < 1e-6, "{x}");
            let length = real(PairMeasure::L2.between(&two(x), &two(0.0)).unwrap());
            assert!((length / f64::from(x) - 2f64.sqrt()).abs() < 1e-6, "{x}");
        }
        assert_eq!(PairMeasure::Cosine.between(&two(0.0), &two(1.0)), Ok(ElementValue::Real(1.0)));
        assert_eq!(PairMeasure::L2.between(&two(0.0), &two(0.0)), Ok(ElementValue::Real(0.0)));
    }
}
