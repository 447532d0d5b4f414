//! A file system and an allocator for SQLite that fail when they are told to.
//!
//! What fails is set for a thread, and only calls of that thread fail. `install` must run before SQLite is used for the first
//! time, so that every connection of this program is opened by `fixture`.

#![allow(clippy::unwrap_used, unsafe_code)]

use rusqlite::ffi;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::ptr::{null, null_mut};
use std::sync::{Once, OnceLock};

/// The name of the file system.
pub const NAME: &CStr = c"faulty";

/// What is counted until one of it fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Read,
    Write,
    Sync,
    Open,
    Delete,
    Lock,
    Allocation,
}

/// What becomes of the call that fails, and of those after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// It gives this code.
    Once(c_int),
    /// It gives this code, and so do all of its kind from then on.
    Lasting(c_int),
    /// The machine loses power: nothing is read or written any more. Counts writes, syncs and deletes.
    Power,
    /// The process says so on standard output and waits to be killed. Counts writes, syncs and deletes.
    Kill,
}

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub kind: Kind,
    pub manner: Manner,
    /// The first is 1.
    pub at: u32,
}

thread_local! {
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static IS_MET: Cell<bool> = const { Cell::new(false) };
    /// For each file what was written to it since it was last synced.
    static UNSYNCED: RefCell<HashMap<String, Vec<Unsynced>>> = RefCell::default();
}

/// What a write has replaced.
struct Unsynced {
    offset: u64,
    before: Vec<u8>,
    size_before: u64,
}

/// Runs `work` with a fault; gives its result, and whether the fault was met. Without power nothing works on this thread
/// until `power_returns`.
pub fn with_fault<T>(fault: Fault, work: impl FnOnce() -> T) -> (T, bool) {
    COUNT.set(0);
    IS_MET.set(false);
    FAULT.set(Some(fault));
    let result = work();
    if fault.manner != Manner::Power || !IS_MET.get() {
        FAULT.set(None);
    }
    (result, IS_MET.get())
}

/// How many of a kind `work` does.
pub fn count(kind: Kind, manner: Manner, work: impl FnOnce()) -> u32 {
    with_fault(Fault { kind, manner, at: u32::MAX }, work);
    COUNT.get()
}

/// Of what was not synced, a part is lost: in each file all writes after the one that `keep` chooses.
pub fn power_returns(mut keep: impl FnMut(usize) -> usize) {
    FAULT.set(None);
    for (path, writes) in UNSYNCED.take() {
        let Ok(file) = std::fs::OpenOptions::new().write(true).open(&path) else { continue };
        for lost in writes[keep(writes.len() + 1)..].iter().rev() {
            file.set_len(lost.size_before).unwrap();
            file.write_all_at(&lost.before, lost.offset).unwrap();
        }
    }
}

fn is_counted(fault: Fault, kind: Kind) -> bool {
    match fault.manner {
        Manner::Power | Manner::Kill => matches!(kind, Kind::Write | Kind::Sync | Kind::Delete),
        Manner::Once(_) | Manner::Lasting(_) => kind == fault.kind,
    }
}

/// The code that a call of this kind is to fail with.
fn failure(kind: Kind) -> Option<c_int> {
    let fault = FAULT.try_with(Cell::get).ok().flatten()?;
    if IS_MET.get() {
        return match fault.manner {
            Manner::Lasting(code) if fault.kind == kind => Some(code),
            Manner::Power if kind != Kind::Allocation && kind != Kind::Lock => Some(ffi::SQLITE_IOERR),
            _ => None,
        };
    }
    if !is_counted(fault, kind) {
        return None;
    }
    COUNT.set(COUNT.get() + 1);
    if COUNT.get() != fault.at {
        return None;
    }
    IS_MET.set(true);
    match fault.manner {
        Manner::Once(code) | Manner::Lasting(code) => Some(code),
        Manner::Power => Some(ffi::SQLITE_IOERR),
        Manner::Kill => wait_to_be_killed(),
    }
}

/// What the parent waits for.
pub const HERE: &str = "the process can be killed here";

