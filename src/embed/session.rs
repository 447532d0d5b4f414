//! One session of ONNX Runtime: from rows of token ids to vectors of length 1.

use super::dense::Dense;
use super::prompts;
use super::runtime;
use super::settings::{Pooling, PoolingSteps, Settings};
use super::unit::unit;
use crate::error::{Error, Result};
use crate::native::process::release_memory;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{SessionInputValue, SessionOutputs};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use std::path::Path;
use std::sync::Arc;

/// The inputs that a model may have. Models without pairs of sentences do not have the third, and few have the fourth.
const INPUTS: [&str; 4] = ["input_ids", "attention_mask", "token_type_ids", "position_ids"];
const REQUIRED: usize = 2;
/// The output with one vector for each text.
const POOLED: &str = "sentence_embedding";
/// The outputs with one vector for each token, under the names that exporters use.
const TOKENS: [&str; 2] = ["last_hidden_state", "token_embeddings"];

/// Where the vector of a text comes from.
enum Output {
    /// The model pools by itself.
    Ready,
    /// The output of this name has the vectors of the tokens. They are pooled here.
    Tokens(&'static str, Pooling),
}

/// A loaded model. It runs on the calling thread and starts no threads.
pub struct Session {
    inner: ort::session::Session,
    output: Output,
    /// Which of [`INPUTS`] the model takes.
    inputs: [bool; INPUTS.len()],
    /// What the pooled vector is multiplied by.
    dense: Vec<Dense>,
    /// How many numbers of each vector are kept, if not all.
    kept: Option<u64>,
}

impl Session {
    /// Loads the model. Its pooling, also if that is an error, matters only if the model does not pool by itself.
    pub fn open(path: &Path, settings: &Settings) -> Result<Self> {
        let inner = load(path)?;
        let inputs = inputs(inner.inputs())?;
        let (output, steps) = output(inner.outputs(), &settings.pooling)?;
        let dense = steps.iter().flat_map(|steps| &steps.dense).map(Dense::load).collect::<Result<_>>()?;
        Ok(Self { inner, output, inputs, dense, kept: settings.kept })
    }

    /// The vectors of these rows of ids, of which the first `left_out` do not count in a mean. Shorter rows are padded.
    pub fn run(&mut self, rows: &[&[u32]], left_out: usize) -> Result<Vec<Arc<[f32]>>> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let padded = |of: fn(u32) -> i64| {
            let padding = |row: &&[u32]| std::iter::repeat_n(0, longest - row.len());
            rows.iter().flat_map(|row| row.iter().map(|&id| of(id)).chain(padding(row))).collect::<Vec<i64>>()
        };
        let positions = rows.iter().flat_map(|_| 0..longest as i64).collect();
        let values = [padded(i64::from), padded(|_| 1), vec![0; rows.len() * longest], positions];
        let shape = [rows.len(), longest];
        let tensor = |values| TensorRef::from_array_view((shape, values)).map(SessionInputValue::from);
        let named = INPUTS.iter().zip(&values).zip(self.inputs).filter(|(_, taken)| *taken);
        let inputs = named.map(|((&name, values), _)| Ok((name, tensor(values.as_slice())?)));
        let inputs = inputs.collect::<ort::Result<Vec<_>>>().map_err(runtime::failed)?;
        let outputs = self.inner.run(inputs).map_err(runtime::failed)?;
        let vectors = match self.output {
            Output::Ready => ready(&outputs, rows)?,
            Output::Tokens(name, pooling) => pooled(&outputs, name, pooling, rows, longest, left_out)?,
        };
        drop(outputs);
        let finish = |(row, vector): (&&[u32], Vec<f32>)| {
            unit(beginning(self.through_dense(row, vector, left_out)?, self.kept)?)
        };
        rows.iter().zip(vectors).map(finish).collect()
    }

    /// What the matrices make of a vector. They want the mean where a sum is enough otherwise.
    fn through_dense(&self, row: &[u32], mut vector: Vec<f32>, left_out: usize) -> Result<Vec<f32>> {
        if !self.dense.is_empty() && matches!(self.output, Output::Tokens(_, Pooling::Mean)) {
            let count = (row.len() - leading(row, left_out)) as f32;
            vector.iter_mut().for_each(|sum| *sum /= count);
        }
        self.dense.iter().try_fold(vector, |vector, dense| dense.apply(vector))
    }
}

fn load(path: &Path) -> Result<ort::session::Session> {
    let environment = runtime::environment()?;
    let builder = ort::session::Session::builder(environment).map_err(runtime::failed)?;
    let builder = builder.with_intra_threads(1).map_err(runtime::failed)?;
    let builder = builder.with_inter_threads(1).map_err(runtime::failed)?;
    // For each length of text, the pattern is a block of memory of its own, besides what the first run took: 12 MB, and
    // no faster.
    let builder = builder.with_memory_pattern(false).map_err(runtime::failed)?;
    let mut builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(runtime::failed)?;
    let session = builder.commit_from_file(path).map_err(runtime::failed)?;
    release_memory();
    Ok(session)
}

