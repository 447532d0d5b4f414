//! The folder of one model: its files, and their fingerprint.

use super::settings::Settings;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where exporters put the model in its folder.
const MODELS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
/// The weights of a large model lie in a second file. Its name is that of the model with one of these endings added.
const WEIGHTS: [&str; 2] = ["_data", ".data"];

/// The files and settings of a model, as they were found.
pub struct Folder {
    /// What its JSON files say.
    pub settings: Settings,
    model: PathBuf,
    tokenizer: PathBuf,
    /// The files that decide the vectors of the model, in the order of the fingerprint.
    files: Vec<Seen>,
}

impl Folder {
    /// Reads the settings and finds the files.
    pub fn open(folder: &Path) -> Result<Self> {
        let model = present(MODELS.map(|file| folder.join(file)))?.into_iter().next();
        let missing = || Error::expected(format_args!("{} in {}", MODELS.join(" or "), folder.display()), "neither");
        let model = model.ok_or_else(missing)?;
        let tokenizer = folder.join("tokenizer.json");
        let weights = present(WEIGHTS.map(|suffix| {
            let mut name = model.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        }))?;
        let files = [model.clone()].into_iter().chain(weights).chain([tokenizer.clone()]);
        let files = files.map(Seen::new).collect::<Result<_>>()?;
        Ok(Self { settings: Settings::read(folder)?, model, tokenizer, files })
    }

    /// The file of the model.
    pub fn model(&self) -> &Path {
        &self.model
    }

    /// The file of the tokenizer.
    pub fn tokenizer(&self) -> &Path {
        &self.tokenizer
    }

    /// An error if a file is no longer the one that was found first, so that no model is taken for another.
    pub fn expect_same(&self) -> Result<()> {
        self.files.iter().try_for_each(Seen::expect_same)
    }

    /// SHA-256, in hexadecimal, of everything that decides the vectors of the model: its files and its settings.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        self.files.iter().try_for_each(|file| hash(&mut hasher, &file.path))?;
        hasher.update(self.settings.identity());
        self.expect_same()?;
        let mut text = String::new();
        hasher
            .finalize()
            .iter()
            .try_for_each(|byte| write!(text, "{byte:02x}"))
            .map_err(|_| Error::Bug("no text".into()))?;
        Ok(text)
    }
}

/// A file, with what distinguishes it from another file in its place.
#[derive(PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    fn new(path: PathBuf) -> Result<Self> {
        let data = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        Ok(Self { length: data.len(), modified: data.modified().ok(), path })
    }

    fn expect_same(&self) -> Result<()> {
        if Self::new(self.path.clone())? == *self {
            return Ok(());
        }
        let other = "another: start a new process to use it";
        Err(Error::expected("the file that was loaded", other).within(self.path.display()))
    }
}

fn hash(hasher: &mut Sha256, path: &Path) -> Result<()> {
    let mut file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(length) => hasher.update(&part[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(path, error)),
        }
    }
}

/// Those of these files that exist.
fn present<const N: usize>(files: [PathBuf; N]) -> Result<Vec<PathBuf>> {
    let exists = |file: PathBuf| match file.try_exists() {
        Ok(exists) => Ok(exists.then_some(file)),
        Err(error) => Err(unreadable(&file, error)),
    };
    files.into_iter().filter_map(|file| exists(file).transpose()).collect()
}

/// The error for a file or folder that cannot be read.
pub fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::expected("a readable file or folder", error).within(path.display())
}
