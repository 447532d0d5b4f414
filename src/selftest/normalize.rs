//! The bits of a normalised vector, which are the same on every machine.

use super::same;
use crate::error::{Error, Result};
use crate::kernels::{F32Le, Table};
use crate::vector::normalize;

/// The checksum of `example` at length 1. It must never change: replicated statements and indexes rely on these bits.
const CHECKSUM: u32 = 0x09E6_2B20;

/// What was checked, or the first thing that is wrong.
pub fn check(scalar: &Table) -> Result<String> {
    let unit = normalize(&example()).ok_or_else(|| Error::expected("a vector of length 1", "none"))?;
    let checksum = (scalar.codes.crc32c)(0, bytemuck::cast_slice(&unit));
    same("CRC-32C of a normalised vector", format!("{checksum:08x}"), format!("{CHECKSUM:08x}"))?;
    let short = normalize(&[3.0, 4.0].map(F32Le::from)).unwrap_or_default();
    same(
        "fafcas_normalize('[3, 4]')",
        short.iter().map(|x| x.get().to_bits()).collect(),
        vec![0x3F19_999A, 0x3F4C_CCCD],
    )?;
    Ok(format!("CRC-32C {checksum:08x}"))
}

/// 384 whole numbers from -504 to 504.
fn example() -> Vec<F32Le> {
    (0..384).map(|at| F32Le::from(((at * 7919 + 13) % 1009 - 504) as f32)).collect()
}
