//! The settings of this process. SQL reads and sets them by name. None of them is a path.

use super::machine;
use crate::error::{Error, Result};
use once_cell::race::{OnceBool, OnceNonZeroUsize};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One setting: its name in SQL, its lowest and highest value, and its present value.
pub struct Setting {
    /// The name in SQL.
    pub name: &'static str,
    least: u64,
    greatest: u64,
    default: DefaultValue,
    value: AtomicU64,
}

/// The value of a setting that nobody has set.
enum DefaultValue {
    Fixed(u64),
    /// It depends on the machine.
    OfMachine(fn() -> u64),
}

/// Stands for the default. No setting can be set to so much.
const UNSET: u64 = u64::MAX;

impl Setting {
    const fn new(name: &'static str, least: u64, greatest: u64, default: DefaultValue) -> Self {
        Self { name, least, greatest, default, value: AtomicU64::new(UNSET) }
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        match (self.value.load(Ordering::Relaxed), &self.default) {
            (UNSET, DefaultValue::Fixed(value)) => *value,
            (UNSET, DefaultValue::OfMachine(value)) => value(),
            (value, _) => value,
        }
    }

    /// Sets the value. An error if the settings are locked, or if the value is out of range.
    pub fn set(&self, value: u64) -> Result<()> {
        if is_locked() {
            return Err(Error::Mistake(format!("FAFCAS_LOCK_CONFIG=1 keeps {} as it is", self.name)));
        }
        if !(self.least..=self.greatest).contains(&value) {
            let range = format!("{} from {} to {}", self.name, self.least, self.greatest);
            return Err(Error::expected(range, value));
        }
        self.value.store(value, Ordering::Relaxed);
        Ok(())
    }
}

fn is_locked() -> bool {
    static LOCKED: OnceBool = OnceBool::new();
    LOCKED.get_or_init(|| is_on("FAFCAS_LOCK_CONFIG"))
}

/// Whether views and triggers that a database file stores may search: with the table functions that take the name of a table,
/// a file could otherwise read what SQLite keeps from it, such as other attached databases. TEMP views and triggers always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaSearch {
    /// They are refused, as by SQLite's own table functions of this kind.
    Refused,
    /// The host trusts every file that it opens.
    Allowed,
}

/// Lets views and triggers that a database file stores search, on connections that this process opens from now on. The same
/// as `FAFCAS_SCHEMA_SEARCH=1` in the environment. It is only for programs that trust every file they open.
pub fn allow_schema_search() {
    SCHEMA_SEARCH.store(true, Ordering::Relaxed);
}

/// What this process allows.
pub fn schema_search() -> SchemaSearch {
    if NAMED_SCHEMA_SEARCH.get_or_init(|| is_on("FAFCAS_SCHEMA_SEARCH")) || SCHEMA_SEARCH.load(Ordering::Relaxed) {
        SchemaSearch::Allowed
    } else {
        SchemaSearch::Refused
    }
}

static SCHEMA_SEARCH: AtomicBool = AtomicBool::new(false);
static NAMED_SCHEMA_SEARCH: OnceBool = OnceBool::new();

/// Whether the names that sqlite-vec has too are registered. `FAFCAS_VEC_NAMES=0` in the environment leaves them to sqlite-vec.
pub fn has_shared_names() -> bool {
    static LEFT: OnceBool = OnceBool::new();
    !LEFT.get_or_init(|| std::env::var_os("FAFCAS_VEC_NAMES").is_some_and(|value| value == "0"))
}

/// Whether a variable of the environment is 1.
pub(super) fn is_on(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "1")
}

/// How many threads search an index; 0 means one for each core.
pub static THREADS: Setting = Setting::new("threads", 0, 1024, DefaultValue::Fixed(0));
/// How many sessions embed in bulk at the same time.
pub static EMBED_THREADS: Setting = Setting::new("embed_threads", 1, 1024, DefaultValue::Fixed(1));
/// How many bytes of index blocks are kept in memory.
pub static CACHE_BYTES: Setting =
    Setting::new("cache_bytes", 0, i64::MAX as u64, DefaultValue::OfMachine(machine::share));
/// A search that takes longer than so many milliseconds is written to SQLite's error log; 0 means that none is.
pub static SLOW_MS: Setting = Setting::new("slow_ms", 0, i64::MAX as u64, DefaultValue::Fixed(0));

/// How many of the last searches `vec_trace` keeps; 0 means that none are traced. An entry takes up to 2 KB.
pub static TRACE: Setting = Setting::new("trace", 0, 10_000, DefaultValue::Fixed(0));

/// All settings.
pub static ALL: [&Setting; 5] = [&THREADS, &EMBED_THREADS, &CACHE_BYTES, &SLOW_MS, &TRACE];

/// The setting of this name.
pub fn find(name: &str) -> Result<&'static Setting> {
    let known = || ALL.map(|setting| setting.name).join(", ");
    let found = ALL.into_iter().find(|setting| setting.name == name);
    found.ok_or_else(|| Error::expected(format_args!("one of {}", known()), crate::vector::shown(name)))
}

/// How many bytes all that is kept of indexes may take: codes, changed rows and answers.
pub fn cache_bytes() -> usize {
    usize::try_from(CACHE_BYTES.get()).unwrap_or(usize::MAX)
}

/// How many threads search an index.
pub fn threads() -> usize {
    match THREADS.get() as usize {
        0 => cores(),
        count => count,
    }
}

/// Read only once: to answer, the system reads files, which takes longer than a tenth of a search.
fn cores() -> usize {
    static CORES: OnceNonZeroUsize = OnceNonZeroUsize::new();
    CORES.get_or_init(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)).get()
}
