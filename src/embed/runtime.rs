//! Finds ONNX Runtime and loads it, at the first use and until the process ends.
//!
//! The `ort` crate can do this by itself, but there a second attempt after a failed one is undefined behaviour. Here a
//! failure is an error that says how to mend it, and another attempt may follow.

use super::runtime_locations;
use crate::error::{Error, Result};
use crate::lock::{lock, try_lock};
use crate::native::onnx;
use crate::native::process::set_unless_set;
use crate::resources::per_process::PerProcess;
use once_cell::race::OnceBox;
use ort::environment::Environment;
use std::sync::{Arc, Mutex};

/// Wheels of ONNX Runtime from 1.29 on send usage data as soon as they start, unless this variable is set.
const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

struct Runtime {
    version: String,
    environment: Environment,
}

static RUNTIME: OnceBox<Runtime> = OnceBox::new();
/// Holds the version of the library once it is loaded. The lock is held while it loads, so that two first uses load it
/// once. A process that was forked meanwhile loads it by itself.
static LOADING: PerProcess<Mutex<Option<String>>> =
    PerProcess::handed_on(|parent| Mutex::new(parent.and_then(|parent| try_lock(parent)?.clone())));

/// The environment of ONNX Runtime. The library is loaded if this is the first use.
pub fn environment() -> Result<&'static Environment> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(&runtime.environment);
    }
    let mut loaded = lock(LOADING.get());
    if let Some(runtime) = RUNTIME.get() {
        return Ok(&runtime.environment);
    }
    let version = match &*loaded {
        Some(version) => version.clone(),
        None => loaded.insert(load()?).clone(),
    };
    let environment = start()?;
    Ok(&RUNTIME.get_or_init(|| Box::new(Runtime { version, environment })).environment)
}

/// The version of ONNX Runtime, if it is loaded.
pub fn version() -> Option<&'static str> {
    RUNTIME.get().map(|runtime| runtime.version.as_str())
}

/// An error of ONNX Runtime, in one line.
pub fn failed<R>(error: ort::Error<R>) -> Error {
    let lines = error.message().lines().map(str::trim).filter(|line| !line.is_empty());
    Error::Mistake(format!("ONNX Runtime: {}", lines.collect::<Vec<_>>().join(" ")))
}

fn start() -> Result<Environment> {
    let silent = Arc::new(|_: ort::logging::LogLevel, _: &str, _: &str, _: &str, _: &str| ());
    ort::init().with_name("fafcas").with_telemetry(false).with_logger(silent).build().map_err(failed)
}

/// Loads the first library that exists, gives its functions to `ort`, and returns its version.
fn load() -> Result<String> {
    // This must come before ONNX Runtime is loaded. The lock ensures that only one thread does it.
    set_unless_set(NO_TELEMETRY, "1");
    let mut reason = None;
    for path in runtime_locations::runtime()? {
        match onnx::open(&path) {
            Ok((version, api)) => {
                ort::set_api(api);
                return Ok(version);
            }
            // It is normal that the system's loader does not know a name. But if a file exists and cannot be used, the
            // error must say why.
            Err(error) if path.is_absolute() => reason = reason.or(Some(error)),
            Err(_) => {}
        }
    }
    Err(reason.unwrap_or_else(runtime_locations::runtime_missing))
}
