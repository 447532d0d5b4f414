//! The table of a static model: one vector for each token. The vector of a text is the mean of those of its tokens.
//!
//! The layout is that of the Python package model2vec. The tensor `embeddings` has the vectors. With a tensor `mapping`,
//! it gives the row of each token; without it, a token's row is its id. With a tensor `weights`, it gives a factor for each
//! token. Files of sentence-transformers have one tensor, `embedding.weight`.

use super::prompts;
use super::safetensors::{SafeTensors, Tensor, ValueType};
use super::unit::unit;
use crate::error::{Error, Result};
use half::f16;
use std::path::Path;
use std::sync::Arc;

const EMBEDDINGS: &str = "embeddings";
/// The name of the vectors in files of sentence-transformers.
const EMBEDDING_BAG: &str = "embedding.weight";
const MAPPING: &str = "mapping";
const WEIGHTS: &str = "weights";
/// The most dimensions of a vector, as everywhere in this library.
pub const MOST_DIMENSIONS: usize = 65_536;

/// The table of one model.
pub struct TokenTable {
    /// How many numbers of a row are kept.
    dimensions: usize,
    row_length: usize,
    element: Element,
    /// The rows as they are in the file.
    bytes: Vec<u8>,
    /// The row of each token, if it is not its id.
    mapping: Option<Vec<u32>>,
    weights: Option<Vec<f32>>,
}

/// What a value of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F32,
    F16,
    Int8,
}

impl TokenTable {
    /// Reads the table. Every id up to `greatest_id` must have a row.
    pub fn load(path: &Path, greatest_id: u32, kept: Option<u64>) -> Result<Self> {
        let mut file = SafeTensors::open(path)?;
        let dimensions = dimensions_in(&file, path)?;
        let kept = match kept.map(|kept| usize::try_from(kept).unwrap_or(usize::MAX)) {
            Some(kept) if kept > dimensions => {
                let wanted = format_args!("truncate_dim in {} from 1 to {dimensions}", prompts::FILE);
                return Err(Error::expected(wanted, kept));
            }
            kept => kept.unwrap_or(dimensions),
        };
        let rows = file.tensor(name_in(&file))?;
        let mapping = file.has(MAPPING).then(|| file.tensor(MAPPING)).transpose()?;
        let weights = file.has(WEIGHTS).then(|| file.tensor(WEIGHTS)).transpose()?;
        let table =
            Self::new(dimensions, rows, mapping, weights, greatest_id).map_err(|error| error.within(path.display()))?;
        Ok(Self { dimensions: kept, ..table })
    }

    fn new(
        dimensions: usize,
        rows: Tensor,
        mapping: Option<Tensor>,
        weights: Option<Tensor>,
        greatest_id: u32,
    ) -> Result<Self> {
        let element = match rows.kind {
            ValueType::F32 => Element::F32,
            ValueType::F16 => Element::F16,
            ValueType::I8 => Element::Int8,
            other => return Err(Error::expected(format_args!("{EMBEDDINGS} as F32, F16 or I8"), other)),
        };
        let count = rows.bytes.len() / (dimensions * rows.kind.bytes());
        let mapping = mapping.map(|tensor| row_numbers(&tensor, count)).transpose()?;
        let weights = weights.map(|tensor| factors(&tensor)).transpose()?;
        let known = mapping.as_ref().map_or((EMBEDDINGS, count), |mapping| (MAPPING, mapping.len()));
        let weighed = weights.as_ref().map(|weights| (WEIGHTS, weights.len()));
        for (name, length) in std::iter::once(known).chain(weighed) {
            if length <= greatest_id as usize {
                let tokens = u64::from(greatest_id) + 1;
                return Err(Error::expected(format_args!("{name} for the {tokens} tokens of the tokenizer"), length));
            }
        }
        Ok(Self { dimensions, row_length: dimensions, element, bytes: rows.bytes, mapping, weights })
    }

    /// The length of its vectors.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The vector of a text with these tokens, with length 1. As it need not have length 1 before, the sum is as good as
    /// the mean. It is added up in order in f32, which gives the same result on every CPU.
    pub fn embed(&self, ids: &[u32]) -> Result<Arc<[f32]>> {
        let mut sum = vec![0.0; self.dimensions];
        for &id in ids {
            self.add(id, &mut sum).ok_or_else(|| Error::Bug(format!("no row for token {id}")))?;
        }
        unit(sum)
    }

