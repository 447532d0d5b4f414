//! What this process keeps in memory for all indexes: directories and codes, under the tokens of their BLOBs. One budget is
//! for everything.

use super::block::{Codes, Fine, read};
use super::format::{BlobKind, Directory, Header, Label, Token};
use super::store::Store;
use crate::codec::Space;
use crate::error::Result;
use crate::lock::lock;
use crate::resources::cache::{Cache, CacheCounts, Key};
use crate::resources::config::cache_bytes;
use crate::resources::per_process::PerProcess;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// What goes with a header.
pub struct Contents {
    pub directory: Directory,
    pub space: Arc<Space>,
    /// Bytes of memory that it takes with the codes of all blocks.
    pub whole: usize,
    /// Some of the rowids, in ascending order. Read when somebody first asks how they are spread.
    pub spread: OnceLock<Vec<i64>>,
}

/// The key of a value in the cache. Tokens alone should be enough. The scope, a number for the database file and the index, is
/// there for copies of a database: they have the same tokens, and the same content unless one of them is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey {
    pub scope: u64,
    pub token: Token,
    pub fine: bool,
}

/// 4-bit codes are of use beside the 1-bit codes of their block: a search looks at all of these, and at few of those.
impl Key for CacheKey {
    fn leader(&self) -> Option<Self> {
        self.fine.then_some(Self { fine: false, ..*self })
    }
}

/// A value in the cache.
#[derive(Clone)]
pub enum CacheValue {
    Contents(Arc<Contents>),
    Codes(Arc<Codes>),
    Fine(Arc<Fine>),
}

/// The memory of all indexes.
pub static CACHE: PerProcess<Cache<CacheKey, CacheValue>> = PerProcess::new(Cache::default);

/// The states of indexes that were opened last, by scope and generation.
static OPENED: PerProcess<Mutex<VecDeque<(u64, Token)>>> = PerProcess::new(Mutex::default);
/// How many states are remembered. If one that was forgotten is opened again, blocks are read again that need not be.
const REMEMBERED: usize = 256;

/// Drops the blocks of earlier states of an index, when a state is opened that this process has not seen. A reader of an old
/// snapshot reads them again, once: the state that it opens is not new, so nothing is dropped for it.
pub fn supersede(scope: u64, generation: Token, directory: &Directory) {
    let mut opened = lock(OPENED.get());
    if opened.contains(&(scope, generation)) {
        return;
    }
    opened.truncate(REMEMBERED - 1);
    opened.push_front((scope, generation));
    drop(opened);
    let present: HashSet<Token> = directory.blocks.iter().map(|entry| entry.token).collect();
    CACHE.get().remove(|key| key.scope == scope && !present.contains(&key.token));
}

/// Bytes of the budget that are used outside the cache.
#[derive(Default)]
struct Elsewhere {
    changed_rows: AtomicUsize,
    answers: AtomicUsize,
}

static ELSEWHERE: PerProcess<Elsewhere> = PerProcess::new(Elsewhere::default);

impl Elsewhere {
    fn bytes(&self) -> usize {
        self.changed_rows.load(Ordering::Relaxed) + self.answers.load(Ordering::Relaxed)
    }
}

/// Says how many bytes the codes of changed rows take. They are kept elsewhere, and count as well.
pub fn set_aside(bytes: usize) {
    ELSEWHERE.get().changed_rows.store(bytes, Ordering::Relaxed);
}

/// The same for answers.
pub fn set_aside_for_answers(bytes: usize) {
    ELSEWHERE.get().answers.store(bytes, Ordering::Relaxed);
}

/// Bytes that values in the cache may take: what changed rows and answers leave of the setting.
pub fn most_cached() -> usize {
    cache_bytes().saturating_sub(ELSEWHERE.get().bytes())
}

/// Drops what a smaller setting has no room for.
pub fn settle() {
    CACHE.get().trim(most_cached());
}

/// How many bytes are kept, and how often they were useful.
pub fn counts() -> CacheCounts {
    let counts = CACHE.get().counts();
    CacheCounts { bytes: counts.bytes + ELSEWHERE.get().bytes(), ..counts }
}

impl Contents {
    /// Reads and checks it from a store.
    pub fn read<S: Store>(store: &mut S, header: &Header) -> Result<Self> {
        let label = Label { kind: BlobKind::Directory, block: 0, token: header.generation };
        let directory = read(store, label, |blob| Directory::decode(header, blob))?;
        let space = Arc::new(Space::new(directory.centre.clone(), header.seed));
        Ok(Self::new(directory, space))
    }

    /// A directory with its space.
    pub fn new(directory: Directory, space: Arc<Space>) -> Self {
        let dimensions = directory.centre.len();
        let block = |slots: u32| Codes::size_of(dimensions, slots as usize) + Fine::size_of(dimensions, slots as usize);
        let blocks: usize = directory.blocks.iter().map(|entry| block(entry.slots)).sum();
        let contents = Self { directory, space, whole: 0, spread: OnceLock::new() };
        Self { whole: contents.size() + blocks, ..contents }
    }

    /// Bytes of memory, about.
    pub fn size(&self) -> usize {
        // The centre, twice, and the signs of the rounds of the rotation.
        6 * size_of_val(self.directory.centre.as_slice())
            + size_of_val(self.directory.blocks.as_slice())
            + size_of_val(self.directory.strays.as_slice())
    }
}
