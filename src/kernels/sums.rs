//! The loops over floats, written once for all instruction sets that have registers for several of them. A function over a trait of
//! registers could not serve: the features that a kernel enables are not passed on through a trait.

/// Makes `dot_f32`, `l2_squared_f32`, `l1_f32` and `total` from what the file that uses it has: `Floats`, a register of `LANES` floats;
/// `zeros`, `load`, `added` and `add_lanes`; the steps `multiplied`, `squared` and `absolute`, which add a term to a sum; and `ended`.
#[allow(unused_macros, reason = "other CPUs have the scalar kernels alone")]
macro_rules! sums {
    ($features:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn dot_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
            sum(a, b, |sum, a, b| multiplied(sum, a, b), scalar::dot_f32)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn l2_squared_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
            sum(a, b, |sum, a, b| squared(sum, a, b), scalar::l2_squared_f32)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn l1_f32(a: &[F32Le], b: &[F32Le]) -> f32 {
            sum(a, b, |sum, a, b| absolute(sum, a, b), scalar::l1_f32)
        }

        /// Adds up the vectors with `step(sum, a, b)`, then the tails. There are four sums, so that an addition need not wait for the
        /// one before.
        #[inline]
        #[target_feature(enable = $features)]
        fn sum(
            a: &[F32Le],
            b: &[F32Le],
            step: impl Fn(Floats, Floats, Floats) -> Floats,
            scalar_sum: impl Fn(&[F32Le], &[F32Le]) -> f32,
        ) -> f32 {
            let (a, b) = $crate::kernels::same_length(a, b);
            let (a, a_tail) = a.as_chunks::<LANES>();
            let (b, b_tail) = b.as_chunks::<LANES>();
            let (a_fours, a_rest) = a.as_chunks::<4>();
            let (b_fours, b_rest) = b.as_chunks::<4>();

            let mut sums = [zeros(); 4];
            for (a, b) in a_fours.iter().zip(b_fours) {
                for i in 0..4 {
                    sums[i] = step(sums[i], load(&a[i]), load(&b[i]));
                }
            }
            for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
                *sum = step(*sum, load(a), load(b));
            }
            ended(sums, a_tail, b_tail, step, scalar_sum)
        }

        #[inline]
        #[target_feature(enable = $features)]
        pub(super) fn total([s0, s1, s2, s3]: [Floats; 4]) -> f32 {
            add_lanes(added(added(s0, s1), added(s2, s3)))
        }
    };
}

/// Makes `ended`, which adds the tails of two vectors to their sums, where the scalar kernels do this.
#[allow(unused_macros, reason = "as above")]
macro_rules! scalar_tails {
    ($features:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        pub(super) fn ended(
            sums: [Floats; 4],
            a_tail: &[F32Le],
            b_tail: &[F32Le],
            _step: impl Fn(Floats, Floats, Floats) -> Floats,
            scalar_sum: impl Fn(&[F32Le], &[F32Le]) -> f32,
        ) -> f32 {
            let total = total(sums);
            if a_tail.is_empty() { total } else { total + scalar_sum(a_tail, b_tail) }
        }
    };
}

/// Makes `products_f32` from the same, with all three sums in one pass. It pays where a CPU can load less than it can multiply.
#[allow(unused_macros, reason = "as above")]
macro_rules! products {
    ($features:literal) => {
        /// Three products at once, each added up in the order of `sum`.
        #[target_feature(enable = $features)]
        fn products_f32(a: &[F32Le], b: &[F32Le]) -> [f32; 3] {
            let (a, b) = $crate::kernels::same_length(a, b);
            let (a, a_tail) = a.as_chunks::<LANES>();
            let (b, b_tail) = b.as_chunks::<LANES>();
            let (a_fours, a_rest) = a.as_chunks::<4>();
            let (b_fours, b_rest) = b.as_chunks::<4>();

            // Three arrays, as one of arrays is kept in memory.
            let [mut products, mut squares_of_a, mut squares_of_b] = [[zeros(); 4]; 3];
            let mut add = |i: usize, a, b| {
                products[i] = multiplied(products[i], a, b);
                squares_of_a[i] = multiplied(squares_of_a[i], a, a);
                squares_of_b[i] = multiplied(squares_of_b[i], b, b);
            };
            for (a, b) in a_fours.iter().zip(b_fours) {
                for i in 0..4 {
                    add(i, load(&a[i]), load(&b[i]));
                }
            }
            for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
                add(i, load(a), load(b));
            }
            let ended = |sums, a, b| ended(sums, a, b, |sum, a, b| multiplied(sum, a, b), scalar::dot_f32);
            [ended(products, a_tail, b_tail), ended(squares_of_a, a_tail, a_tail), ended(squares_of_b, b_tail, b_tail)]
        }
    };
}