fn wait_to_be_killed() -> ! {
    let mut output = std::io::stdout();
    writeln!(output, "{HERE}").and_then(|()| output.flush()).unwrap();
    // Nothing is ever sent.
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(1);
}

/// Puts both into SQLite.
pub fn install() {
    static INSTALLED: Once = Once::new();
    // SAFETY: SQLite has not been used yet, as the page of this module demands.
    INSTALLED.call_once(|| unsafe {
        let mut system: ffi::sqlite3_mem_methods = std::mem::zeroed();
        assert_eq!(ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut system), ffi::SQLITE_OK);
        let ours = ffi::sqlite3_mem_methods { xMalloc: Some(malloc), xRealloc: Some(realloc), ..system };
        SYSTEM.set(Methods(system)).ok().unwrap();
        assert_eq!(ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const ours), ffi::SQLITE_OK);
        // What comes from lookaside memory could not fail.
        assert_eq!(ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, 0 as c_int, 0 as c_int), ffi::SQLITE_OK);
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
        register();
    });
}

struct Methods(ffi::sqlite3_mem_methods);
static SYSTEM: OnceLock<Methods> = OnceLock::new();
// SAFETY: these are functions that any thread may call; the pointer beside them is not used.
unsafe impl Send for Methods {}
// SAFETY: as above.
unsafe impl Sync for Methods {}

unsafe extern "C" fn malloc(size: c_int) -> *mut c_void {
    let system = SYSTEM.get().and_then(|methods| methods.0.xMalloc);
    match (failure(Kind::Allocation), system) {
        // SAFETY: as the caller promises.
        (None, Some(malloc)) => unsafe { malloc(size) },
        _ => null_mut(),
    }
}

unsafe extern "C" fn realloc(pointer: *mut c_void, size: c_int) -> *mut c_void {
    let system = SYSTEM.get().and_then(|methods| methods.0.xRealloc);
    match (failure(Kind::Allocation), system) {
        // SAFETY: as the caller promises.
        (None, Some(realloc)) => unsafe { realloc(pointer, size) },
        _ => null_mut(),
    }
}

/// A file; that of the system lies right behind it in memory.
#[repr(C)]
struct File {
    methods: *const ffi::sqlite3_io_methods,
    /// None for a temporary file.
    path: *mut String,
}

/// # Safety
/// `file` is one that `open` has filled.
unsafe fn system_file(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite has allocated `szOsFile` bytes.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls the system's method of this name.
macro_rules! system {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let file = system_file($file);
        match (*(*file).pMethods).$method {
            Some(method) => method(file $(, $argument)*),
            None => ffi::SQLITE_IOERR,
        }
    }};
}

/// A method that only passes on.
macro_rules! passed {
    ($name:ident, $method:ident $(, $argument:ident: $type:ty)*) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $type)*) -> c_int {
            // SAFETY: as SQLite promises.
            unsafe { system!(file, $method $(, $argument)*) }
        }
    };
}

passed!(file_size, xFileSize, size: *mut i64);
passed!(unlock, xUnlock, level: c_int);
passed!(is_reserved, xCheckReservedLock, answer: *mut c_int);
passed!(control, xFileControl, what: c_int, argument: *mut c_void);
passed!(sector_size, xSectorSize);
passed!(characteristics, xDeviceCharacteristics);
passed!(shm_map, xShmMap, region: c_int, size: c_int, extend: c_int, memory: *mut *mut c_void);
passed!(shm_lock, xShmLock, offset: c_int, count: c_int, flags: c_int);
passed!(shm_unmap, xShmUnmap, delete: c_int);

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: as SQLite promises.
    unsafe {
        let file = system_file(file);
        if let Some(barrier) = (*(*file).pMethods).xShmBarrier {
            barrier(file);
        }
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: as SQLite promises.
    failure(Kind::Lock).unwrap_or_else(|| unsafe { system!(file, xLock, level) })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as SQLite promises; the path is that of `open`, and is given back once.
    unsafe {
        let path = (*file.cast::<File>()).path;
        if !path.is_null() {
            drop(Box::from_raw(path));
        }
        system!(file, xClose)
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, size: c_int, offset: i64) -> c_int {
    // SAFETY: as SQLite promises.
    failure(Kind::Read).unwrap_or_else(|| unsafe { system!(file, xRead, to, size, offset) })
}

/// Half of a write that fails is done.
unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, size: c_int, offset: i64) -> c_int {
    let was_met = IS_MET.get();
    let failed = failure(Kind::Write);
    let part = match failed {
        None => size,
        Some(code) if was_met => return code,
        Some(_) => size / 2,
    };
    // SAFETY: as SQLite promises, of which this is all or the half.
    let done = unsafe {
        remember(file, offset, part);
        system!(file, xWrite, from, part, offset)
    };
    failed.unwrap_or(done)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    if failure(Kind::Write).is_some() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    // SAFETY: as SQLite promises.
    unsafe {
        let mut now = 0;
        system!(file, xFileSize, &raw mut now);
        remember(file, size, c_int::try_from(now - size).unwrap_or(0));
        system!(file, xTruncate, size)
    }
}

