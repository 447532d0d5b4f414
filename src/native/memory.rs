//! How much memory the machine has, where no file says it.

/// Bytes of memory of the machine. `None` if this system is not asked: on Linux, `/proc/meminfo` says it.
#[cfg(target_vendor = "apple")]
pub fn physical() -> Option<u64> {
    use std::ffi::{c_char, c_int, c_void};
    use std::ptr::null_mut;

    // SAFETY: declared as in sys/sysctl.h.
    unsafe extern "C" {
        fn sysctlbyname(
            name: *const c_char,
            old: *mut c_void,
            old_length: *mut usize,
            new: *mut c_void,
            new_length: usize,
        ) -> c_int;
    }
    let (mut bytes, mut length) = (0u64, size_of::<u64>());
    // SAFETY: the name ends with a zero, and the place to write to has as many bytes as `length` says.
    let failed = unsafe {
        sysctlbyname(c"hw.memsize".as_ptr(), (&raw mut bytes).cast::<c_void>(), &raw mut length, null_mut(), 0)
    };
    (failed == 0 && length == size_of::<u64>()).then_some(bytes)
}

/// Bytes of memory of the machine.
#[cfg(windows)]
pub fn physical() -> Option<u64> {
    /// `MEMORYSTATUSEX` of sysinfoapi.h.
    #[repr(C)]
    #[derive(Default)]
    struct Status {
        length: u32,
        load: u32,
        physical: u64,
        available: u64,
        others: [u64; 5],
    }
    // SAFETY: declared as in sysinfoapi.h.
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GlobalMemoryStatusEx(status: *mut Status) -> i32;
    }
    let mut status = Status { length: size_of::<Status>() as u32, ..Status::default() };
    // SAFETY: the place to write to is a local one, of the length that it says.
    (unsafe { GlobalMemoryStatusEx(&raw mut status) } != 0).then_some(status.physical)
}

#[cfg(not(any(target_vendor = "apple", windows)))]
pub fn physical() -> Option<u64> {
    None
}
