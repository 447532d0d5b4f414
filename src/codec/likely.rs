//! Many queries at once by 1-bit codes. The bounds hold except with the small chance that [`super::SIGMAS`] leaves.
//!
//! Errors count in full, so no roots and no divisions are needed. This lets through a few more rows than the narrower
//! interval for one query does. What depends only on the vector is computed once for all queries: its terms. They allow
//! for the rounding of the query that loses most by it.

use super::query::{Doubts, Query, Steps};
use super::space::{Space, dot};
use crate::kernels::codes::{Factors, GROUP, TELLABLE, Terms, Weights};
use crate::kernels::{self, F32Le};
use crate::metric::{Metric, Shape};

/// What some queries of one metric have in common in a space.
#[derive(Debug, Clone, Copy)]
pub struct Common {
    shape: Option<Shape>,
    root_of_dimensions: f32,
    /// The length of the centre.
    centre: f32,
    doubts: Doubts,
}

/// What is known about a group of vectors from their 1-bit codes.
#[derive(Debug, Clone)]
pub struct GroupTerms {
    terms: Terms,
    /// How far rounding in f32 may be off. It is contained in `terms.rest` too.
    slack: [f32; GROUP],
}

/// What is known about one vector of a group.
#[derive(Debug, Clone, Copy)]
pub struct RowTerms {
    unit: f32,
    offset: f32,
    scale: f32,
    error: f32,
    rest: f32,
    slack: f32,
}

impl GroupTerms {
    /// What is known about one of the vectors.
    #[inline]
    pub fn row(&self, at: usize) -> RowTerms {
        let Terms { unit, offset, scale, error, rest } = &self.terms;
        let [unit, offset, scale, error, rest, slack] =
            [unit, offset, scale, error, rest, &self.slack].map(|terms| terms[at]);
        RowTerms { unit, offset, scale, error, rest, slack }
    }
}

impl Default for GroupTerms {
    fn default() -> Self {
        Self { terms: Terms::default(), slack: [0.0; GROUP] }
    }
}

impl Common {
    /// For queries of one metric. At first there is none.
    pub fn new(space: &Space, metric: Metric) -> Self {
        let centre = dot(space.centre(), space.centre()).sqrt() as f32;
        let root_of_dimensions = (space.dimensions() as f32).sqrt();
        Self { shape: metric.shape(), root_of_dimensions, centre, doubts: Doubts::default() }
    }

    /// A query, prepared for sweeps. `None` if codes cannot bound it. `query` must have the dimensions of the space.
    pub fn query(&self, space: &Space, query: &[F32Le]) -> Option<LikelyQuery> {
        let closer = Query::rounded(space, self.shape?, query, Steps::Few)?;
        Some(LikelyQuery { weights: closer.weights(), closer })
    }

    /// Counts a query in.
    pub fn add(&mut self, query: &LikelyQuery) {
        self.doubts = self.doubts.max(query.closer.doubts(self.centre));
    }

    /// Writes to `known` what is known about a group, for the queries that were counted in.
    pub fn know(&self, known: &mut GroupTerms, factors: &Factors) {
        for at in 0..GROUP {
            let [scale, error, offset] = [&factors.scale, &factors.error, &factors.offset].map(|array| array[at].get());
            let (terms, slack) = (&mut known.terms, &mut known.slack[at]);
            let length = self.root_of_dimensions * scale;
            let square = length * length - error * error;
            let [unit, doubt] = self.unit(offset, square);
            *slack =
                unit * (self.doubts.constant + length * (self.doubts.length + length * self.doubts.square)) + doubt;
            let lost = length * self.doubts.coarse;
            terms.unit[at] = unit;
            terms.offset[at] = unit * offset;
            terms.scale[at] = unit * scale;
            terms.error[at] = unit * (error * error + lost * lost).sqrt();
            terms.rest[at] = *slack - if self.shape == Some(Shape::SquaredDistance) { square } else { 0.0 };
            if offset == f32::NEG_INFINITY {
                (terms.offset[at], terms.rest[at]) = (0.0, f32::NEG_INFINITY);
            }
        }
    }

    /// The factor of a key, and how far the result may be off. For cosine, the factor is one over the length of the
    /// vector.
    fn unit(&self, offset: f32, square: f32) -> [f32; 2] {
        let centre = self.centre * self.centre;
        let whole = centre + 2.0 * offset + square;
        match self.shape {
            Some(Shape::Cosine) if whole > TELLABLE * (centre + square) => [1.0 / whole.sqrt(), TELLABLE / 4.0],
            Some(Shape::Cosine) => [1.0, f32::INFINITY],
            _ => [1.0, 0.0],
        }
    }
}

/// A query, prepared for sweeps together with others.
#[derive(Debug, Clone)]
pub struct LikelyQuery {
    closer: Query,
    weights: Weights,
}

impl LikelyQuery {
    /// The key of a score, rounded down. A vector whose key is certainly less than this has a lower score.
    pub fn key(&self, score: f64) -> f32 {
        self.closer.key(score)
    }

