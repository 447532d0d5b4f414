//! What changes the whole process: its environment and its memory.

/// Sets a variable of the environment, unless it is already set.
pub fn set_unless_set(name: &str, value: &str) {
    if std::env::var_os(name).is_none() {
        // SAFETY: no other thread may read the environment in C at this very moment. That cannot be promised for all of a host, as
        // SECURITY.md says. The caller does it once in a process, and there is no other way to tell a library before it starts.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Gives freed memory back to the system. Loading a model frees as much memory as it keeps, and glibc does not give it
/// back by itself: two sessions of a 90 MB model took 330 MB, and 250 MB with this.
pub fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: declared as in glibc's malloc.h. It takes any number and touches free memory alone.
        unsafe extern "C" {
            safe fn malloc_trim(keep: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}
