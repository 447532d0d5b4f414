//! An index as one transaction sees it: header, directory, and the space of its codes.

use super::block::{Codes, Fine};
use super::format::{BlockEntry, Directory, HEADER, Header, format_of, is_readable, is_unfinished};
use super::memory::{CACHE, CacheKey, CacheValue, Contents, most_cached, supersede};
use super::store::Store;
use crate::codec::Space;
use crate::error::Result;
use crate::resources::cache::Account;
use crate::vector::ElementType;
use std::sync::Arc;

/// What a store holds.
pub enum Opened {
    /// No index.
    Absent,
    /// An index whose blocks were being written when a merge or a build was stopped.
    Unfinished,
    /// An index of a format that this code does not know.
    Future(u16),
    /// An index.
    Index(Index),
}

/// An index in one state. It is valid as long as the transaction in which it was opened, and for the same store.
#[derive(Clone)]
pub struct Index {
    scope: u64,
    /// Counts the bytes that are in memory for it.
    account: Arc<Account>,
    /// The header.
    pub header: Header,
    contents: Arc<Contents>,
}

/// Looks at what the store holds. `scope` is a number for the database file and the index in it. The bytes that are in memory
/// for the index are counted in `account`.
pub fn open<S: Store>(store: &mut S, scope: u64, account: &Arc<Account>) -> Result<Opened> {
    read_index(store, scope, account, |store, header| {
        let key = CacheKey { scope, token: header.generation, fine: false };
        if let Some(CacheValue::Contents(contents)) = CACHE.get().get(&key, account) {
            return Ok(contents);
        }
        let contents = Arc::new(Contents::read(store, header)?);
        supersede(scope, header.generation, &contents.directory);
        CACHE.get().offer(key, CacheValue::Contents(contents.clone()), contents.size(), most_cached(), account);
        Ok(contents)
    })
}

/// The same without the cache: everything is read from the store, and nothing stays in memory.
pub fn open_uncached<S: Store>(store: &mut S) -> Result<Opened> {
    read_index(store, 0, &Arc::default(), |store, header| Contents::read(store, header).map(Arc::new))
}

/// The type of the rows of the index that a store holds; `None` if that is not known.
pub fn elements<S: Store>(store: &mut S) -> Result<Option<ElementType>> {
    Ok(store.read(HEADER, |blob| Ok(Header::element_in(blob)))?.flatten())
}

fn read_index<S: Store>(
    store: &mut S,
    scope: u64,
    account: &Arc<Account>,
    contents: impl FnOnce(&mut S, &Header) -> Result<Arc<Contents>>,
) -> Result<Opened> {
    let header = store.read(HEADER, |blob| match format_of(blob) {
        Some(format) if !is_readable(format) => Ok(Err(format)),
        _ => Header::decode(blob).map(Ok),
    })?;
    match header {
        None => Ok(Opened::Absent),
        Some(Err(format)) if is_unfinished(format) => Ok(Opened::Unfinished),
        Some(Err(format)) => Ok(Opened::Future(format)),
        Some(Ok(header)) => {
            let contents = contents(store, &header)?;
            Ok(Opened::Index(Index { scope, account: account.clone(), header, contents }))
        }
    }
}

/// The codes of a block, and whether they stay in memory.
pub(super) enum Resident {
    /// The cache has them.
    Kept(Arc<Codes>),
    /// They were read from the store, and the cache has no room for them.
    Passing(Codes),
}

impl Resident {
    fn get(&self) -> &Codes {
        match self {
            Self::Kept(codes) => codes,
            Self::Passing(codes) => codes,
        }
    }
}

impl Index {
    /// An index that was just written.
    pub(super) fn new(scope: u64, header: Header, directory: Directory, space: Arc<Space>) -> Self {
        let contents = Arc::new(Contents::new(directory, space));
        Self { scope, account: Arc::default(), header, contents }
    }

    pub(super) fn scope(&self) -> u64 {
        self.scope
    }

    /// Counts the bytes that are in memory for it.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Bytes of memory that it takes if the budget has room for all of it.
    pub fn whole_bytes(&self) -> usize {
        self.contents.whole
    }

    /// The space of its codes.
    pub fn space(&self) -> &Arc<Space> {
        &self.contents.space
    }

    /// Its directory.
    pub fn directory(&self) -> &Directory {
        &self.contents.directory
    }

