//! One name for one thing: `scripts/names.py` counts the names that stand for several, and holds the bounds.

#![allow(clippy::unwrap_used)]

use crate::support::scratch;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn names(arguments: &[&Path]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/names.py");
    Command::new("python3").arg(script).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Lower the bounds in the script when names are mended.
#[test]
fn no_more_names_stand_for_several_things() {
    let output = names(&[Path::new("--check")]);
    assert!(output.status.success(), "{}", said(&output));
}

/// What the first file defines, or only seems to, the second defines again.
#[test]
fn what_counts_is_counted_and_nothing_else() {
    let folder = scratch("names");
    for inside in ["one", "kernels/codes"] {
        fs::create_dir_all(folder.join(inside)).unwrap();
    }
    let files = [
        (
            "one.rs",
            "pub struct Struct;\nenum Enum { A }\npub(crate) unsafe trait Trait { type Item; fn f(&self) -> impl Copy; }\n\
             impl<const N: usize> Trait for [u8; N] {\n    type Item = u8;\n    fn f(&self) { struct Local { x: u8 } }\n}\n\
             fn after(_: impl Copy) { type Alias = u8; }\n#[cfg(test)]\n#[allow(dead_code)]\nmod tests { struct InTest { x: u8 } }\n\
             // struct Comment;\nconst TEXT: &str = \"struct Text; }\";\nconst RAW: &str = r#\"\" struct Raw; }\"#;\nconst BRACE: char = '}';\n\
             #[cfg(test)]\nmod hidden;\nstruct Last<'a>(&'a str);\nstruct Once;\nstruct Asked;\nstruct Ranked;\nstruct Setting;\n",
        ),
        (
            "two.rs",
            "struct Struct; struct Enum; struct Trait; struct Local; type Alias = u8; struct Last;\n\
             struct Item; struct InTest; struct Comment; struct Text; struct Raw; struct Hidden;\n",
        ),
        ("one/hidden.rs", "struct Hidden;"),
        ("one/left_out.rs", "struct Once;"),
        ("kernels/avx2.rs", "struct Lanes; struct Struct;"),
        ("kernels/neon.rs", "struct Lanes;"),
        ("kernels/codes/neon.rs", "struct Sums;"),
        ("kernels/codes/sums.rs", "struct Sums;"),
        ("shelf.rs", ""),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    let output = names(&[&folder]);
    let expected = "7 defined in more than one file
  Alias: one.rs, two.rs
  Enum: one.rs, two.rs
  Last: one.rs, two.rs
  Local: one.rs, two.rs
  Struct: kernels/avx2.rs, one.rs, two.rs
  Sums: kernels/codes/neon.rs, kernels/codes/sums.rs
  Trait: one.rs, two.rs
1 kernels by instruction set
  Lanes: kernels/avx2.rs, kernels/neon.rs
2 riddles
  Asked: one.rs
  shelf.rs: shelf.rs
1 other types named by a participle alone
  Ranked: one.rs
";
    assert_eq!(said(&output), expected);
    // More than any bound will be.
    let many: String = (0..200).map(|number| format!("struct Name{number};")).collect();
    for file in ["one.rs", "two.rs"] {
        fs::write(folder.join(file), &many).unwrap();
    }
    let output = names(&[Path::new("--check"), &folder]);
    assert!(!output.status.success() && said(&output).contains("shared names, not 201"), "{}", said(&output));
}