fn inputs(found: &[Outlet]) -> Result<[bool; INPUTS.len()]> {
    let names = found.iter().map(Outlet::name).collect::<Vec<_>>();
    let known = names.iter().all(|name| INPUTS.contains(name));
    if !known || !INPUTS[..REQUIRED].iter().all(|name| names.contains(name)) {
        let wanted = format!(
            "a model with inputs {} and perhaps {}",
            INPUTS[..REQUIRED].join(" and "),
            INPUTS[REQUIRED..].join(" or ")
        );
        return Err(Error::expected(wanted, names.join(", ")));
    }
    for outlet in found {
        expect_type(outlet, TensorElementType::Int64)?;
    }
    Ok(INPUTS.map(|name| names.contains(&name)))
}

/// Where the vector comes from, and the steps behind the model if there are any: a model that pools by itself has them in it.
fn output(found: &[Outlet], steps: &Result<PoolingSteps>) -> Result<(Output, Option<PoolingSteps>)> {
    let named = |name: &str| found.iter().find(|outlet| outlet.name() == name);
    if let Some(outlet) = named(POOLED) {
        expect_type(outlet, TensorElementType::Float32)?;
        return Ok((Output::Ready, None));
    }
    let Some((name, outlet)) = TOKENS.iter().find_map(|&name| Some((name, named(name)?))) else {
        let names = found.iter().map(Outlet::name).collect::<Vec<_>>();
        return Err(Error::expected(format_args!("a model with output {} or {POOLED}", TOKENS[0]), names.join(", ")));
    };
    expect_type(outlet, TensorElementType::Float32)?;
    let steps = steps.clone()?;
    Ok((Output::Tokens(name, steps.pooling), Some(steps)))
}

fn expect_type(outlet: &Outlet, wanted: TensorElementType) -> Result<()> {
    match outlet.dtype() {
        ValueType::Tensor { ty, .. } if *ty == wanted => Ok(()),
        other => Err(Error::expected(format_args!("{} of type {wanted}", outlet.name()), other)),
    }
}

fn ready(outputs: &SessionOutputs<'_>, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
    let (shape, values) = outputs[POOLED].try_extract_tensor::<f32>().map_err(runtime::failed)?;
    match **shape {
        [texts, dimensions] if texts == rows.len() as i64 && dimensions > 0 => {
            Ok(values.chunks_exact(dimensions as usize).map(<[f32]>::to_vec).collect())
        }
        _ => Err(Error::expected(format_args!("{POOLED} of {} x dimensions", rows.len()), shape)),
    }
}

fn pooled(
    outputs: &SessionOutputs<'_>,
    name: &str,
    pooling: Pooling,
    rows: &[&[u32]],
    longest: usize,
    left_out: usize,
) -> Result<Vec<Vec<f32>>> {
    let (shape, values) = outputs[name].try_extract_tensor::<f32>().map_err(runtime::failed)?;
    let dimensions = match **shape {
        [texts, tokens, dimensions] if [texts, tokens] == [rows.len() as i64, longest as i64] && dimensions > 0 => {
            dimensions as usize
        }
        _ => return Err(Error::expected(format_args!("{name} of {} x {longest} x dimensions", rows.len()), shape)),
    };
    let texts = values.chunks_exact((longest * dimensions).max(1));
    let vectors = rows.iter().zip(texts).map(|(row, tokens)| {
        let first = if pooling == Pooling::Mean { leading(row, left_out) } else { 0 };
        pool(pooling, &tokens[first * dimensions..row.len() * dimensions], dimensions)
    });
    Ok(vectors.collect())
}

/// How many tokens of a row do not count in its mean. If nothing is behind the prompt, the last token counts.
fn leading(row: &[u32], left_out: usize) -> usize {
    left_out.min(row.len().saturating_sub(1))
}

/// The vector of a text from those of its tokens. It need not have length 1 yet, so a sum is as good as a mean.
fn pool(pooling: Pooling, tokens: &[f32], dimensions: usize) -> Vec<f32> {
    let mut tokens = tokens.chunks_exact(dimensions);
    let only = match pooling {
        Pooling::Last => tokens.next_back(),
        Pooling::Mean | Pooling::Cls => tokens.next(),
    };
    let mut vector = only.unwrap_or_default().to_vec();
    if pooling == Pooling::Mean {
        for token in tokens {
            vector.iter_mut().zip(token).for_each(|(sum, value)| *sum += value);
        }
    }
    vector
}

/// The part of a vector that is kept. It is cut before it is made of length 1.
fn beginning(mut vector: Vec<f32>, kept: Option<u64>) -> Result<Vec<f32>> {
    match kept.map(|kept| usize::try_from(kept).unwrap_or(usize::MAX)) {
        Some(kept) if kept > vector.len() => {
            let wanted = format_args!("truncate_dim in {} from 1 to {}", prompts::FILE, vector.len());
            Err(Error::expected(wanted, kept))
        }
        Some(kept) => {
            vector.truncate(kept);
            Ok(vector)
        }
        None => Ok(vector),
    }
}
