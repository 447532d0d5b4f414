//! The folder of one model: its files, and their fingerprint.

use super::modules;
use super::settings::{Kind, Settings};
use super::static_settings;
use super::weights;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, FileType, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where exporters put the model in its folder.
const MODELS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
/// The table of a static model. Exporters to ONNX leave the weights of a transformer under the same name.
const TABLE: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
/// The most bytes of a file that is read whole. The tokenizer of a million tokens has a tenth of it.
const LONGEST: u64 = 1 << 30;
/// How a file of Git LFS begins before it is fetched.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The files and settings of a model, as they were found.
pub struct Folder {
    /// What its JSON files say.
    pub settings: Settings,
    model: PathBuf,
    tokenizer: PathBuf,
    /// The files that decide the vectors of the model, in the order of the fingerprint.
    files: Vec<KnownFile>,
}

impl Folder {
    /// Reads the settings and finds the files.
    pub fn open(folder: &Path) -> Result<Self> {
        let ModelFiles { kind, model, tokenizer } = find(folder)?;
        let model_file = KnownFile::new(model.clone())?;
        let weights = match kind {
            Kind::Onnx => weights::of_model(&model)?,
            Kind::Static => Vec::new(),
        };
        let others = weights.into_iter().chain([tokenizer.clone()]).map(KnownFile::new);
        let mut files = std::iter::once(Ok(model_file)).chain(others).collect::<Result<Vec<_>>>()?;
        let settings = match kind {
            Kind::Onnx => Settings::read(folder)?,
            Kind::Static => static_settings::read(folder, &model, &tokenizer)?,
        };
        for matrix in settings.matrices() {
            files.push(KnownFile::new(matrix)?);
        }
        Ok(Self { settings, model, tokenizer, files })
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
        self.files.iter().try_for_each(KnownFile::expect_same)
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
struct KnownFile {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl KnownFile {
    fn new(path: PathBuf) -> Result<Self> {
        let data = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        expect_file(&data).and_then(|()| expect_content(&path, &data)).map_err(|error| error.within(path.display()))?;
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

/// The content of a file, if one of that name exists. Anything else of that name is an error: opening a pipe would wait for
/// ever.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let data = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        data => data.map_err(|error| unreadable(path, error))?,
    };
    expect_file(&data).and_then(|()| expect_content(path, &data)).map_err(|error| error.within(path.display()))?;
    if data.len() > LONGEST {
        let most = format_args!("at most {LONGEST} bytes");
        return Err(Error::expected(most, data.len()).within(path.display()));
    }
    fs::read(path).map(Some).map_err(|error| unreadable(path, error))
}

fn expect_file(data: &Metadata) -> Result<()> {
    if data.is_file() { Ok(()) } else { Err(Error::expected("a file", kind(data.file_type()))) }
}

/// What was found where a file should be.
fn kind(found: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        match found {
            found if found.is_fifo() => return "a pipe",
            found if found.is_socket() => return "a socket",
            found if found.is_char_device() || found.is_block_device() => return "a device",
            _ => {}
        }
    }
    if found.is_dir() { "a folder" } else { "something else" }
}

/// A repository that was cloned without Git LFS has small texts instead of its large files.
fn expect_content(path: &Path, data: &Metadata) -> Result<()> {
    const LONGEST_POINTER: u64 = 1024;
    if data.len() > LONGEST_POINTER {
        return Ok(());
    }
    let mut beginning = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(POINTER.len() as u64).read_to_end(&mut beginning));
    // If the file cannot be read, whoever reads it reports that.
    if opened.is_ok() && beginning == POINTER {
        return Err(Error::expected("the file itself", "a pointer to it: `git lfs pull` fetches what it stands for"));
    }
    Ok(())
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

/// The files of a model.
struct ModelFiles {
    kind: Kind,
    model: PathBuf,
    tokenizer: PathBuf,
}

/// Whether this folder may be that of a model.
pub fn may_be_model(folder: &Path) -> bool {
    let is_there = |folder: PathBuf| folder.join(TOKENIZER).exists();
    is_there(folder.to_owned()) || modules::static_embedding(folder).is_ok_and(|module| module.is_some_and(is_there))
}

/// The kind of the model in this folder, and its files. A folder with both files is that of an ONNX model, unless its
/// settings say otherwise. A static model of sentence-transformers may be in a folder of its own.
fn find(folder: &Path) -> Result<ModelFiles> {
    let of_folder = |kind, model| ModelFiles { kind, model, tokenizer: folder.join(TOKENIZER) };
    let table = present([folder.join(TABLE)])?.into_iter().next();
    let model = present(MODELS.map(|file| folder.join(file)))?.into_iter().next();
    match (model, table) {
        (Some(_), Some(table)) if static_settings::say_static(folder)? => Ok(of_folder(Kind::Static, table)),
        (Some(model), _) => Ok(of_folder(Kind::Onnx, model)),
        (None, Some(table)) => Ok(of_folder(Kind::Static, table)),
        (None, None) => {
            let Some(module) = modules::static_embedding(folder)? else {
                let files = format_args!("{} or {TABLE} in {}", MODELS.join(", "), folder.display());
                return Err(Error::expected(files, "none of them"));
            };
            Ok(ModelFiles { kind: Kind::Static, model: module.join(TABLE), tokenizer: module.join(TOKENIZER) })
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
