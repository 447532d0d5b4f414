//! Vectors of length 1.

use crate::error::{Error, Result};
use std::sync::Arc;

/// The vector with length 1. The norm is added up in order in f64, which gives the same result on every CPU.
pub fn unit(mut vector: Vec<f32>) -> Result<Arc<[f32]>> {
    let norm = vector.iter().fold(0.0, |sum, &value| sum + f64::from(value) * f64::from(value)).sqrt();
    if !norm.is_normal() {
        return Err(Error::expected("a vector of finite length from the model", norm));
    }
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    Ok(vector.into())
}
