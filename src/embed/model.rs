//! A model: its folder read and checked, its sessions, and the vectors of recent texts.

use super::cache::{self, Cache, Counters};
use super::chunk::{self, Chunk};
use super::session::Session;
use super::sessions::Sessions;
use super::settings::Settings;
use super::share::share;
use super::tokenize::Tokenizer;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Texts in one batch. More gain nothing on a CPU, and cost padding and cache misses.
const BATCH: usize = 8;
/// Tokens in one batch, so that models with room for long texts do not ask for gigabytes.
const BATCH_TOKENS: usize = 4096;
/// Texts tokenized in one go.
const TOKENIZED: usize = 64;
/// Vectors of a text alone and beside another that differ by more than rounding show a model quantised per batch.
const ROUNDING: f32 = 1e-5;
/// Texts that every tokenizer makes different tokens of.
const PROBES: [&str; 2] =
    ["A text to try the model with: 1, 2, 3.", "Another one, somewhat longer, so that the first is padded!"];
/// Where exporters put the model in its folder.
const FILES: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
/// The weights of a model that is too large for one file lie beside it.
const EXTERNAL: [&str; 2] = ["_data", ".data"];

/// A loaded model. Free to use from any number of threads.
pub struct Model {
    name: String,
    tokenizer: Tokenizer,
    sessions: Sessions,
    cache: Cache,
    fingerprint: String,
    dimensions: usize,
    max_tokens: usize,
    batch: usize,
}

impl Model {
    /// Loads the model in this folder and tries it out.
    pub(super) fn load(name: &str, folder: &Path) -> Result<Self> {
        Self::read(name, folder).map_err(|error| error.within(format_args!("model {name}")))
    }

    fn read(name: &str, folder: &Path) -> Result<Self> {
        let settings = Settings::read(folder)?;
        let tokenizer = Tokenizer::load(&folder.join("tokenizer.json"), &settings)?;
        let file = model_file(folder)?;
        let state = FileState::of(&file)?;
        let mut session = Session::open(&file, &settings.pooling)?;
        let Probe { dimensions, batch } = Probe::run(&mut session, &tokenizer)?;
        let fingerprint = fingerprint(folder, &file, &settings)?;
        let max_tokens = settings.max_tokens;
        let open = move || {
            state.expect_same(&file)?;
            Session::open(&file, &settings.pooling)
        };
        Ok(Self {
            name: name.to_owned(),
            tokenizer,
            sessions: Sessions::new(session, Box::new(open)),
            cache: Cache::new(dimensions),
            fingerprint,
            dimensions,
            max_tokens,
            batch,
        })
    }

    /// The name it was found by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The length of its vectors.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The most tokens it sees of a text, special ones included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// What its cache of recent texts holds and has done.
    pub fn cache(&self) -> Counters {
        self.cache.counters()
    }

    /// SHA-256 in hexadecimal of all that decides its vectors: model, tokenizer and settings.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The unit vector of a text. What the model has no room for is cut off. `threads` is the most sessions to hold.
    pub fn embed(&self, text: &str, threads: usize) -> Result<Arc<[f32]>> {
        let key = cache::key(text);
        if let Some(vector) = self.cache.get(&key) {
            return Ok(vector);
        }
        let ids = self.tokenizer.encode(text)?;
        let vector = self.sessions.with(threads, |session| session.run(&[&ids]))?.swap_remove(0);
        self.cache.put(key, Arc::clone(&vector));
        Ok(vector)
    }

