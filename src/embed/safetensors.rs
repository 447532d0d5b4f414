//! Reads tensors of a safetensors file: eight bytes with the length of a header, the header as JSON, and the values, to
//! which the header points.
//!
//! The header is believed only as far as it agrees with itself and with the length of the file. Nothing but the header
//! and the tensors that are asked for is read.
//!
//! The crate `safetensors` does more, but its errors name neither the tensor nor the values, and it wants the whole file in
//! memory, that of a transformer too, which has no table.

use super::folder::unreadable;
use super::settings::shown;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How many bytes the length of the header takes.
const LENGTH_BYTES: u64 = 8;
/// The longest header that is read. One of a thousand tensors has a hundredth of it.
const LONGEST_HEADER: u64 = 16 << 20;
/// The most bytes of a tensor: a million tokens of 1,024 dimensions in f32.
const LONGEST_TENSOR: u64 = 4 << 30;
/// The name in the header that is no tensor.
const METADATA: &str = "__metadata__";

/// The types of values that are read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    F64,
    F32,
    F16,
    I8,
    I32,
    I64,
}

impl ValueType {
    const ALL: [(Self, &str, u64); 6] = [
        (Self::F64, "F64", 8),
        (Self::F32, "F32", 4),
        (Self::F16, "F16", 2),
        (Self::I8, "I8", 1),
        (Self::I32, "I32", 4),
        (Self::I64, "I64", 8),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(kind, _, _)| *kind)
    }

    /// How many bytes a value takes.
    pub fn bytes(self) -> usize {
        Self::ALL.iter().find(|(kind, _, _)| *kind == self).map_or(1, |(_, _, bytes)| *bytes as usize)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _, _)| kind == self).map_or("", |(_, name, _)| name))
    }
}

/// A tensor that has been read.
pub struct Tensor {
    pub kind: ValueType,
    pub shape: Vec<usize>,
    /// Its values, little-endian, as many as the shape says.
    pub bytes: Vec<u8>,
}

/// A file whose header has been read and checked.
pub struct SafeTensors {
    path: PathBuf,
    file: File,
    /// Where the values begin.
    start: u64,
    /// How many bytes of values there are.
    length: u64,
    header: Map<String, Value>,
}