    /// The query in the form that the kernel for sums takes.
    pub fn tables(&self) -> &[[u8; 16]] {
        self.closer.tables()
    }

    /// A bit for each vector of a group whose key could reach `threshold`. If everything reaches it, empty slots may be
    /// among them.
    #[inline]
    pub fn reach(&self, sums: &[u32; GROUP], known: &GroupTerms, threshold: f32) -> u64 {
        (kernels::table().codes.reach)(&self.weights, sums, &known.terms, threshold)
    }

    /// The bound by which [`Self::reach`] compares a vector with the threshold.
    #[inline]
    pub fn bound(&self, known: &GroupTerms, at: usize, sum: u32) -> f32 {
        self.weights.bound(&known.terms, at, sum)
    }

    /// The estimate by the 1-bit code of a vector, from its bound.
    #[inline]
    pub fn estimate(&self, known: &RowTerms, bound: f32) -> f32 {
        bound - self.weights.error * known.error - known.slack
    }

    /// An estimate by the 4-bit code of a vector, and its error. `fine` are the scale and error of that code. `None` if
    /// the slot is empty.
    #[inline]
    pub fn look(&self, common: &Common, known: &RowTerms, nibbles: &[u8], fine: [f32; 2]) -> Option<(f32, f32)> {
        let (&RowTerms { unit, offset, rest, slack, .. }, [scale, error]) = (known, fine);
        let offset = self.weights.unit * unit + self.weights.offset * offset + (rest - slack);
        let estimate = offset + unit * scale * self.closer.product(nibbles) as f32;
        // A scaled code is no longer than its vector and its error together. If nothing is known from the 1-bit code,
        // nothing is known from the 4-bit code either.
        let length = common.root_of_dimensions * known.scale;
        let error = unit * error + (length + unit * error) * common.doubts.fine;
        let error = if known.error.is_finite() { error } else { f32::INFINITY };
        (rest > f32::NEG_INFINITY).then_some((estimate, self.weights.error * error + slack))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoder;
    use crate::kernels::codes::Bounds;

    /// What passes by the narrower interval of one query must pass here too, also by 4-bit codes.
    #[test]
    fn bounds_are_not_below_those_of_one_query() {
        let mut state = 7u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        for dimensions in [1usize, 3, 8, 17, 64, 100, 384] {
            for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
                let mut vector = |spread: f32| -> Vec<F32Le> {
                    (0..dimensions).map(|_| F32Le::from(0.3 + spread * random())).collect()
                };
                let space = Space::new(vector(0.1).iter().map(|x| x.get()).collect(), 3);
                let (mut factors, mut codes) = (bytemuck::Zeroable::zeroed(), vec![[0; GROUP]; dimensions.div_ceil(8)]);
                let Factors { scale, error, offset } = &mut factors;
                let mut encoder = Encoder::new(&space);
                let mut fine = Vec::new();
                for at in 0..GROUP {
                    encoder.encode(&vector(1.0));
                    let code = &encoder.coarse;
                    codes.iter_mut().zip(&code.bits).for_each(|(column, byte)| column[at] = *byte);
                    (scale[at], error[at], offset[at]) = (code.scale.into(), code.error.into(), code.offset.into());
                    let coarse = [code.scale, code.error, code.offset];
                    fine.push((encoder.fine.clone(), coarse));
                }
                let mut common = Common::new(&space, metric);
                let (mut known, mut bounds) = (GroupTerms::default(), Bounds::default());
                let query = common.query(&space, &vector(1.0)).unwrap();
                common.add(&query);
                common.add(&common.query(&space, &vector(1.0)).unwrap());
                common.know(&mut known, &factors);
                let mut sums = [[[0; GROUP]; 2]];
                (kernels::table().codes.tile_u1)(query.tables(), [&codes, &codes], &mut sums);
                let group = crate::codec::Group { codes: &codes, factors: &factors };
                query.closer.estimate(group, f32::NEG_INFINITY, &mut bounds);
                for (at, (fine, coarse)) in fine.iter().enumerate() {
                    let narrow = bounds.estimate[at] + bounds.error[at];
                    is_not_below(query.weights.bound(&known.terms, at, sums[0][1][at]), narrow, (dimensions, metric));
                    let own = [fine.scale, fine.error];
                    let (estimate, error) = query.look(&common, &known.row(at), &fine.nibbles, own).unwrap();
                    let interval = query.closer.look(&fine.nibbles, own, *coarse);
                    is_not_below(estimate + error, interval.upper, (dimensions, metric));
                    is_not_below(error - estimate, -interval.lower, (dimensions, metric));
                }
            }
        }
    }

    fn is_not_below(wide: f32, narrow: f32, of: (usize, Metric)) {
        let is_below = wide < narrow - 1e-5 * (1.0 + narrow.abs());
        assert!(!is_below, "{of:?}: {wide} < {narrow}");
    }
}