    /// Its blocks with their numbers.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u32, &BlockEntry)> {
        (1..).zip(&self.directory().blocks)
    }

    fn entry(&self, block: u32) -> Option<&BlockEntry> {
        self.directory().blocks.get((block as usize).checked_sub(1)?)
    }

    fn key(&self, entry: &BlockEntry, fine: bool) -> CacheKey {
        CacheKey { scope: self.scope, token: entry.token, fine }
    }

    /// Begins a search: shows the codes of every block to `with`. The blocks that the cache has come first.
    pub(super) fn each_codes<S: Store>(
        &self,
        store: &mut S,
        mut with: impl FnMut(u32, Resident) -> Result<()>,
    ) -> Result<()> {
        let cache = CACHE.get();
        cache.begin();
        let cached = cache.get_all(self.directory().blocks.iter().map(|entry| self.key(entry, false)), &self.account);
        let mut absent = Vec::new();
        for ((block, entry), cached) in self.blocks().zip(cached) {
            match cached {
                Some(CacheValue::Codes(codes)) => with(block, Resident::Kept(codes))?,
                _ => absent.push((block, *entry)),
            }
        }
        for (block, entry) in absent {
            let codes = Codes::read(store, self.header.dimensions, block, &entry)?;
            with(block, self.keep(&entry, codes))?;
        }
        Ok(())
    }

    /// Reads what memory has room for: 1-bit codes, which every search needs, and then 4-bit codes. `check` is asked now and
    /// then whether to go on.
    pub fn warm<S: Store>(&self, store: &mut S, mut check: impl FnMut() -> Result<()>) -> Result<()> {
        self.each_codes(store, |_, _| check())?;
        for (block, _) in self.blocks() {
            check()?;
            if self.cached_fine(block).is_none() && self.load_fine(store, block)?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A sample of the rows with codes, without those for which `hidden` is true: about `most` of them, spread evenly, and at
    /// the end the one with the greatest rowid. Each comes with the fingerprint of its vector.
    pub fn sample<S: Store>(
        &self,
        store: &mut S,
        most: usize,
        hidden: impl Fn(i64) -> bool,
    ) -> Result<Vec<(i64, u32)>> {
        let stride = (self.header.rows as usize / most.max(1)).max(1);
        let (mut sample, mut last, mut met) = (Vec::new(), None, 0);
        self.each_codes(store, |_, codes| {
            let codes = codes.get();
            for row in codes.rows().filter(|row| !hidden(row.rowid)) {
                let known = (row.rowid, row.fingerprint);
                last = last.max(Some(known));
                if met % stride == 0 {
                    sample.push(known);
                }
                met += 1;
            }
            Ok(())
        })?;
        sample.extend(last);
        Ok(sample)
    }

    /// About how many rows with codes are in a range of rowids. The estimate may be too high, but hardly too low.
    pub fn rows_between<S: Store>(&self, store: &mut S, low: i64, high: i64) -> Result<u64> {
        let spread = match self.contents.spread.get() {
            Some(spread) => spread,
            None => {
                let spread = self.read_spread(store)?;
                self.contents.spread.get_or_init(|| spread)
            }
        };
        let met =
            spread.partition_point(|rowid| *rowid <= high).saturating_sub(spread.partition_point(|rowid| *rowid < low));
        let rows = self.header.rows;
        let estimate = (met as u64 + 1).saturating_mul(rows) / (spread.len() as u64 + 1);
        let room = u64::try_from(i128::from(high) - i128::from(low) + 1).unwrap_or(u64::MAX);
        Ok(estimate.min(rows).min(room))
    }

    fn read_spread<S: Store>(&self, store: &mut S) -> Result<Vec<i64>> {
        const SAMPLE: usize = 1024;
        let slots: usize = self.directory().blocks.iter().map(|entry| entry.slots as usize).sum();
        let stride = (slots / SAMPLE).max(1);
        let mut spread = Vec::new();
        self.each_codes(store, |_, codes| {
            let codes = codes.get();
            spread
                .extend((0..codes.slots()).step_by(stride).filter_map(|slot| codes.slot(slot)).map(|slot| slot.rowid));
            Ok(())
        })?;
        spread.sort_unstable();
        Ok(spread)
    }

    fn keep(&self, entry: &BlockEntry, codes: Codes) -> Resident {
        let (cache, size, key) = (CACHE.get(), codes.size(), self.key(entry, false));
        if !cache.has_room(&key, size, most_cached()) {
            return Resident::Passing(codes);
        }
        let codes = Arc::new(codes);
        cache.offer(key, CacheValue::Codes(codes.clone()), size, most_cached(), &self.account);
        Resident::Kept(codes)
    }

    /// Begins a search that asks for blocks one by one.
    pub(super) fn begin(&self) {
        CACHE.get().begin();
    }

    /// Both kinds of codes of a block, and whether they stay in memory.
    pub(super) fn both<S: Store>(
        &self,
        store: &mut S,
        block: u32,
        entry: &BlockEntry,
    ) -> Result<(Arc<Codes>, Arc<Fine>, bool)> {
        let dimensions = self.header.dimensions;
        let (codes, codes_stay) = match CACHE.get().get(&self.key(entry, false), &self.account) {
            Some(CacheValue::Codes(codes)) => (codes, true),
            _ => match self.keep(entry, Codes::read(store, dimensions, block, entry)?) {
                Resident::Kept(codes) => (codes, true),
                Resident::Passing(codes) => (Arc::new(codes), false),
            },
        };
        let known = match self.cached_fine(block) {
            None => self.load_fine(store, block)?,
            known => known,
        };
        match known {
            Some(fine) => Ok((codes, fine, codes_stay)),
            None => Ok((codes, Arc::new(Fine::read(store, dimensions, block, entry)?), false)),
        }
    }

    /// The fine codes of a block if the cache has them.
    pub(super) fn cached_fine(&self, block: u32) -> Option<Arc<Fine>> {
        match CACHE.get().get(&self.key(self.entry(block)?, true), &self.account)? {
            CacheValue::Fine(fine) => Some(fine),
            _ => None,
        }
    }

    /// Reads the fine codes of a block, if the cache will keep them.
    pub(super) fn load_fine<S: Store>(&self, store: &mut S, block: u32) -> Result<Option<Arc<Fine>>> {
        let Some(entry) = self.entry(block) else { return Ok(None) };
        let size = Fine::size_of(self.header.dimensions, entry.slots as usize);
        if !CACHE.get().has_room(&self.key(entry, true), size, most_cached()) {
            return Ok(None);
        }
        let fine = Arc::new(Fine::read(store, self.header.dimensions, block, entry)?);
        CACHE.get().offer(self.key(entry, true), CacheValue::Fine(fine.clone()), size, most_cached(), &self.account);
        Ok(Some(fine))
    }
}
