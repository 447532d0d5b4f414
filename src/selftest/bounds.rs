//! Bounds from sums and products: each table against the scalar one, as near as rounding allows.

use super::{Draws, near, same};
use crate::error::Result;
use crate::kernels::codes::{Bounds, Factors, Formula, GROUP, LimitTerms, Limits, Terms, Weights};
use crate::kernels::{F32Le, Table};

const ROUNDS: usize = 20;
/// Sums of a handful of terms of at most 3 are off by less.
const ROUNDING: f64 = 1e-5;
/// The root of a difference of such terms keeps half of the digits.
const ROOT_ROUNDING: f64 = 1e-3;

/// What was checked, or the first thing that is wrong.
pub fn check(table: &Table, scalar: &Table) -> Result<String> {
    let mut draws = Draws::new();
    for round in 0..ROUNDS {
        check_estimates(table, scalar, (round % 2 == 1).then_some(0.5), &mut draws)?;
        check_limits(table, scalar, round % 3 == 0, &mut draws)?;
        check_reach(table, &mut draws)?;
    }
    Ok(format!("estimates, limits and reach of {ROUNDS} groups"))
}

fn check_estimates(table: &Table, scalar: &Table, centre: Option<f32>, draws: &mut Draws) -> Result<()> {
    let formula = Formula {
        dimensions: 384.0,
        constant: 0.5,
        constant_size: 0.5,
        offset_weight: draws.float(),
        square_weight: draws.float().abs(),
        step: 1e-4,
        base: -0.5,
        spread: 0.5,
        chance: 0.02,
        rounding: 0.05,
        reach: 0.5,
        slack: 1e-3,
        centre,
    };
    let mut column = |least: f32, range: f32| [(); GROUP].map(|()| F32Le::from(least + range * draws.float().abs()));
    let factors = Factors { scale: column(0.03, 0.1), error: column(0.1, 0.3), offset: column(0.0, 0.2) };
    let sums = std::array::from_fn(|_| draws.below(12_000));
    let (mut got, mut wanted) = (Bounds::default(), Bounds::default());
    let all = (table.codes.estimate)(&formula, &sums, &factors, f32::NEG_INFINITY, &mut got);
    (scalar.codes.estimate)(&formula, &sums, &factors, f32::NEG_INFINITY, &mut wanted);
    same("rows that reach minus infinity", all, u64::MAX)?;
    for (got, wanted) in got.estimate.into_iter().zip(wanted.estimate) {
        near("an estimate", got, wanted.into(), ROUNDING)?;
    }
    for (got, wanted) in got.error.into_iter().zip(wanted.error) {
        near("the error of an estimate", got, wanted.into(), ROOT_ROUNDING)?;
    }
    Ok(())
}

fn check_limits(table: &Table, scalar: &Table, is_cosine: bool, draws: &mut Draws) -> Result<()> {
    let mut column = || [(); GROUP].map(|()| draws.float().abs());
    let [scale, error, length, square, offset, inverse, doubt] = [(); 7].map(|()| column());
    let known = LimitTerms { scale, error, length, square, offset, inverse, doubt };
    let limits = Limits {
        constant: draws.float(),
        offset_weight: draws.float(),
        square_weight: 1.0,
        step: 1e-6,
        middle: draws.below(20_000) as i32,
        reach: 0.5,
        slack: 0.1,
        square_slack: 0.1,
        is_cosine,
    };
    let sums = std::array::from_fn(|_| draws.below(100_000) as i32);
    let threshold = draws.float();
    let (mut got, mut wanted) = ([0.0; GROUP], [0.0; GROUP]);
    let bits = (table.codes.within)(&limits, &sums, &known, threshold, &mut got);
    (scalar.codes.within)(&limits, &sums, &known, threshold, &mut wanted);
    for (got, wanted) in got.into_iter().zip(wanted) {
        near("a limit", got, wanted.into(), ROUNDING)?;
    }
    let expected = got.iter().rev().fold(0, |bits, upper| bits << 1 | u64::from(*upper >= threshold));
    same("the rows within a limit", bits, expected)
}

fn check_reach(table: &Table, draws: &mut Draws) -> Result<()> {
    let mut column = || [(); GROUP].map(|()| draws.float());
    let [unit, offset, scale, error, rest] = [(); 5].map(|()| column());
    let terms = Terms { unit, offset, scale, error, rest };
    let weights = Weights { unit: 0.5, offset: 0.3, step: 1e-3, base: -0.2, error: 0.4 };
    let sums = std::array::from_fn(|_| draws.below(300));
    let threshold = draws.float();
    let bits = (table.codes.reach)(&weights, &sums, &terms, threshold);
    for (at, sum) in sums.into_iter().enumerate() {
        let bound = weights.bound(&terms, at, sum);
        let is_near = f64::from((bound - threshold).abs()) <= ROUNDING;
        let reaches = bits >> at & 1 == 1;
        same("whether a row reaches", is_near || reaches == (bound >= threshold), true)?;
    }
    Ok(())
}