    fn add(&self, id: u32, sum: &mut [f32]) -> Option<()> {
        let id = id as usize;
        let row = self.mapping.as_ref().map_or(Some(id), |mapping| Some(*mapping.get(id)? as usize))?;
        let weight = self.weights.as_ref().map_or(Some(1.0), |weights| weights.get(id).copied())?;
        let length = self.row_length * self.element.bytes();
        let bytes = self.bytes.get(row * length..)?.get(..length)?;
        match self.element {
            Element::Int8 => sum.iter_mut().zip(bytes).for_each(|(sum, &byte)| *sum += f32::from(byte as i8) * weight),
            Element::F32 => {
                let values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * weight);
            }
            Element::F16 => {
                let values = bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32());
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * weight);
            }
        }
        Some(())
    }
}

impl Element {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Int8 => 1,
        }
    }
}

/// The length of the vectors in this file. Only its header is read.
pub fn dimensions(path: &Path) -> Result<usize> {
    dimensions_in(&SafeTensors::open(path)?, path)
}

/// The name of the vectors in this file.
fn name_in(file: &SafeTensors) -> &'static str {
    if file.has(EMBEDDING_BAG) { EMBEDDING_BAG } else { EMBEDDINGS }
}

fn dimensions_in(file: &SafeTensors, path: &Path) -> Result<usize> {
    let name = name_in(file);
    if !file.has(name) {
        let what = format_args!("a static model with a tensor {EMBEDDINGS}, or an ONNX file of any other model");
        return Err(Error::expected(what, format_args!("tensors {}", file.names())).within(path.display()));
    }
    match file.shape(name)?.as_slice() {
        [1..=usize::MAX, dimensions @ 1..=MOST_DIMENSIONS] => Ok(*dimensions),
        shape => {
            let what = format_args!("{name} of tokens x dimensions, from 1 to {MOST_DIMENSIONS} of them");
            Err(Error::expected(what, format_args!("the shape {shape:?}")).within(path.display()))
        }
    }
}

/// The row of each token.
fn row_numbers(tensor: &Tensor, rows: usize) -> Result<Vec<u32>> {
    let numbers: Vec<i64> = match tensor.kind {
        ValueType::I32 => list(tensor, |bytes| i32::from_le_bytes(bytes).into()),
        ValueType::I64 => list(tensor, i64::from_le_bytes),
        other => return Err(Error::expected(format_args!("{MAPPING} as I32 or I64"), other)),
    };
    expect_list(MAPPING, tensor)?;
    let row = |(id, number): (usize, i64)| {
        let row = u32::try_from(number).ok().filter(|&row| (row as usize) < rows);
        row.ok_or_else(|| Error::expected(format_args!("{MAPPING} of token {id} from 0 to {}", rows - 1), number))
    };
    numbers.into_iter().enumerate().map(row).collect()
}

/// The factor of each token.
fn factors(tensor: &Tensor) -> Result<Vec<f32>> {
    let factors: Vec<f32> = match tensor.kind {
        ValueType::F64 => list(tensor, |bytes| f64::from_le_bytes(bytes) as f32),
        ValueType::F32 => list(tensor, f32::from_le_bytes),
        ValueType::F16 => list(tensor, |bytes| f16::from_le_bytes(bytes).to_f32()),
        other => return Err(Error::expected(format_args!("{WEIGHTS} as F64, F32 or F16"), other)),
    };
    expect_list(WEIGHTS, tensor)?;
    match factors.iter().position(|factor| !factor.is_finite()) {
        None => Ok(factors),
        Some(id) => Err(Error::expected(
            format_args!("{WEIGHTS} as finite numbers"),
            format_args!("{} for token {id}", factors[id]),
        )),
    }
}

fn list<T, const N: usize>(tensor: &Tensor, value: impl Fn([u8; N]) -> T) -> Vec<T> {
    tensor.bytes.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
}

fn expect_list(name: &str, tensor: &Tensor) -> Result<()> {
    match tensor.shape.len() {
        1 => Ok(()),
        _ => Err(Error::expected(format_args!("{name} as a list"), format_args!("the shape {:?}", tensor.shape))),
    }
}
