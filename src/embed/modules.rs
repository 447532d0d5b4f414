//! What `modules.json` of sentence-transformers lists: the steps from a text to its vector, each with its folder.

use super::settings::JsonFile;
use crate::error::{Error, Result};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// The folder of the pooling step where the list does not say.
const POOLING: &str = "1_Pooling";

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// The model itself.
    Transformer,
    /// A table with a vector for each token, in place of a model.
    StaticEmbedding(PathBuf),
    /// From the vectors of the tokens to that of the text.
    Pooling(PathBuf),
    /// A matrix.
    Dense(PathBuf),
    /// Length 1.
    Normalize,
}

/// The steps of the model in this folder, none if they are not listed. A step that is not known here is an error.
pub fn read(folder: &Path) -> Result<Vec<Module>> {
    let file = JsonFile::read(folder.join("modules.json"))?;
    match &file.content {
        Value::Null => Ok(Vec::new()),
        Value::Array(modules) => modules.iter().map(|module| read_module(&file, folder, module)).collect(),
        other => Err(file.wrong("the file", "a list of modules", other)),
    }
}

/// The folder of the static model that the list names, if it names one.
pub fn static_embedding(folder: &Path) -> Result<Option<PathBuf>> {
    let modules = read(folder)?;
    Ok(modules.into_iter().find_map(|module| match module {
        Module::StaticEmbedding(path) => Some(path),
        _ => None,
    }))
}

fn read_module(file: &JsonFile, folder: &Path, module: &Value) -> Result<Module> {
    let kind = module["type"].as_str().and_then(|path| path.rsplit('.').next()).unwrap_or("a nameless one");
    let inside = |otherwise: &str| Ok(folder.join(module_path(file, module, kind)?.unwrap_or(otherwise)));
    match kind {
        "Transformer" => expect_beside(file, module_path(file, module, kind)?).map(|()| Module::Transformer),
        "StaticEmbedding" => inside("").map(Module::StaticEmbedding),
        "Pooling" => inside(POOLING).map(Module::Pooling),
        "Dense" => inside("2_Dense").map(Module::Dense),
        "Normalize" => Ok(Module::Normalize),
        other => {
            let wanted = "modules Transformer, StaticEmbedding, Pooling, Dense and Normalize";
            Err(Error::expected(wanted, other).within(file.path.display()))
        }
    }
}

/// The folder of a module, which must lie in that of the model.
fn module_path<'f>(file: &JsonFile, module: &'f Value, kind: &str) -> Result<Option<&'f str>> {
    let wrong = |what| file.wrong(&format!("the path of {kind}"), what, &module["path"]);
    let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    match &module["path"] {
        Value::Null => Ok(None),
        Value::String(path) if Path::new(path).components().all(is_inside) => Ok(Some(path)),
        Value::String(_) => Err(wrong("a folder of the model")),
        _ => Err(wrong("text")),
    }
}

/// The oldest folders have the files of the transformer in one of its own.
fn expect_beside(file: &JsonFile, path: Option<&str>) -> Result<()> {
    match path {
        None | Some("" | ".") => Ok(()),
        Some(path) => {
            let not = format_args!("{path:?}: move its files to the folder of the model, and empty this path");
            Err(Error::expected("the path of Transformer as \"\"", not).within(file.path.display()))
        }
    }
}

/// What follows the model.
pub struct AfterModel {
    /// The folder of the pooling step.
    pub pooling: PathBuf,
    /// The steps behind it, up to the last that changes the direction of a vector. All vectors get length 1 at the end.
    pub steps: Vec<Module>,
}

impl AfterModel {
    /// Reads the list in the folder of an ONNX model.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut found = Self { pooling: folder.join(POOLING), steps: Vec::new() };
        let refused = |wanted, not| Err(Error::expected(wanted, not).within(folder.join("modules.json").display()));
        for module in read(folder)? {
            match module {
                Module::Transformer => {}
                Module::StaticEmbedding(_) => return refused("Transformer beside an ONNX model", "StaticEmbedding"),
                Module::Pooling(_) if !found.steps.is_empty() => {
                    return refused("Pooling right behind Transformer", "later");
                }
                Module::Pooling(path) => found.pooling = path,
                step @ (Module::Dense(_) | Module::Normalize) => found.steps.push(step),
            }
        }
        let last = found.steps.iter().rposition(|step| *step != Module::Normalize);
        found.steps.truncate(last.map_or(0, |last| last + 1));
        Ok(found)
    }
}
