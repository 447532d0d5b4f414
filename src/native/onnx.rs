//! Opens ONNX Runtime's library and takes its table of functions.

use crate::error::{Error, Result};
use libloading::Library;
use ort::sys::{ORT_API_VERSION, OrtApi, OrtApiBase};
use std::error::Error as _;
use std::ffi::CStr;
use std::path::Path;

/// The version and functions of the library. It stays loaded until the process ends.
pub fn open(path: &Path) -> Result<(String, OrtApi)> {
    let refused = |reason: String| Error::expected("a library of ONNX Runtime", reason).within(path.display());
    if cfg!(windows) && !path.is_absolute() {
        return Err(refused("a name that is not a whole path".into()));
    }
    // SAFETY: the library's initialisers run. Its place was named by the host, the environment or the install prefix.
    let library = unsafe { load(path) }.map_err(|error| refused(spelled(&error)))?;
    // SAFETY: ONNX Runtime exports this function with this type, in every version.
    let base = unsafe { library.get::<unsafe extern "C" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0") };
    let base = base.map_err(|error| refused(spelled(&error)))?;
    // SAFETY: the function takes nothing and returns a pointer to a constant, or null.
    let base = unsafe { base().as_ref() }.ok_or_else(|| refused("one without functions".into()))?;
    // SAFETY: the version is a constant string.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy().into_owned();
    // This comes first, because `GetApi` of an older library writes to standard error.
    if minor(&version).is_none_or(|minor| minor < ORT_API_VERSION) {
        let least = format!("ONNX Runtime 1.{ORT_API_VERSION} or later");
        return Err(Error::expected(least, version).within(path.display()));
    }
    // SAFETY: the library knows this version, so that it gives null or a table at least as long as the one declared.
    let api = unsafe { (base.GetApi)(ORT_API_VERSION).as_ref() }.cloned();
    let api = api.ok_or_else(|| refused(format!("version {version} without the functions of 1.{ORT_API_VERSION}")))?;
    // Threads and sessions outlive every connection, so the library stays.
    std::mem::forget(library);
    Ok((version, api))
}

#[cfg(not(windows))]
unsafe fn load(path: &Path) -> std::result::Result<Library, libloading::Error> {
    // SAFETY: the caller's.
    unsafe { Library::new(path) }
}

/// What the library itself needs is looked for beside it and in the system's folder, never in the working directory.
#[cfg(windows)]
unsafe fn load(path: &Path) -> std::result::Result<Library, libloading::Error> {
    use libloading::os::windows::{
        LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, LOAD_LIBRARY_SEARCH_SYSTEM32, Library as LibraryOfWindows,
    };
    // These flags want a path without slashes.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    // SAFETY: the caller's.
    let library = unsafe {
        LibraryOfWindows::load_with_flags(path, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32)
    };
    library.map(Library::from)
}

/// The N of version 1.N.P.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

/// The error with its reason. libloading keeps them apart.
fn spelled(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |reason| reason.to_string())
}
