//! Where the models lie. runtime_locations.rs has where ONNX Runtime lies, by the same rules. The host program decides; if it says nothing, the environment; otherwise the
//! install prefix and the user's cache are searched.
//!
//! SQL cannot decide it, and the working directory does not count: someone who may write SQL or a file must not choose
//! which code is loaded.

use super::listing::{DEFAULT_MODEL, Places};
use super::prefix;
use crate::error::Error;
use crate::lock::{read, try_read, write};
use crate::resources::per_process::PerProcess;
use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;
use std::sync::RwLock;

/// The model that needs no runtime. `fafcas model` makes it from the default model.
const STATIC_MODEL: &str = "static-MiniLM";
/// The folder of models, if the host program names none.
const MODELS_VARIABLE: &str = "FAFCAS_MODEL_DIR";
// Threads that only read it while the process forks do not keep a child from it.
static CONFIGURED: PerProcess<RwLock<Places>> = PerProcess::handed_on(|parent| {
    RwLock::new(parent.and_then(|parent| Some(try_read(parent)?.clone())).unwrap_or_default())
});

/// Sets where to look from now on. What has been loaded stays as it is.
pub fn configure(places: Places) {
    *write(CONFIGURED.get()) = places;
}

pub fn configured() -> Places {
    read(CONFIGURED.get()).clone()
}

pub fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folders of models, best first. If one was named, it is the only one. Otherwise: the prefix of this library's own
/// file, the user's cache, and the prefix that the library was built for.
pub fn models() -> Vec<PathBuf> {
    if let Some(named) = configured().models.or_else(|| variable(MODELS_VARIABLE)) {
        return vec![named];
    }
    unnamed_folders()
}

/// The folders where models are if nobody names one.
fn unnamed_folders() -> Vec<PathBuf> {
    let under = |prefix: PathBuf| prefix.join("share/fafcas/models");
    let mut folders: Vec<_> = prefix::own().map(under).into_iter().chain(user_models()).collect();
    let last = prefix::built_for().map(under).filter(|last| !folders.contains(last));
    folders.extend(last);
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

/// How many names of models an error shows.
const SHOWN: usize = 20;

/// The error if there is no such model. `present` are those that there are.
pub fn model_missing(name: &str, present: &BTreeSet<String>) -> Error {
    let found = match present.len() {
        0 => "none".into(),
        count => {
            let names: Vec<_> = present.iter().take(SHOWN).map(String::as_str).collect();
            let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
            format!("only {}{more}", names.join(", "))
        }
    };
    Error::expected(format_args!("a model {name} in {}", listed(&models())), format_args!("{found}: {}", remedy(name)))
}

/// What to type, as far as the place of the library's own file and the environment tell.
fn remedy(name: &str) -> String {
    if cfg!(target_family = "wasm") {
        return "hand it to the module first, by loadModel() or addModel()".into();
    }
    if configured().models.is_some() {
        return "the program chose that folder; docs/models.md says how to add a model to it".into();
    }
    let has = |folder: &PathBuf| folder.join(name).join("tokenizer.json").is_file();
    if let Some(folder) = unnamed_folders().into_iter().find(has) {
        return format!("type `unset {MODELS_VARIABLE}` and start again, as {} has it", folder.display());
    }
    let repository = prefix::repository();
    let models = repository.as_ref().map(|repository| repository.join("models"));
    if let Some(models) = models.as_ref().filter(|models| has(models)) {
        return format!("type `export {MODELS_VARIABLE}={}` and start again", models.display());
    }
    match (repository, models) {
        _ if ![DEFAULT_MODEL, STATIC_MODEL].contains(&name) => {
            format!("docs/models.md says how to add it, and {MODELS_VARIABLE} may name another folder")
        }
        (Some(repository), Some(models)) => format!(
            "type `make -C {} model` and `export {MODELS_VARIABLE}={}`, and start again",
            repository.display(),
            models.display()
        ),
        _ => format!(
            "type `fafcas model {name}`, a command that `pip install 'fafcas[embed]'` brings, or name its folder in {MODELS_VARIABLE}"
        ),
    }
}

/// What works where ONNX Runtime does not.
pub fn static_way() -> String {
    let is_there = models().iter().any(|folder| folder.join(STATIC_MODEL).join("model.safetensors").is_file());
    let how = if is_there { "" } else { ", once `fafcas model static-MiniLM` or `make model` has made it" };
    format!("embed(text, '{STATIC_MODEL}') works without it{how}")
}

pub fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" or ")
}
