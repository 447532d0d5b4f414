//! Where ONNX Runtime and the models lie. The host program decides; if it says nothing, the environment; otherwise the
//! install prefix and the user's cache are searched.
//!
//! SQL cannot decide it, and the working directory does not count: someone who may write SQL or a file must not choose
//! which code is loaded.

use super::prefix;
use crate::error::{Error, Result};
use crate::lock::lock;
use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The folder of models, if the host program names none.
const MODELS_VARIABLE: &str = "FAFCAS_MODEL_DIR";
/// The library of ONNX Runtime, if the host program names none.
const RUNTIME_VARIABLE: &str = "FAFCAS_ONNXRUNTIME";

#[cfg(target_os = "windows")]
const LIBRARY: &str = "onnxruntime.dll";
#[cfg(target_os = "macos")]
const LIBRARY: &str = "libonnxruntime.dylib";
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const LIBRARY: &str = "libonnxruntime.so";

/// The names by which the system's loader may know ONNX Runtime.
#[cfg(target_os = "windows")]
const SYSTEM_NAMES: [&str; 1] = [LIBRARY];
#[cfg(target_os = "macos")]
const SYSTEM_NAMES: [&str; 2] = [LIBRARY, "libonnxruntime.1.dylib"];
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const SYSTEM_NAMES: [&str; 2] = ["libonnxruntime.so.1", LIBRARY];

/// What a host program may set in place of the environment. For what is `None`, the environment decides.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folder that contains a folder for each model.
    pub models: Option<PathBuf>,
    /// The library of ONNX Runtime, a file.
    pub runtime: Option<PathBuf>,
}

static CONFIGURED: Mutex<Places> = Mutex::new(Places { models: None, runtime: None });

/// Sets where to look from now on. What has been loaded stays as it is.
pub fn configure(places: Places) {
    *lock(&CONFIGURED) = places;
}

fn configured() -> Places {
    lock(&CONFIGURED).clone()
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folders of models, best first. If one was named, it is the only one. Otherwise: the prefix of this library's own
/// file, the user's cache, and the prefix that the library was built for.
pub fn models() -> Vec<PathBuf> {
    if let Some(named) = configured().models.or_else(|| variable(MODELS_VARIABLE)) {
        return vec![named];
    }
    let under = |prefix: PathBuf| prefix.join("share/fafcas/models");
    let mut folders: Vec<_> = prefix::own().map(under).into_iter().chain(user_models()).collect();
    let last = under(prefix::built_for());
    if !folders.contains(&last) {
        folders.push(last);
    }
    folders
}

/// Where the Python package puts the models that it fetches. `python/fafcas/models/fetch.py` has the same rule.
fn user_models() -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|folder| folder.is_absolute());
    let in_home = |folder| absolute("HOME").map(|home| home.join(folder));
    let cache = if cfg!(target_os = "windows") {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        in_home("Library/Caches")
    } else {
        absolute("XDG_CACHE_HOME").or_else(|| in_home(".cache"))
    };
    Some(cache?.join("fafcas").join("models"))
}

/// The files to load ONNX Runtime from, in order. If one was named, it is the only one, so that a wrong name does not
/// go unnoticed.
pub fn runtime() -> Result<Vec<PathBuf>> {
    if let Some(file) = configured().runtime.or_else(|| variable(RUNTIME_VARIABLE)) {
        return if file.is_file() { Ok(vec![file]) } else { Err(missing(&file.display())) };
    }
    let prefixes = prefix::own().into_iter().chain([prefix::built_for()]);
    let installed = prefixes.flat_map(|prefix| ["lib/fafcas", "lib"].map(|folder| prefix.join(folder)));
    let files = models().into_iter().chain(installed).filter_map(|folder| library_in(&folder));
    Ok(files.chain(SYSTEM_NAMES.map(PathBuf::from)).collect())
}

/// The error if ONNX Runtime is in none of its places.
pub fn runtime_missing() -> Error {
    missing(&format_args!("{}, under the install prefix or in the system's library path", listed(&models())))
}

fn missing(places: &dyn std::fmt::Display) -> Error {
    Error::expected(
        format_args!("ONNX Runtime's library {LIBRARY} in {places}"),
        format_args!(
            "none: `make model` fetches it, as do fafcas[embed] of Python and onnxruntime-node, and {RUNTIME_VARIABLE} may \
             name another file"
        ),
    )
}

/// The error if there is no such model. `present` are those that there are.
pub fn model_missing(name: &str, present: &BTreeSet<String>) -> Error {
    let found = match present.len() {
        0 => "none".into(),
        _ => format!("only {}", present.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    };
    Error::expected(
        format_args!("a model {name} in {}", listed(&models())),
        format_args!(
            "{found}: `make model` fetches it, as does `fafcas model` of the Python package; docs/models.md says how to add \
             another, and {MODELS_VARIABLE} may name another folder"
        ),
    )
}

fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" or ")
}

/// The library in this folder, under its plain name or with a version after the name.
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
