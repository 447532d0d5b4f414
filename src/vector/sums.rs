//! The sum and the average of many vectors, from which vectors can be taken out again, as a window that moves on needs it.

use super::ElementType;
use super::typed::{ElementValue, TypedVector};
use crate::error::{Error, Result};
use crate::kernels::F32Le;

/// Sums of the vectors so far. All have the same type and length.
#[derive(Debug, Default)]
pub struct VectorSums {
    element: ElementType,
    totals: Vec<Total>,
    count: u64,
}

/// A sum in f64, with what its additions lost. So a large number that comes and goes leaves the small ones as they were.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    sum: f64,
    lost: f64,
}

impl Total {
    /// Neumaier's compensated summation.
    fn add(&mut self, number: f64) {
        let sum = self.sum + number;
        let (large, small) = if self.sum.abs() >= number.abs() { (self.sum, number) } else { (number, self.sum) };
        self.lost += (large - sum) + small;
        self.sum = sum;
    }
}

impl VectorSums {
    /// Adds a vector. int8 and bit count as the whole numbers that they store.
    pub fn add(&mut self, vector: &TypedVector<'_>) -> Result<()> {
        self.fit(vector).map_err(|error| error.within(format_args!("vector {} of the group", self.count + 1)))?;
        self.apply(vector, 1.0)?;
        self.count += 1;
        Ok(())
    }

    /// Takes out a vector that was added before.
    pub fn remove(&mut self, vector: &TypedVector<'_>) -> Result<()> {
        self.count = self.count.saturating_sub(1);
        if self.count == 0 {
            self.totals.clear();
            return Ok(());
        }
        self.apply(vector, -1.0)
    }

    /// The sum as f32; `None` if there are no vectors.
    pub fn sum(&self) -> Result<Option<TypedVector<'static>>> {
        self.divided_by(1.0)
    }

    /// The average as f32; `None` if there are no vectors.
    pub fn average(&self) -> Result<Option<TypedVector<'static>>> {
        self.divided_by(self.count as f64)
    }

    fn divided_by(&self, count: f64) -> Result<Option<TypedVector<'static>>> {
        if self.count == 0 {
            return Ok(None);
        }
        let floats = self.totals.iter().map(|total| F32Le::from(((total.sum + total.lost) / count) as f32));
        TypedVector::from_floats(ElementType::F32, &floats.collect::<Vec<_>>()).map(Some)
    }

    /// The first vector says what the others must be.
    fn fit(&mut self, vector: &TypedVector<'_>) -> Result<()> {
        if self.count == 0 {
            self.element = vector.element();
            self.totals.clear();
            self.totals.resize(vector.dimensions(), Total::default());
        }
        if vector.dimensions() == 0 {
            return Err(Error::expected("at least 1 dimension", 0));
        }
        if vector.element() != self.element {
            let names = (self.element.name(), vector.element().name());
            return Err(Error::expected(format_args!("{} as before", names.0), names.1));
        }
        if vector.dimensions() != self.totals.len() {
            return Err(Error::dimensions(self.totals.len(), "vectors before", vector.dimensions()));
        }
        Ok(())
    }

    fn apply(&mut self, vector: &TypedVector<'_>, sign: f64) -> Result<()> {
        if vector.element() == ElementType::F32 {
            for (total, number) in self.totals.iter_mut().zip(vector.floats()?.iter()) {
                total.add(sign * f64::from(number.get()));
            }
            return Ok(());
        }
        for (total, number) in self.totals.iter_mut().zip(vector.numbers()?) {
            total.add(match number {
                ElementValue::Integer(number) => sign * number as f64,
                ElementValue::Real(number) => sign * number,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn vector(numbers: &[f32]) -> TypedVector<'static> {
        let numbers: Vec<F32Le> = numbers.iter().map(|&number| number.into()).collect();
        TypedVector::from_floats(ElementType::F32, &numbers).unwrap()
    }

    #[test]
    fn what_was_taken_out_leaves_no_trace() {
        let mut sums = VectorSums::default();
        for numbers in [[1e30, 0.1], [0.5, 3.0], [-7.25, 1e-20]] {
            sums.add(&vector(&numbers)).unwrap();
        }
        sums.remove(&vector(&[1e30, 0.1])).unwrap();
        assert_eq!(sums.sum().unwrap().unwrap(), vector(&[-6.75, 3.0]));
        assert_eq!(sums.average().unwrap().unwrap(), vector(&[-3.375, 1.5]));
        sums.remove(&vector(&[0.5, 3.0])).unwrap();
        sums.remove(&vector(&[-7.25, 1e-20])).unwrap();
        assert_eq!(sums.sum().unwrap(), None);
        // An empty window takes vectors of another length.
        sums.add(&vector(&[1.0, 2.0, 3.0])).unwrap();
        assert_eq!(sums.average().unwrap().unwrap(), vector(&[1.0, 2.0, 3.0]));
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused() {
        let mut sums = VectorSums::default();
        sums.add(&vector(&[1.0, 2.0])).unwrap();
        let refusal = |outcome: Result<()>| outcome.unwrap_err().to_string();
        let longer = refusal(sums.add(&vector(&[1.0])));
        assert_eq!(longer, "vector 2 of the group: expected 2 dimensions as in the vectors before, not 1");
        let bits = TypedVector::bits_from_json("[1,0,0,0,0,0,0,0]").unwrap();
        assert_eq!(refusal(sums.add(&bits)), "vector 2 of the group: expected f32 as before, not bit");
    }
}
