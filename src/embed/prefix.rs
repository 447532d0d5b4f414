//! The install prefix. It follows from the place of this library: the models of `PREFIX/lib/fafcas.so` are in
//! `PREFIX/share/fafcas/models`. So an archive can be unpacked anywhere.

use crate::native::own_file::own_file;
use once_cell::race::OnceBox;
use std::path::{Path, PathBuf};

/// The prefix that this library's own file lies under.
pub fn own() -> Option<PathBuf> {
    static OWN: OnceBox<Option<PathBuf>> = OnceBox::new();
    OWN.get_or_init(|| Box::new(own_file().and_then(|file| prefix_of(&file)))).clone()
}

/// The repository that the library was built in, if it lies there still. This is only for advice: nothing is loaded from it.
pub fn repository() -> Option<PathBuf> {
    let file = own_file()?;
    let target = file.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"))?;
    let repository = target.parent()?;
    repository.join("scripts/fetch_model.py").is_file().then(|| repository.to_owned())
}

/// The prefix that the library was built for. On Windows there is none unless the builder named one with its drive: `/usr/local` would
/// be a folder of whatever drive the process works on, where anybody may have made it.
pub fn built_for() -> Option<PathBuf> {
    absolute(option_env!("FAFCAS_PREFIX").unwrap_or("/usr/local"))
}

fn absolute(prefix: &str) -> Option<PathBuf> {
    Some(PathBuf::from(prefix)).filter(|prefix| prefix.is_absolute())
}

/// The folder above the folder `lib` that contains this file, directly or further down.
fn prefix_of(file: &Path) -> Option<PathBuf> {
    let is_lib = |folder: &&Path| folder.file_name().is_some_and(|name| name == "lib" || name == "lib64");
    Some(file.ancestors().find(is_lib)?.parent()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_depends_on_where_the_process_works_is_none() {
        assert_eq!(absolute("usr/local"), None);
        assert_eq!(absolute("/usr/local").is_some(), cfg!(not(windows)));
        assert_eq!(absolute(r"C:\fafcas").is_some(), cfg!(windows));
    }

    #[test]
    fn the_prefix_is_above_lib() {
        let prefix = |file: &str| prefix_of(Path::new(file));
        assert_eq!(prefix("/home/a/.local/lib/fafcas.so"), Some("/home/a/.local".into()));
        assert_eq!(prefix("/usr/lib/x86_64-linux-gnu/fafcas.so"), Some("/usr".into()));
        assert_eq!(prefix("/opt/lib64/fafcas.so"), Some("/opt".into()));
        assert_eq!(prefix("/srv/data/extensions/fafcas.so"), None);
        assert_eq!(prefix("/lib"), Some("/".into()));
    }
}
