//! The scalar functions that take no vectors: ranks, and what reports on this process and changes its settings.

use crate::analysis::ranking;
use crate::embed;
use crate::error::{Error, Result};
use crate::kernels;
use crate::resources::config;
use crate::resources::trace;
use crate::sqlite::host::api;
use crate::sqlite::host::args::{self, Args};
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::storage::changes;
use serde_json::json;

/// `rrf(rank_a, rank_b [, ...])`. A row without any rank scores 0 and not NULL. So it comes last, and several calls can be
/// added, each with a weight, without a test for NULL.
pub fn rrf(arguments: Args<'_>) -> Result<Value> {
    if arguments.count() == 0 {
        return Err(Error::expected("at least 1 rank", 0));
    }
    let given = (0..arguments.count()).map(|at| (at, arguments.get(at))).filter(|(_, rank)| *rank != ValueRef::Null);
    let ranks = given.map(|(at, rank)| args::rank(at + 1, rank)).collect::<Result<_>>()?;
    Ok(Value::Real(ranking::rrf(ranks)))
}

/// `vec_version()`.
pub fn vec_version(_arguments: Args<'_>) -> Result<Value> {
    Ok(Value::from(concat!("fafcas ", env!("CARGO_PKG_VERSION"))))
}

/// `fafcas_info()`. The version of ONNX Runtime is NULL until something has been embedded. The fingerprint is NULL if there is
/// no model.
pub fn fafcas_info(_arguments: Args<'_>) -> Result<Value> {
    let models = embed::models().unwrap_or_default();
    let default = models.into_iter().find(|model| model.name == embed::DEFAULT_MODEL);
    let info = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "sqlite": api::version(),
        "kernels": kernels::table().name,
        "threads": config::threads(),
        "embed_threads": config::EMBED_THREADS.get(),
        "onnxruntime": embed::runtime_version(),
        "model": embed::DEFAULT_MODEL,
        "model_fingerprint": default.and_then(|model| model.fingerprint),
    });
    Ok(Value::from(info.to_string().as_str()))
}

/// `fafcas_config(key)` and `fafcas_config(key, value)`. The second returns the value that it has set.
pub fn fafcas_config(arguments: Args<'_>) -> Result<Value> {
    if (0..arguments.count()).any(|at| arguments.get(at) == ValueRef::Null) {
        return Ok(Value::Null);
    }
    let key = args::text("a setting's name", arguments.get(0))?;
    let setting = config::find(key)?;
    if arguments.count() > 1 {
        setting.set(args::count(key, arguments.get(1))?)?;
        trace::settle();
        changes::settle();
    }
    Ok(Value::Integer(setting.get() as i64))
}