    /// The unit vectors of many texts, on this thread and up to `threads - 1` others.
    ///
    /// `proceed` is called on this thread between batches with the number of texts done, and may stop it all by an error.
    pub fn embed_batch(
        &self,
        texts: &[&str],
        threads: usize,
        proceed: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Arc<[f32]>>> {
        let keys = texts.iter().map(|text| cache::key(text)).collect::<Vec<_>>();
        let mut vectors = keys.iter().map(|key| self.cache.get(key)).collect::<Vec<_>>();
        // One of each text that has no vector yet.
        let missing = (0..texts.len()).filter(|&at| vectors[at].is_none());
        let missing = missing.map(|at| (keys[at], at)).collect::<HashMap<_, _>>().into_values().collect::<Vec<_>>();
        let known = texts.len() - missing.len();

        let ids = self.tokenize(texts, &missing, threads, &mut |_| proceed(known))?;
        let batches = self.batches(&ids);
        let sizes = batches.iter().map(Vec::len).collect::<Vec<_>>();
        let run = |number: usize| {
            let rows = batches[number].iter().map(|&at| ids[at].as_slice()).collect::<Vec<_>>();
            self.sessions.with(threads, |session| session.run(&rows))
        };
        let results =
            share(batches.len(), threads, run, &mut |done| proceed(known + sizes[..done].iter().sum::<usize>()))?;

        let fresh = batches.iter().flatten().zip(results.into_iter().flatten());
        let fresh = fresh.map(|(&at, vector)| (keys[missing[at]], vector)).collect::<HashMap<_, _>>();
        for (vector, key) in vectors.iter_mut().zip(&keys) {
            if vector.is_none() {
                *vector = fresh.get(key).cloned();
            }
        }
        fresh.into_iter().for_each(|(key, vector)| self.cache.put(key, vector));
        vectors.into_iter().map(|vector| vector.ok_or_else(|| Error::Bug("a text without its vector".into()))).collect()
    }

    /// How many tokens the model sees of a text: no more than it has room for, special ones included.
    pub fn count_tokens(&self, text: &str) -> Result<usize> {
        Ok(self.tokenizer.encode(text)?.len())
    }

    /// The text cut into chunks of at most `max_tokens` tokens, or as many as the model has room for, special ones not
    /// counted. Each chunk repeats up to `overlap` tokens of the one before.
    pub fn chunks<'t>(&self, text: &'t str, max_tokens: Option<usize>, overlap: usize) -> Result<Vec<Chunk<'t>>> {
        let room = self.tokenizer.room();
        let most = max_tokens.unwrap_or(room);
        if !(1..=room).contains(&most) {
            return Err(Error::expected(format_args!("max_tokens from 1 to {room}"), most));
        }
        if overlap >= most {
            return Err(Error::expected(format_args!("overlap from 0 to {}", most - 1), overlap));
        }
        let starts = self.tokenizer.starts(text)?;
        chunk::chunks(text, &starts, most, overlap, &|part| self.tokenizer.count(part))
    }

    fn tokenize(
        &self,
        texts: &[&str],
        chosen: &[usize],
        threads: usize,
        proceed: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Vec<u32>>> {
        let groups = chosen.chunks(TOKENIZED).collect::<Vec<_>>();
        let encode =
            |group: usize| groups[group].iter().map(|&at| self.tokenizer.encode(texts[at])).collect::<Result<Vec<_>>>();
        Ok(share(groups.len(), threads, encode, proceed)?.into_iter().flatten().collect())
    }

    /// Texts of like length together, the longest first, so that no thread is left with a long one at the end.
    fn batches(&self, ids: &[Vec<u32>]) -> Vec<Vec<usize>> {
        let mut order = (0..ids.len()).collect::<Vec<_>>();
        order.sort_by_key(|&at| Reverse(ids[at].len()));
        let mut batches = Vec::new();
        let mut rest = order.as_slice();
        while let Some(&longest) = rest.first() {
            let size = (BATCH_TOKENS / ids[longest].len()).clamp(1, self.batch).min(rest.len());
            batches.push(rest[..size].to_vec());
            rest = &rest[size..];
        }
        batches
    }
}

/// What only running the model tells.
struct Probe {
    dimensions: usize,
    batch: usize,
}

impl Probe {
    fn run(session: &mut Session, tokenizer: &Tokenizer) -> Result<Self> {
        let greatest = tokenizer.greatest_id();
        let trial = session.run(&[&[greatest]]);
        trial.map_err(|error| {
            error.within(format_args!("tokenizer.json does not match, its greatest id is {greatest}"))
        })?;

        let [short, long] = [tokenizer.encode(PROBES[0])?, tokenizer.encode(PROBES[1])?];
        let alone = session.run(&[&short])?.swap_remove(0);
        let beside = session.run(&[&short, &long])?.swap_remove(0);
        let difference = alone.iter().zip(&*beside).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Such a model would give a text another vector in other company.
        let batch = if difference > ROUNDING { 1 } else { BATCH };
        Ok(Self { dimensions: alone.len(), batch })
    }
}

/// The model's file in its folder.
pub(super) fn model_file(folder: &Path) -> Result<PathBuf> {
    let mut files = FILES.iter().map(|file| folder.join(file));
    let found = files.find(|file| file.exists());
    found.ok_or_else(|| Error::expected(format_args!("{} in {}", FILES.join(" or "), folder.display()), "neither"))
}

/// See [`Model::fingerprint`].
pub(super) fn fingerprint(folder: &Path, file: &Path, settings: &Settings) -> Result<String> {
    let mut hasher = Sha256::new();
    hash_file(&mut hasher, file)?;
    for suffix in EXTERNAL {
        let mut external = file.as_os_str().to_owned();
        external.push(suffix);
        if Path::new(&external).exists() {
            hash_file(&mut hasher, Path::new(&external))?;
        }
    }
    hash_file(&mut hasher, &folder.join("tokenizer.json"))?;
    hasher.update(settings.identity());
    let mut text = String::new();
    hasher.finalize().iter().for_each(|byte| write!(text, "{byte:02x}").unwrap_or_default());
    Ok(text)
}

fn hash_file(hasher: &mut Sha256, path: &Path) -> Result<()> {
    let unreadable = |error| Error::expected("a readable file", error).within(path.display());
    let mut file = File::open(path).map_err(unreadable)?;
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(length) => hasher.update(&part[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}

/// Tells a file that was replaced from the one that was loaded.
#[derive(PartialEq, Eq)]
struct FileState {
    length: u64,
    modified: Option<SystemTime>,
}

impl FileState {
    fn of(path: &Path) -> Result<Self> {
        let data =
            fs::metadata(path).map_err(|error| Error::expected("a readable file", error).within(path.display()))?;
        Ok(Self { length: data.len(), modified: data.modified().ok() })
    }

    fn expect_same(&self, path: &Path) -> Result<()> {
        if Self::of(path)? == *self {
            return Ok(());
        }
        Err(Error::expected("the model as it was loaded", "another: start a new process to use it")
            .within(path.display()))
    }
}
