//! Finds ONNX Runtime and loads it, at the first use and for the life of the process.
//!
//! The `ort` crate can do this by itself, but there a second attempt after a failed one is undefined behaviour. Here a
//! failure is an error, says what mends it, and may be followed by another attempt.
#![allow(unsafe_code)]

use super::places;
use crate::error::{Error, Result};
use libloading::Library;
use ort::environment::Environment;
use ort::sys::{ORT_API_VERSION, OrtApi, OrtApiBase};
use std::error::Error as _;
use std::ffi::CStr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Wheels of ONNX Runtime from 1.29 on send usage data from the moment they start, unless this is set.
const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

struct Runtime {
    version: String,
    environment: Environment,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
/// Held while loading, so that two first uses load once. The library's version once it is loaded.
static LOADING: Mutex<Option<String>> = Mutex::new(None);

/// ONNX Runtime's environment, loading the library if this is the first use.
pub fn environment() -> Result<&'static Environment> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(&runtime.environment);
    }
    let mut loaded = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(&runtime.environment);
    }
    let version = match &*loaded {
        Some(version) => version.clone(),
        None => loaded.insert(load()?).clone(),
    };
    let environment = start()?;
    Ok(&RUNTIME.get_or_init(|| Runtime { version, environment }).environment)
}

/// The version of ONNX Runtime, if it is loaded.
pub fn version() -> Option<&'static str> {
    RUNTIME.get().map(|runtime| runtime.version.as_str())
}

/// An error of ONNX Runtime's, in one line.
pub fn failed<R>(error: ort::Error<R>) -> Error {
    let lines = error.message().lines().map(str::trim).filter(|line| !line.is_empty());
    Error::Mistake(format!("ONNX Runtime: {}", lines.collect::<Vec<_>>().join(" ")))
}

/// Hands memory that was freed back to the system. Loading a model frees as much as it keeps, and glibc sits on it: two
/// sessions of a 90 MB model came to 330 MB, and to 250 MB with this.
pub fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: declared as in glibc's malloc.h. It takes any number and touches free memory alone.
        unsafe extern "C" {
            safe fn malloc_trim(keep: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}

fn start() -> Result<Environment> {
    let silent = Arc::new(|_: ort::logging::LogLevel, _: &str, _: &str, _: &str, _: &str| ());
    ort::init().with_name("fafcas").with_telemetry(false).with_logger(silent).build().map_err(failed)
}

/// Loads the first library that is there, gives its functions to `ort`, and returns its version.
fn load() -> Result<String> {
    forbid_telemetry();
    let mut reason = None;
    for path in places::runtime()? {
        match open(&path) {
            Ok((version, api)) => {
                ort::set_api(api);
                return Ok(version);
            }
            // What the system's loader does not know is not worth a word; a file that is there and will not do is.
            Err(error) if path.is_absolute() => reason = reason.or(Some(error)),
            Err(_) => {}
        }
    }
    Err(reason.unwrap_or_else(places::runtime_missing))
}

fn forbid_telemetry() {
    if std::env::var_os(NO_TELEMETRY).is_none() {
        // SAFETY: another thread that reads the environment in C at this very moment could see it move. It happens
        // once in a process, before ONNX Runtime exists, and there is no other way to tell it.
        unsafe { std::env::set_var(NO_TELEMETRY, "1") };
    }
}

fn open(path: &Path) -> Result<(String, OrtApi)> {
    let refused = |reason: String| Error::expected("a library of ONNX Runtime", reason).within(path.display());
    // SAFETY: the library's initialisers run. Its place was named by the host, the environment or the install prefix.
    let library = unsafe { Library::new(path) }.map_err(|error| refused(spelled(&error)))?;
    // SAFETY: ONNX Runtime exports this function with this type, in every version.
    let base = unsafe { library.get::<unsafe extern "C" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0") };
    let base = base.map_err(|error| refused(spelled(&error)))?;
    // SAFETY: the function takes nothing and returns a pointer to a constant, or null.
    let base = unsafe { base().as_ref() }.ok_or_else(|| refused("one without functions".into()))?;
    // SAFETY: the version is a constant string.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy().into_owned();
    // Asked first, because GetApi of an older library writes to standard error.
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

/// The N of version 1.N.P.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

/// The error with its reason, which libloading keeps apart.
fn spelled(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |reason| reason.to_string())
}
