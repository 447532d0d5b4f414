//! In place of `onnx.rs` in a library that was built without the feature `onnx`: no model in ONNX form can be loaded.

use super::engine::BatchLimits;
use super::folder::Folder;
use super::locations;
use super::tokenize::Tokenizer;
use crate::error::{Error, Result};
use std::sync::Arc;

/// There is none.
pub enum Onnx {}

impl Onnx {
    /// Always an error.
    pub fn load(folder: &Arc<Folder>, _: &Tokenizer) -> Result<Self> {
        let not = format_args!("one without: {}", locations::static_way());
        Err(Error::expected("a library with the feature onnx", not).within(folder.model().display()))
    }

    pub fn dimensions(&self) -> usize {
        match *self {}
    }

    pub fn limits(&self) -> BatchLimits {
        match *self {}
    }

    pub fn run(&self, _: usize, _: &[&[u32]], _: usize) -> Result<Vec<Arc<[f32]>>> {
        match *self {}
    }
}

/// The version of ONNX Runtime: none is ever loaded.
pub fn version() -> Option<&'static str> {
    None
}
