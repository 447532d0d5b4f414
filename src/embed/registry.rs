//! The models of this process. They are found by name, loaded at first use, and shared by all.

use super::card;
use super::folder::{Folder, may_be_model, unreadable};
use super::listing::ModelListing;
use super::locations;
use super::model::Model;
use crate::error::{Error, Result};
use crate::lock::{lock, try_lock};
use crate::resources::per_process::PerProcess;
use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How long the name of a model may be.
const LONGEST_NAME: usize = 100;

/// A model, once it is loaded. The lock is held while it loads, so that it is loaded only once.
type ModelSlot = Arc<Mutex<Option<Arc<Model>>>>;

type Slots = HashMap<PathBuf, ModelSlot>;

/// A forked child has the models that were loaded before. One that was being loaded it loads by itself.
static SLOTS: PerProcess<Mutex<Slots>> =
    PerProcess::handed_on(|parent| Mutex::new(parent.map(loaded).unwrap_or_default()));

fn loaded(slots: &Mutex<Slots>) -> Slots {
    let Some(slots) = try_lock(slots) else { return Slots::default() };
    let models = slots.iter().filter_map(|(folder, slot)| Some((folder, try_lock(slot)?.clone()?)));
    models.map(|(folder, model)| (folder.clone(), Arc::new(Mutex::new(Some(model))))).collect()
}

/// The model of this name. It is loaded if this is the first use.
pub fn model(name: &str) -> Result<Arc<Model>> {
    let folder = folder(name)?;
    let slot = match slot(&folder) {
        Some(slot) => slot,
        // Only a model that exists gets a slot: there is no end to names.
        None if folder.try_exists().map_err(|error| unreadable(&folder, error))? => new_slot(&folder),
        None => return Err(locations::model_missing(name, &names().unwrap_or_default())),
    };
    let mut slot = lock(&slot);
    if let Some(model) = &*slot {
        return Ok(Arc::clone(model));
    }
    Ok(Arc::clone(slot.insert(Arc::new(Model::load(name, &folder)?))))
}

/// All models that can be found, sorted by name.
pub fn models() -> Result<Vec<ModelListing>> {
    names()?.iter().map(|name| Ok(listing(name, &folder(name)?))).collect()
}

/// The folder of a model: the first that exists, or else the first place where it could be. A name is never a path,
/// because SQL must not choose what is read.
fn folder(name: &str) -> Result<PathBuf> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let plain = name.bytes().all(allowed) && (1..=LONGEST_NAME).contains(&name.len());
    if !plain || name.starts_with('.') {
        let shown = name.chars().take(LONGEST_NAME).collect::<String>();
        return Err(Error::expected("a model name of letters, digits, '.', '_' and '-'", format_args!("{shown:?}")));
    }
    let mut folders = locations::models().into_iter().map(|folder| folder.join(name));
    let first = folders.next().ok_or_else(|| Error::Bug("no place for models".into()))?;
    // A folder that may not be examined counts as existing. So the error names it, and it is not silently left out.
    let there = |folder: &PathBuf| folder.try_exists().unwrap_or(true);
    let rest: Vec<_> = folders.collect();
    if rest.is_empty() || there(&first) {
        return Ok(first);
    }
    Ok(rest.into_iter().find(there).unwrap_or(first))
}

fn slot(folder: &Path) -> Option<ModelSlot> {
    lock(SLOTS.get()).get(folder).cloned()
}

fn new_slot(folder: &Path) -> ModelSlot {
    Arc::clone(lock(SLOTS.get()).entry(folder.to_owned()).or_default())
}

/// The names of all folders that hold a model.
fn names() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for root in locations::models() {
        match root.read_dir() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            entries => {
                let entries = entries.map_err(|error| unreadable(&root, error))?;
                names.extend(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()));
            }
        }
    }
    names.retain(|name| folder(name).is_ok_and(|folder| may_be_model(&folder)));
    Ok(names)
}

fn listing(name: &str, folder: &Path) -> ModelListing {
    // A model that is being loaded at this moment counts as not loaded.
    let loaded = slot(folder).and_then(|slot| try_lock(&slot)?.clone());
    let found = Folder::open(folder).ok();
    let settings = match &loaded {
        Some(model) => Some(model.settings()),
        None => found.as_ref().map(|found| &found.settings),
    };
    let fingerprint = match &loaded {
        Some(model) => model.fingerprint().ok().map(str::to_owned),
        None => found.as_ref().and_then(|found| found.fingerprint().ok()),
    };
    ModelListing {
        name: name.to_owned(),
        dimensions: match &loaded {
            Some(model) => Some(model.dimensions() as u64),
            None => settings.and_then(|settings| settings.dimensions),
        },
        max_tokens: settings.map(|settings| settings.max_tokens),
        fingerprint,
        loaded: loaded.is_some(),
        kind: settings.map(|settings| settings.kind),
        pooling: settings.and_then(|settings| Some(settings.pooling.as_ref().ok()?.pooling.to_string())),
        prompts: settings.map(|settings| settings.prompts.clone()).unwrap_or_default(),
        languages: card::languages(folder),
        spread: settings.and_then(|settings| settings.spread),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_there_takes_no_memory() {
        assert!(model("there-is-none-of-this-name").is_err());
        assert!(folder("there-is-none-of-this-name").is_ok_and(|folder| slot(&folder).is_none()));
    }
}
