//! What a model runs on: sessions of ONNX Runtime, or the table of a static model.

use super::folder::Folder;
use super::onnx::Onnx;
use super::settings::Kind;
use super::table::TokenTable;
use super::tokenize::Tokenizer;
use crate::error::Result;
use std::sync::Arc;

/// How many texts and tokens a batch of a static model has at most. Its texts do not see each other, so this decides only
/// how often the caller is told how far the work is.
const STATIC_BATCH: BatchLimits = BatchLimits { texts: 64, tokens: 4096 };

/// How much a batch has at most.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub texts: usize,
    pub tokens: usize,
}

/// From token ids to vectors of length 1.
pub enum Engine {
    /// A model in ONNX form.
    Onnx(Onnx),
    /// A static model.
    Static(TokenTable),
}

impl Engine {
    /// Loads what the model in this folder runs on, and tests it.
    pub fn load(folder: &Arc<Folder>, tokenizer: &Tokenizer) -> Result<Self> {
        match folder.settings.kind {
            Kind::Onnx => Onnx::load(folder, tokenizer).map(Self::Onnx),
            Kind::Static => Self::load_static(folder, tokenizer),
        }
    }

    fn load_static(folder: &Folder, tokenizer: &Tokenizer) -> Result<Self> {
        TokenTable::load(folder.model(), tokenizer.greatest_id(), folder.settings.kept).map(Self::Static)
    }

    /// The length of the vectors.
    pub fn dimensions(&self) -> usize {
        match self {
            Self::Onnx(onnx) => onnx.dimensions(),
            Self::Static(table) => table.dimensions(),
        }
    }

    /// How much a batch has at most.
    pub fn limits(&self) -> BatchLimits {
        match self {
            Self::Onnx(onnx) => onnx.limits(),
            Self::Static(_) => STATIC_BATCH,
        }
    }

    /// The vectors of these rows of ids, of which the first `left_out` do not count in a mean. At most `threads` calls do this
    /// at the same time, if it needs much memory.
    pub fn run(&self, threads: usize, rows: &[&[u32]], left_out: usize) -> Result<Vec<Arc<[f32]>>> {
        match self {
            Self::Onnx(onnx) => onnx.run(threads, rows, left_out),
            Self::Static(table) => rows.iter().map(|ids| table.embed(ids)).collect(),
        }
    }
}
