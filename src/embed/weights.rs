//! Finds the other files that hold weights of a model. ONNX allows such files, under any name.
//!
//! Only those parts of the protobuf are read that lead to the names. The weights are skipped. If a file is not a
//! protobuf, no names are found, and ONNX Runtime refuses it later with the reason.

use super::folder::unreadable;
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

/// The most messages inside one another. The readers of protobuf go no deeper either.
const DEEPEST: usize = 100;
/// The most bytes that the name of a file may have.
const LONGEST_NAME: u64 = 4096;

/// The files beside this model that hold weights of it, in the order of their names.
pub fn of_model(model: &Path) -> Result<Vec<PathBuf>> {
    let file = File::open(model).map_err(|error| unreadable(model, error))?;
    let length = file.metadata().map_err(|error| unreadable(model, error))?.len();
    let mut walk = Walk { file: BufReader::new(file), at: 0, names: BTreeSet::new() };
    match walk.message(Message::Model, length, DEEPEST) {
        Ok(_) | Err(Halt::NoProtobuf) => {}
        Err(Halt::Unreadable(error)) => return Err(unreadable(model, error)),
        Err(Halt::NoName(shown)) => return Err(no_name(&shown).within(model.display())),
    }
    let folder = model.parent().unwrap_or(Path::new(""));
    let beside = |name: &String| beside(folder, name).map_err(|error| error.within(model.display()));
    walk.names.iter().map(beside).collect()
}

/// Only names that stay in the folder are allowed, so that a model cannot have other files read.
fn beside(folder: &Path, name: &str) -> Result<PathBuf> {
    let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if name.is_empty() || name.contains('\0') || !Path::new(name).components().all(is_plain) {
        return Err(no_name(name));
    }
    Ok(folder.join(name))
}

fn no_name(shown: &str) -> Error {
    Error::expected("weights in a file beside the model", format_args!("{shown:?}"))
}

/// The messages on the way to the names. Numbers of fields are those of onnx.proto.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Function,
    Graph,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
    Entry,
}

impl Message {
    /// Which message a field of this one holds, if names can be in it.
    fn of_field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 25) => Self::Function,
            (Self::Function, 7) | (Self::Graph, 1) => Self::Node,
            (Self::Function, 11) | (Self::Node, 5) => Self::Attribute,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Tensor, 13) => Self::Entry,
            _ => return None,
        })
    }
}

/// The field of a tensor that says where its data are, and the value for another file.
const DATA_LOCATION: u64 = 14;
const EXTERNAL: u32 = 1;
/// The fields of an entry.
const KEY: u64 = 1;
const VALUE: u64 = 2;

/// Why reading ended before the end.
enum Halt {
    NoProtobuf,
    NoName(String),
    Unreadable(std::io::Error),
}

impl From<std::io::Error> for Halt {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => Self::NoProtobuf,
            _ => Self::Unreadable(error),
        }
    }
}

type Walked<T> = std::result::Result<T, Halt>;

struct Walk {
    file: BufReader<File>,
    at: u64,
    names: BTreeSet<String>,
}

/// What a message says about files.
#[derive(Default)]
struct Said {
    key: Vec<u8>,
    value: Vec<u8>,
    names: Vec<Vec<u8>>,
    is_external: bool,
}

impl Walk {
    fn message(&mut self, kind: Message, end: u64, depth: usize) -> Walked<Said> {
        let mut said = Said::default();
        while self.at < end {
            let tag = self.varint()?;
            self.field(kind, tag, end, depth, &mut said)?;
        }
        if kind == Message::Tensor && said.is_external {
            for name in said.names.drain(..) {
                let name = String::from_utf8(name).map_err(|name| Halt::NoName(format!("{:?}", name.as_bytes())))?;
                self.names.insert(name);
            }
        }
        Ok(said)
    }

    fn field(&mut self, kind: Message, tag: u64, end: u64, depth: usize, said: &mut Said) -> Walked<()> {
        match (tag >> 3, tag & 7) {
            (0, _) => Err(Halt::NoProtobuf),
            (number, 0) => {
                let value = self.varint()?;
                said.is_external |= kind == Message::Tensor && number == DATA_LOCATION && value as u32 == EXTERNAL;
                Ok(())
            }
            (_, 1) => self.skip(8, end),
            (number, 2) => {
                let length = self.varint()?;
                let stop = self.at.checked_add(length).filter(|stop| *stop <= end).ok_or(Halt::NoProtobuf)?;
                self.bytes(kind, number, stop, depth, said)
            }
            // No version of ONNX has groups. The marks of a group are ignored, and its fields are read like others.
            (_, 3 | 4) => Ok(()),
            (_, 5) => self.skip(4, end),
            _ => Err(Halt::NoProtobuf),
        }
    }

    /// Reads a field of bytes that ends at `stop`: a message, a name, or something to skip.
    fn bytes(&mut self, kind: Message, number: u64, stop: u64, depth: usize, said: &mut Said) -> Walked<()> {
        match (kind, number) {
            (Message::Entry, KEY) => said.key = self.name(stop)?,
            (Message::Entry, VALUE) => said.value = self.name(stop)?,
            _ => match kind.of_field(number) {
                Some(Message::Entry) => {
                    let entry = self.message(Message::Entry, stop, depth)?;
                    if entry.key == b"location" {
                        said.names.push(entry.value);
                    }
                }
                Some(inner) => {
                    let depth = depth.checked_sub(1).ok_or(Halt::NoProtobuf)?;
                    self.message(inner, stop, depth)?;
                }
                None => self.skip(stop - self.at, stop)?,
            },
        }
        Ok(())
    }

    fn name(&mut self, stop: u64) -> Walked<Vec<u8>> {
        let length = stop - self.at;
        if length > LONGEST_NAME {
            return Err(Halt::NoName(format!("a name of {length} bytes")));
        }
        let mut name = vec![0; length as usize];
        self.file.read_exact(&mut name)?;
        self.at = stop;
        Ok(name)
    }

    fn varint(&mut self) -> Walked<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let mut byte = [0];
            self.file.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Halt::NoProtobuf)
    }

    fn skip(&mut self, length: u64, end: u64) -> Walked<()> {
        let stop = self.at.checked_add(length).filter(|stop| *stop <= end).ok_or(Halt::NoProtobuf)?;
        self.file.seek_relative(i64::try_from(length).map_err(|_| Halt::NoProtobuf)?)?;
        self.at = stop;
        Ok(())
    }
}
