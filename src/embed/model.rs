//! A model: its folder, read and checked, what it runs on, and the vectors of recent texts.

use super::cache::{self, TextCache};
use super::chunk;
use super::engine::Engine;
use super::folder::Folder;
use super::listing::{Chunk, Counters, Prompts};
use super::prompts::{self, prompted};
use super::settings::{Kind, Settings};
use super::split_work::share;
use super::tokenize::Tokenizer;
use crate::error::{Error, Result};
use once_cell::race::OnceBox;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// How many texts are tokenized as one job.
const TOKENIZED: usize = 64;

/// A loaded model. Any number of threads may use it at once.
pub struct Model {
    name: String,
    tokenizer: Tokenizer,
    engine: Engine,
    cache: TextCache,
    folder: Arc<Folder>,
    fingerprint: OnceBox<String>,
    /// How many tokens the prompt for documents has.
    prompt_tokens: usize,
    /// How many tokens at the beginning do not count in a mean.
    left_out: LeftOutTokens,
}

/// How many tokens at the beginning of a text do not count, because they are those of a prompt.
#[derive(Default)]
struct LeftOutTokens {
    query: usize,
    document: usize,
}

impl Model {
    /// Loads the model in this folder and tests it.
    pub(super) fn load(name: &str, folder: &Path) -> Result<Self> {
        Self::read(name, folder).map_err(|error| error.within(format_args!("model {name}")))
    }

    fn read(name: &str, path: &Path) -> Result<Self> {
        let folder = Arc::new(Folder::open(path)?);
        let tokenizer = Tokenizer::load(folder.tokenizer(), &folder.settings)?;
        let prompt_tokens = prompt_tokens(&tokenizer, &folder.settings.prompts)?;
        let left_out = left_out(&tokenizer, &folder.settings)?;
        let engine = Engine::load(&folder, &tokenizer)?;
        Ok(Self {
            name: name.to_owned(),
            tokenizer,
            cache: TextCache::new(engine.dimensions()),
            engine,
            folder,
            fingerprint: OnceBox::new(),
            prompt_tokens,
            left_out,
        })
    }

    /// The name that it was found by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The length of its vectors.
    pub fn dimensions(&self) -> usize {
        self.engine.dimensions()
    }

    /// The most tokens of a text that it reads, special ones included.
    pub fn max_tokens(&self) -> usize {
        self.folder.settings.max_tokens
    }

    /// What it runs on.
    pub fn kind(&self) -> Kind {
        self.folder.settings.kind
    }

    /// What its cache of recent texts holds now, and what it has done since the last call.
    pub fn take_counters(&self) -> Counters {
        self.cache.take_counters()
    }

    /// SHA-256, in hexadecimal, of everything that decides its vectors: model, tokenizer and settings. The first call
    /// reads the files again, and fails if they are not those that were loaded.
    pub fn fingerprint(&self) -> Result<&str> {
        match self.fingerprint.get() {
            Some(fingerprint) => Ok(fingerprint),
            None => {
                let fingerprint = self.folder.fingerprint()?;
                Ok(self.fingerprint.get_or_init(|| Box::new(fingerprint)))
            }
        }
    }

    /// What its folder said when it was loaded.
    pub(super) fn settings(&self) -> &Settings {
        &self.folder.settings
    }

    /// What it wants in front of texts. The functions below put it there.
    pub fn prompts(&self) -> &Prompts {
        &self.folder.settings.prompts
    }

    /// The vector of a document, with length 1. Text beyond the limit of the model is ignored. There will be at most
    /// `threads` sessions.
    pub fn embed(&self, text: &str, threads: usize) -> Result<Arc<[f32]>> {
        self.embed_prompted(&prompted(&self.prompts().document, text)?, self.left_out.document, threads)
    }

    /// The same of a question.
    pub fn embed_query(&self, text: &str, threads: usize) -> Result<Arc<[f32]>> {
        self.embed_prompted(&prompted(&self.prompts().query, text)?, self.left_out.query, threads)
    }

    fn embed_prompted(&self, text: &str, left_out: usize, threads: usize) -> Result<Arc<[f32]>> {
        let key = cache::key(text, left_out);
        if let Some(vector) = self.cache.get(&key) {
            return Ok(vector);
        }
        let ids = self.tokenizer.encode(text)?;
        let vector = self.engine.run(threads, &[&ids], left_out)?.swap_remove(0);
        self.cache.put(key, Arc::clone(&vector));
        Ok(vector)
    }

