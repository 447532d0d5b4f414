//! Where ONNX Runtime and the models lie: as the host program says, else the environment, else the install prefix.
//!
//! Never as SQL says, and never the working directory: who may write SQL or a file must not choose what code is loaded.

use crate::error::{Error, Result};
use std::env;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// The folder of models, when the host program names none.
const MODELS_VARIABLE: &str = "FAFCAS_MODEL_DIR";
/// ONNX Runtime's library, when the host program names none.
const RUNTIME_VARIABLE: &str = "FAFCAS_ONNXRUNTIME";

#[cfg(target_os = "windows")]
const LIBRARY: &str = "onnxruntime.dll";
#[cfg(target_os = "macos")]
const LIBRARY: &str = "libonnxruntime.dylib";
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const LIBRARY: &str = "libonnxruntime.so";

/// The names under which the system's loader may know ONNX Runtime.
#[cfg(target_os = "windows")]
const SYSTEM_NAMES: [&str; 1] = [LIBRARY];
#[cfg(target_os = "macos")]
const SYSTEM_NAMES: [&str; 2] = [LIBRARY, "libonnxruntime.1.dylib"];
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const SYSTEM_NAMES: [&str; 2] = ["libonnxruntime.so.1", LIBRARY];

/// What a host program may say in place of the environment. What is `None` stays with the environment.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folder that holds one folder for each model.
    pub models: Option<PathBuf>,
    /// ONNX Runtime's library, a file.
    pub runtime: Option<PathBuf>,
}

static CONFIGURED: RwLock<Places> = RwLock::new(Places { models: None, runtime: None });

/// Sets where to look from now on. What is loaded already stays as it is.
pub fn configure(places: Places) {
    *CONFIGURED.write().unwrap_or_else(PoisonError::into_inner) = places;
}

fn configured() -> Places {
    CONFIGURED.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn prefix() -> &'static Path {
    Path::new(option_env!("FAFCAS_PREFIX").unwrap_or("/usr/local"))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder of models.
pub fn models() -> PathBuf {
    let named = configured().models.or_else(|| variable(MODELS_VARIABLE));
    named.unwrap_or_else(|| prefix().join("share/fafcas/models"))
}

/// The places to load ONNX Runtime from, in order. A place that was named leaves no other: a wrong name must not go
/// unnoticed.
pub fn runtime() -> Result<Vec<PathBuf>> {
    if let Some(file) = configured().runtime.or_else(|| variable(RUNTIME_VARIABLE)) {
        return if file.is_file() { Ok(vec![file]) } else { Err(missing(&file.display())) };
    }
    let folders = [models(), prefix().join("lib")];
    let files = folders.iter().filter_map(|folder| library_in(folder));
    Ok(files.chain(SYSTEM_NAMES.map(PathBuf::from)).collect())
}

/// The error when ONNX Runtime is in none of its places.
pub fn runtime_missing() -> Error {
    missing(&format_args!("{}, {} or the system's library path", models().display(), prefix().join("lib").display()))
}

fn missing(places: &dyn std::fmt::Display) -> Error {
    Error::expected(
        format_args!("ONNX Runtime's library {LIBRARY} in {places}"),
        format_args!("none: `make model` fetches it, and {RUNTIME_VARIABLE} may name another file"),
    )
}

/// The error when the folder of models has no such model.
pub fn model_missing(name: &str) -> Error {
    Error::expected(
        format_args!("a model {name} in {}", models().display()),
        format_args!("none: `make model` fetches it, and {MODELS_VARIABLE} may name another folder"),
    )
}

/// The library in this folder, under its plain name or with a version after it.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(LIBRARY);
    if plain.is_file() {
        return Some(plain);
    }
    let entries = folder.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let versioned = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.strip_prefix(LIBRARY)).is_some_and(|rest| rest.starts_with('.'))
    };
    entries.filter(versioned).max()
}
