//! Whether the arithmetic of this library is right on this machine: small examples with known answers, for `fafcas_selftest`.
//!
//! The tests of the crate check the same in more depth. These checks are for machines that have the library alone.

pub mod bounds;
pub mod codes;
pub mod normalize;
pub mod pairs;
pub mod typed;

use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::random::splitmix64;

/// Numbers that are the same on every machine.
pub struct Draws(u64);

impl Draws {
    /// From their beginning.
    pub fn new() -> Self {
        Self(0xFAFCA5)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        (splitmix64(&mut self.0) >> 32) as u32 % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// From -1 to 1. It needs 20 bits, so every machine has the same number.
    pub fn float(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
    }

    /// So many floats, in the bytes of a vector.
    pub fn vector(&mut self, length: usize) -> Vec<F32Le> {
        (0..length).map(|_| F32Le::from(self.float())).collect()
    }
}

/// An error unless both are the same.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<()> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::expected(format_args!("{what} as {expected:?}"), format!("{got:?}")))
    }
}

/// An error that says where, unless all are the same.
fn all_same<T: PartialEq + std::fmt::Debug>(what: &str, got: &[T], expected: &[T]) -> Result<()> {
    same(&format!("the count of {what}"), got.len(), expected.len())?;
    let mut places = got.iter().zip(expected).enumerate();
    places.try_for_each(|(at, (got, expected))| same(&format!("{what} [{at}]"), got, expected))
}

/// An error unless the two differ by at most `most`.
fn near(what: &str, got: f32, expected: f64, most: f64) -> Result<()> {
    if (f64::from(got) - expected).abs() <= most {
        return Ok(());
    }
    Err(Error::expected(format_args!("{what} as {expected} within {most:e}"), got))
}