    /// The vectors of many documents, with length 1, computed by this thread and at most `threads - 1` others.
    ///
    /// Between batches, `proceed` is called on this thread with the number of texts that are done. If it returns an
    /// error, the work stops.
    pub fn embed_batch(
        &self,
        texts: &[&str],
        threads: usize,
        proceed: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Arc<[f32]>>> {
        let texts = texts.iter().map(|text| prompted(&self.prompts().document, text)).collect::<Result<Vec<_>>>()?;
        let left_out = self.left_out.document;
        let keys = texts.iter().map(|text| cache::key(text, left_out)).collect::<Vec<_>>();
        let mut vectors = keys.iter().map(|key| self.cache.get(key)).collect::<Vec<_>>();
        // The first of each text that has no vector yet, in order. Other texts in a batch can change the last bit of a
        // vector; with a fixed order they change the same bit in every run.
        let mut met = HashSet::new();
        let missing = (0..texts.len()).filter(|&at| vectors[at].is_none() && met.insert(keys[at])).collect::<Vec<_>>();
        let known = texts.len() - missing.len();

        let ids = self.tokenize(&texts, &missing, threads, &mut |_| proceed(known))?;
        let batches = self.batches(&ids);
        let sizes = batches.iter().map(Vec::len).collect::<Vec<_>>();
        let run = |number: usize| {
            let rows = batches[number].iter().map(|&at| ids[at].as_slice()).collect::<Vec<_>>();
            self.engine.run(threads, &rows, left_out)
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

    /// How many tokens of a document the model reads: never more than its limit, those of the prompt and special ones
    /// included.
    pub fn count_tokens(&self, text: &str) -> Result<usize> {
        Ok(self.tokenizer.encode(&prompted(&self.prompts().document, text)?)?.len())
    }

    /// The text in chunks of at most `max_tokens` tokens, or of as many as the model has room for behind the prompt for
    /// documents. Special tokens are not counted. Each chunk repeats at most `overlap` tokens of the one before. `proceed` is called every few
    /// milliseconds, and stops the work by an error.
    pub fn chunks<'t>(
        &self,
        text: &'t str,
        max_tokens: Option<usize>,
        overlap: usize,
        proceed: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<Chunk<'t>>> {
        let room = self.tokenizer.room() - self.prompt_tokens;
        let most = max_tokens.unwrap_or(room);
        if !(1..=room).contains(&most) {
            return Err(Error::expected(format_args!("max_tokens from 1 to {room}"), most));
        }
        if overlap >= most {
            return Err(Error::expected(format_args!("overlap from 0 to {}", most - 1), overlap));
        }
        let starts = self.tokenizer.starts(text, proceed)?;
        chunk::chunks(text, &starts, most, overlap, &|part| self.tokenizer.count(part, proceed))
    }

    fn tokenize(
        &self,
        texts: &[Cow<'_, str>],
        chosen: &[usize],
        threads: usize,
        proceed: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Vec<u32>>> {
        let groups = chosen.chunks(TOKENIZED).collect::<Vec<_>>();
        let encode = |group: usize| {
            groups[group].iter().map(|&at| self.tokenizer.encode(&texts[at])).collect::<Result<Vec<_>>>()
        };
        Ok(share(groups.len(), threads, encode, proceed)?.into_iter().flatten().collect())
    }

    /// Texts of similar length come together. The longest come first, so that no thread begins a long one at the end.
    fn batches(&self, ids: &[Vec<u32>]) -> Vec<Vec<usize>> {
        let mut order = (0..ids.len()).collect::<Vec<_>>();
        order.sort_by_key(|&at| Reverse(ids[at].len()));
        let limits = self.engine.limits();
        let mut batches = Vec::new();
        let mut rest = order.as_slice();
        while let Some(&longest) = rest.first() {
            let size = (limits.tokens / ids[longest].len()).clamp(1, limits.texts).min(rest.len());
            batches.push(rest[..size].to_vec());
            rest = &rest[size..];
        }
        batches
    }
}

fn left_out(tokenizer: &Tokenizer, settings: &Settings) -> Result<LeftOutTokens> {
    if settings.pooling.as_ref().is_ok_and(|steps| !steps.counts_prompt) {
        let [query, document] = [&settings.prompts.query, &settings.prompts.document];
        return Ok(LeftOutTokens {
            query: tokenizer.prompt_length(query)?,
            document: tokenizer.prompt_length(document)?,
        });
    }
    Ok(LeftOutTokens::default())
}

/// How many tokens the prompt for documents has. An error if a prompt leaves no room for a text: all texts would have
/// one vector.
fn prompt_tokens(tokenizer: &Tokenizer, prompts: &Prompts) -> Result<usize> {
    let room = tokenizer.room();
    for (name, prompt) in [("query", &prompts.query), ("document", &prompts.document)] {
        let tokens = tokenizer.count(prompt, &|| Ok(()))?;
        if tokens >= room {
            let wanted = format_args!("a prompt for {name} of less than {room} tokens in {}", prompts::FILE);
            return Err(Error::expected(wanted, tokens));
        }
    }
    tokenizer.count(&prompts.document, &|| Ok(()))
}