impl SafeTensors {
    /// Reads the header. The caller must ensure that the path leads to a file, and not to a pipe.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path).map_err(|error| error.within(path.display()))
    }

    fn read(path: &Path) -> Result<Self> {
        let failed = |error| unreadable(Path::new("header"), error);
        let mut file = File::open(path).map_err(failed)?;
        let all = file.metadata().map_err(failed)?.len();
        let Some(rest) = all.checked_sub(LENGTH_BYTES) else {
            return Err(Error::expected(
                "safetensors, which begin with the length of a header",
                format_args!("{all} bytes"),
            ));
        };
        let mut length = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut length).map_err(failed)?;
        let length = u64::from_le_bytes(length);
        let most = rest.min(LONGEST_HEADER);
        if length > most {
            let what = format_args!("safetensors with a header of at most {most} bytes");
            return Err(Error::expected(what, format_args!("one of {length} in a file of {all}")));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(failed)?;
        let header = serde_json::from_slice(&header).map_err(|error| Error::expected("a header of JSON", error))?;
        let read = Self { path: path.to_owned(), file, start: LENGTH_BYTES + length, length: rest - length, header };
        read.expect_whole()?;
        Ok(read)
    }

    /// An error if the file is shorter or longer than its tensors together.
    fn expect_whole(&self) -> Result<()> {
        let tensors = self.header.iter().filter(|(name, _)| *name != METADATA);
        let stop = tensors
            .map(|(name, _)| Ok(self.place(name)?.stop))
            .try_fold(0, |most: u64, stop: Result<u64>| Ok::<_, Error>(most.max(stop?)))?;
        if stop == self.length {
            return Ok(());
        }
        Err(Error::expected(format_args!("{stop} bytes of values, as the header says"), self.length))
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        name != METADATA && self.header.contains_key(name)
    }

    /// The names of all tensors, the first few of them, for a message.
    pub fn names(&self) -> String {
        const SHOWN: usize = 3;
        let mut names = self.header.keys().filter(|name| *name != METADATA);
        let shown = names.by_ref().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        match names.count() {
            0 if shown.is_empty() => "none".into(),
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        self.described(name).map(|found| found.shape).map_err(|error| self.located(error, name))
    }

    /// Reads a tensor.
    pub fn tensor(&mut self, name: &str) -> Result<Tensor> {
        self.read_tensor(name).map_err(|error| self.located(error, name))
    }

    fn located(&self, error: Error, name: &str) -> Error {
        error.within(format_args!("{}: tensor {name}", self.path.display()))
    }

    fn read_tensor(&mut self, name: &str) -> Result<Tensor> {
        let Described { kind, shape, place } = self.described(name)?;
        let length = place.stop - place.start;
        if length > LONGEST_TENSOR {
            return Err(Error::expected(format_args!("at most {LONGEST_TENSOR} bytes"), length));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length as usize).map_err(|_| Error::Memory(format!("no memory for {length} bytes")))?;
        bytes.resize(length as usize, 0);
        let failed = |error| unreadable(&self.path, error);
        self.file.seek(SeekFrom::Start(self.start + place.start)).map_err(failed)?;
        self.file.read_exact(&mut bytes).map_err(failed)?;
        Ok(Tensor { kind, shape, bytes })
    }

    /// What the header says about a tensor, checked against itself and the file.
    fn described(&self, name: &str) -> Result<Described> {
        let entry = self.header.get(name).ok_or_else(|| Error::expected("it in the file", "a file without it"))?;
        let kind = entry["dtype"].as_str().and_then(ValueType::named).ok_or_else(|| {
            let known = ValueType::ALL.map(|(_, name, _)| name).join(", ");
            Error::expected(format_args!("dtype out of {known}"), shown(&entry["dtype"]))
        })?;
        let sizes =
            entry["shape"].as_array().and_then(|sizes| sizes.iter().map(Value::as_u64).collect::<Option<Vec<_>>>());
        let sizes = sizes.ok_or_else(|| Error::expected("shape as whole numbers", shown(&entry["shape"])))?;
        let place = self.place(name)?;
        let length = place.stop - place.start;
        let bytes = sizes.iter().try_fold(kind.bytes() as u64, |bytes, &size| bytes.checked_mul(size));
        let shape = sizes.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<_>>>();
        match (bytes, shape) {
            (Some(bytes), Some(shape)) if bytes == length => Ok(Described { kind, shape, place }),
            _ => {
                let not = format_args!("{length} bytes: data_offsets {}", shown(&entry["data_offsets"]));
                Err(Error::expected(format_args!("values of {kind} in the shape {}", shown(&entry["shape"])), not))
            }
        }
    }

    /// Where the values of a tensor are, counted from the first value of the file.
    fn place(&self, name: &str) -> Result<TensorBytes> {
        let given = &self.header.get(name).unwrap_or(&Value::Null)["data_offsets"];
        let number = |at: usize| given.get(at).and_then(Value::as_u64);
        match (given.as_array().map(Vec::len), number(0), number(1)) {
            (Some(2), Some(start), Some(stop)) if start <= stop && stop <= self.length => {
                Ok(TensorBytes { start, stop })
            }
            _ => {
                let what = format_args!("{name} with data_offsets as two numbers in order, up to {}", self.length);
                Err(Error::expected(what, shown(given)))
            }
        }
    }
}

struct Described {
    kind: ValueType,
    shape: Vec<usize>,
    place: TensorBytes,
}

struct TensorBytes {
    start: u64,
    stop: u64,
}
