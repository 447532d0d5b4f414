//! The install prefix, told by where this library itself lies: `PREFIX/lib/fafcas.so` has its models in
//! `PREFIX/share/fafcas/models`. So an archive can be unpacked anywhere.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The prefix that this library's own file is under.
pub fn own() -> Option<PathBuf> {
    static OWN: OnceLock<Option<PathBuf>> = OnceLock::new();
    OWN.get_or_init(|| prefix_of(&own_file()?)).clone()
}

/// The prefix that the library was built for.
pub fn built_for() -> PathBuf {
    option_env!("FAFCAS_PREFIX").unwrap_or("/usr/local").into()
}

/// What is above the folder `lib` that this file is in, however deep.
fn prefix_of(file: &Path) -> Option<PathBuf> {
    let is_lib = |folder: &&Path| folder.file_name().is_some_and(|name| name == "lib" || name == "lib64");
    Some(file.ancestors().find(is_lib)?.parent()?.to_owned())
}

/// The file that this code was loaded from, if its path does not hang on the working directory.
#[cfg(unix)]
fn own_file() -> Option<PathBuf> {
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
fn own_file() -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_above_lib() {
        let prefix = |file: &str| prefix_of(Path::new(file));
        assert_eq!(prefix("/home/a/.local/lib/fafcas.so"), Some("/home/a/.local".into()));
        assert_eq!(prefix("/usr/lib/x86_64-linux-gnu/fafcas.so"), Some("/usr".into()));
        assert_eq!(prefix("/opt/lib64/fafcas.so"), Some("/opt".into()));
        assert_eq!(prefix("/srv/data/extensions/fafcas.so"), None);
        assert_eq!(prefix("/lib"), Some("/".into()));
    }

    #[cfg(unix)]
    #[test]
    fn this_code_lies_in_the_tests_own_program() {
        assert_eq!(own_file(), Some(std::env::current_exe().unwrap().canonicalize().unwrap()));
    }
}
