//! Finds the file that this code was loaded from.

#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;

/// The file that this code was loaded from. `None` if its path depends on the working directory.
#[cfg(unix)]
pub fn own_file() -> Option<PathBuf> {
    use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
    use std::os::unix::ffi::OsStrExt;
    use std::ptr::{null, null_mut};

    /// `Dl_info` of dlfcn.h.
    #[repr(C)]
    struct Info {
        file: *const c_char,
        base: *mut c_void,
        symbol: *const c_char,
        address: *mut c_void,
    }
    // SAFETY: declared as in dlfcn.h.
    unsafe extern "C" {
        fn dladdr(address: *const c_void, info: *mut Info) -> c_int;
    }
    let mut info = Info { file: null(), base: null_mut(), symbol: null(), address: null_mut() };
    let here = own_file as fn() -> Option<PathBuf>;
    // SAFETY: any address will do, and the place to write to is a local one.
    if unsafe { dladdr(here as *const c_void, &mut info) } == 0 || info.file.is_null() {
        return None;
    }
    // SAFETY: dladdr succeeded, so this is the loader's own string, which stays while this code is loaded.
    let file = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(info.file) }.to_bytes()));
    file.is_absolute().then(|| file.canonicalize().ok()).flatten()
}

/// The file that this code was loaded from.
#[cfg(windows)]
pub fn own_file() -> Option<PathBuf> {
    use std::ffi::{OsString, c_void};
    use std::os::windows::ffi::OsStringExt;
    use std::ptr::null_mut;

    /// Paths are no longer, in units of 16 bits.
    const LONGEST: usize = 32_768;
    /// The module is named by an address in it, and is not kept by this call.
    const BY_ADDRESS: u32 = 0x4 | 0x2;

    // SAFETY: declared as in libloaderapi.h.
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetModuleHandleExW(flags: u32, address: *const c_void, module: *mut *mut c_void) -> i32;
        fn GetModuleFileNameW(module: *mut c_void, file: *mut u16, size: u32) -> u32;
    }
    let mut module = null_mut();
    let here = own_file as fn() -> Option<PathBuf>;
    // SAFETY: any address will do, and the place to write to is a local one.
    if unsafe { GetModuleHandleExW(BY_ADDRESS, here as *const c_void, &mut module) } == 0 {
        return None;
    }
    let mut file = vec![0; LONGEST];
    // SAFETY: the module is loaded as long as this code runs, and `file` has room for as many units as it says.
    let length = unsafe { GetModuleFileNameW(module, file.as_mut_ptr(), LONGEST as u32) } as usize;
    // 0 is a failure. A path that was cut fills the room.
    let file = file.get(..length).filter(|file| !file.is_empty() && length < LONGEST)?;
    Some(PathBuf::from(OsString::from_wide(file))).filter(|file| file.is_absolute())
}

#[cfg(not(any(unix, windows)))]
pub fn own_file() -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(unix, windows))]
    #[test]
    fn this_code_lies_in_the_tests_own_program() {
        let own = own_file().unwrap();
        assert!(own.is_absolute());
        assert_eq!(own.canonicalize().unwrap(), std::env::current_exe().unwrap().canonicalize().unwrap());
    }
}