/// Keeps what is about to be overwritten, where the power is going to fail.
///
/// # Safety
/// `file` is open.
unsafe fn remember(file: *mut ffi::sqlite3_file, offset: i64, size: c_int) {
    let is_needed = FAULT.get().is_some_and(|fault| fault.manner == Manner::Power);
    // SAFETY: the path is that of `open`.
    let Some(path) = (unsafe { (*file.cast::<File>()).path.as_ref() }) else { return };
    if !is_needed {
        return;
    }
    let mut now = 0;
    // SAFETY: the file is open, and the bytes to read are as many as the vector has.
    let before = unsafe {
        system!(file, xFileSize, &raw mut now);
        let there = (now - offset).clamp(0, i64::from(size.max(0)));
        let mut before = vec![0u8; usize::try_from(there).unwrap()];
        if there > 0 {
            system!(file, xRead, before.as_mut_ptr().cast(), c_int::try_from(there).unwrap(), offset);
        }
        before
    };
    let write = Unsynced { offset: u64::try_from(offset).unwrap(), before, size_before: u64::try_from(now).unwrap() };
    UNSYNCED.with_borrow_mut(|files| files.entry(path.clone()).or_default().push(write));
}

/// These files need not outlive a real loss of power, so that the system is not asked to sync.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    if let Some(code) = failure(Kind::Sync) {
        return code;
    }
    // SAFETY: the path is that of `open`.
    unsafe {
        if let Some(path) = (*file.cast::<File>()).path.as_ref() {
            UNSYNCED.with_borrow_mut(|files| files.remove(path));
        }
    }
    ffi::SQLITE_OK
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(is_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    given: *mut c_int,
) -> c_int {
    // SAFETY: as SQLite promises; it looks at the methods even where the opening fails.
    unsafe {
        let ours = file.cast::<File>();
        ours.write(File { methods: null(), path: null_mut() });
        if let Some(code) = failure(Kind::Open) {
            return code;
        }
        let system = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        let Some(open) = (*system).xOpen else { return ffi::SQLITE_CANTOPEN };
        let opened = open(system, name, system_file(file), flags, given);
        if !(*system_file(file)).pMethods.is_null() {
            let path = (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned());
            (*ours).path = path.map_or(null_mut(), |path| Box::into_raw(Box::new(path)));
            (*ours).methods = &METHODS;
        }
        opened
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    if let Some(code) = failure(Kind::Delete) {
        return code;
    }
    // SAFETY: as SQLite promises.
    unsafe {
        let path = CStr::from_ptr(name).to_string_lossy().into_owned();
        UNSYNCED.with_borrow_mut(|files| files.remove(&path));
        let system = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        (*system).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(system, name, sync))
    }
}

/// # Safety
/// SQLite is initialised.
unsafe fn register() {
    // SAFETY: the system's file system lives as long as the process; ours is a copy of it that is never freed.
    unsafe {
        let system = ffi::sqlite3_vfs_find(null());
        let mut ours = std::ptr::read(system);
        ours.szOsFile += c_int::try_from(size_of::<File>()).unwrap();
        ours.pNext = null_mut();
        ours.zName = NAME.as_ptr();
        ours.pAppData = system.cast();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        assert_eq!(ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0), ffi::SQLITE_OK);
    }
}
