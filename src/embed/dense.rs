//! The matrices that sentence-transformers applies to the pooled vector of a text, in modules of the type `Dense`.

use super::safetensors::{SafeTensors, Tensor, ValueType};
use super::settings::JsonFile;
use super::table::MOST_DIMENSIONS;
use super::unit::unit;
use crate::error::{Error, Result};
use half::f16;
use std::fmt;
use std::path::{Path, PathBuf};

const WEIGHT: &str = "linear.weight";
const BIAS: &str = "linear.bias";

/// What is done to each number of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Identity,
    Tanh,
}

/// What `config.json` of one such module says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenseSettings {
    /// The file of the matrix.
    pub file: PathBuf,
    /// The length of the vectors that it makes.
    pub outputs: u64,
    inputs: u64,
    activation: Activation,
    /// Whether the vector gets length 1 before.
    is_normalised: bool,
}

impl fmt::Display for DenseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} {:?}", self.inputs, self.outputs, self.activation)?;
        if self.is_normalised { f.write_str(" of length 1") } else { Ok(()) }
    }
}

impl DenseSettings {
    /// Reads the settings of the module in this folder.
    pub fn read(folder: &Path, is_normalised: bool) -> Result<Self> {
        let config = JsonFile::read(folder.join("config.json"))?;
        let size = |name| match config.whole(name)? {
            Some(size) if (1..=MOST_DIMENSIONS as u64).contains(&size) => Ok(size),
            _ => Err(config.wrong(name, &format!("a number from 1 to {MOST_DIMENSIONS}"), &config.content[name])),
        };
        let name = config.text("activation_function")?.unwrap_or("torch.nn.modules.activation.Tanh");
        let activation = match name.rsplit('.').next() {
            Some("Identity") => Activation::Identity,
            Some("Tanh") => Activation::Tanh,
            _ => return Err(config.wrong("activation_function", "Identity or Tanh", &name.into())),
        };
        let (inputs, outputs) = (size("in_features")?, size("out_features")?);
        Ok(Self { file: folder.join("model.safetensors"), inputs, outputs, activation, is_normalised })
    }
}

/// A matrix that has been read.
pub struct Dense {
    inputs: usize,
    /// Row by row, one for each number of the result.
    weight: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
    is_normalised: bool,
}

impl Dense {
    /// Reads the matrix.
    pub fn load(settings: &DenseSettings) -> Result<Self> {
        let mut file = SafeTensors::open(&settings.file)?;
        let (inputs, outputs) = (settings.inputs as usize, settings.outputs as usize);
        let weight = numbers(&mut file, settings, WEIGHT, &[outputs, inputs])?;
        let bias = match file.has(BIAS) {
            true => numbers(&mut file, settings, BIAS, &[outputs])?,
            false => vec![0.0; outputs],
        };
        Ok(Self { inputs, weight, bias, activation: settings.activation, is_normalised: settings.is_normalised })
    }

    /// The vector that it makes of this one. Products are added up in order in f64, which gives the same on every CPU.
    pub fn apply(&self, vector: Vec<f32>) -> Result<Vec<f32>> {
        if vector.len() != self.inputs {
            let wanted = format_args!("{} numbers from the step before Dense, as in_features says", self.inputs);
            return Err(Error::expected(wanted, vector.len()));
        }
        let vector = if self.is_normalised { unit(vector)?.to_vec() } else { vector };
        let rows = self.weight.chunks_exact(self.inputs.max(1)).zip(&self.bias);
        let number = |(row, &bias): (&[f32], &f32)| {
            let products = row.iter().zip(&vector).map(|(&a, &b)| f64::from(a) * f64::from(b));
            let sum = products.sum::<f64>() + f64::from(bias);
            match self.activation {
                Activation::Identity => sum as f32,
                Activation::Tanh => sum.tanh() as f32,
            }
        };
        Ok(rows.map(number).collect())
    }
}

fn numbers(file: &mut SafeTensors, settings: &DenseSettings, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let tensor = file.tensor(name)?;
    values(&tensor, shape).map_err(|error| error.within(format_args!("{}: tensor {name}", settings.file.display())))
}

fn values(tensor: &Tensor, shape: &[usize]) -> Result<Vec<f32>> {
    if tensor.shape != shape {
        return Err(Error::expected(
            format_args!("the shape {shape:?}, as config.json says"),
            format_args!("{:?}", tensor.shape),
        ));
    }
    match tensor.kind {
        ValueType::F32 => Ok(tensor.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
        ValueType::F16 => {
            Ok(tensor.bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect())
        }
        other => Err(Error::expected("F32 or F16", other)),
    }
}
