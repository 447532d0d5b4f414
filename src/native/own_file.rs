//! Finds the file that this code was loaded from.

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

#[cfg(not(unix))]
pub fn own_file() -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn this_code_lies_in_the_tests_own_program() {
        assert_eq!(own_file(), Some(std::env::current_exe().unwrap().canonicalize().unwrap()));
    }
}
