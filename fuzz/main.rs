//! The door for libFuzzer. `FAFCAS_FUZZ` names the target.

#![no_main]

mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FAFCAS_FUZZ").unwrap_or_default();
    targets::named(&name).unwrap_or_else(|| panic!("FAFCAS_FUZZ: expected one of {}, not {name:?}", targets::names()))
});

fuzz_target!(|data: &[u8]| TARGET(data));
