//! Where ONNX Runtime lies: where the host program or the environment says, or else beside the models, under the install
//! prefix, or where the system's loader looks.

use super::locations::{self, configured, listed, variable};
use super::prefix;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The library of ONNX Runtime, if the host program names none.
const RUNTIME_VARIABLE: &str = "FAFCAS_ONNXRUNTIME";

#[cfg(target_os = "windows")]
const LIBRARY: &str = "onnxruntime.dll";
#[cfg(target_os = "macos")]
const LIBRARY: &str = "libonnxruntime.dylib";
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const LIBRARY: &str = "libonnxruntime.so";

/// The names by which the system's loader may know ONNX Runtime. Windows looks for a bare name in the working directory too, and has
/// an old ONNX Runtime of its own, so there it is loaded by its whole path alone.
#[cfg(target_os = "windows")]
const SYSTEM_NAMES: [&str; 0] = [];
#[cfg(target_os = "macos")]
const SYSTEM_NAMES: [&str; 2] = [LIBRARY, "libonnxruntime.1.dylib"];
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const SYSTEM_NAMES: [&str; 2] = ["libonnxruntime.so.1", LIBRARY];

/// The files to load ONNX Runtime from, in order. If one was named, it is the only one, so that a wrong name does not
/// go unnoticed.
pub fn runtime() -> Result<Vec<PathBuf>> {
    if let Some(file) = configured().runtime.or_else(|| variable(RUNTIME_VARIABLE)) {
        return Ok(vec![whole_path(&file)?]);
    }
    let prefixes = prefix::own().into_iter().chain(prefix::built_for());
    let installed = prefixes.flat_map(|prefix| ["lib/fafcas", "lib"].map(|folder| prefix.join(folder)));
    let files = locations::models().into_iter().chain(installed).filter_map(|folder| library_in(&folder));
    Ok(files.chain(SYSTEM_NAMES.map(PathBuf::from)).collect())
}

/// The whole path of the file that was named. A loader would look for a bare name elsewhere.
fn whole_path(file: &Path) -> Result<PathBuf> {
    let whole = std::path::absolute(file).ok().filter(|whole| whole.is_file());
    whole.ok_or_else(|| missing(&file.display()))
}

/// The error if ONNX Runtime is in none of its places.
pub fn runtime_missing() -> Error {
    let last = if SYSTEM_NAMES.is_empty() { "" } else { " or in the system's library path" };
    missing(&format_args!("{}, under the install prefix{last}", listed(&locations::models())))
}

fn missing(places: &dyn std::fmt::Display) -> Error {
    Error::expected(
        format_args!("ONNX Runtime's library {LIBRARY} in {places}"),
        format_args!(
            "none: `make model` fetches it, as do fafcas[embed] of Python and onnxruntime-node, and {RUNTIME_VARIABLE} may \
             name another file. {}",
            locations::static_way()
        ),
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_named_is_loaded_by_its_whole_path() {
        let whole = whole_path(Path::new("Cargo.toml")).unwrap();
        assert_eq!(whole, std::env::current_dir().unwrap().join("Cargo.toml"));
        assert!(whole_path(Path::new("no such file")).unwrap_err().to_string().contains("no such file"));
    }

    /// A false library in the working directory, which is where somebody else may write.
    #[cfg(windows)]
    #[test]
    fn a_library_in_the_working_directory_is_not_looked_at() {
        let false_library = std::env::current_dir().unwrap().join(LIBRARY);
        std::fs::write(&false_library, "no library").unwrap();
        let places = runtime().unwrap();
        let opened = crate::native::onnx::open(Path::new(LIBRARY));
        std::fs::remove_file(&false_library).unwrap();
        assert!(places.iter().all(|place| place.is_absolute() && *place != false_library), "{places:?}");
        let Err(error) = opened else { panic!("opened by its bare name") };
        assert!(error.to_string().contains("whole path"), "{error}");
    }
}
