//! One binary runs on every CPU of its target: this test's own binary, run again on emulated CPUs, takes the kernels
//! each of them has, and an instruction the CPU lacks would end it.
//!
//! The emulator is qemu's for one program (Debian: `qemu-user`). Where it is absent the tests say so and pass, unless
//! `FAFCAS_REQUIRE_HOSTS=1`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::io::ErrorKind;
use std::process::Command;

use fafcas::kernels;

/// An x86-64 without AVX: any before 2011, small ones for ten years more, and many a virtual machine.
#[test]
fn a_cpu_without_avx_takes_scalar_kernels() {
    on_cpu("Westmere", "scalar");
}

#[test]
fn a_cpu_with_avx2_takes_avx2_kernels() {
    on_cpu("Haswell", "avx2");
}

fn on_cpu(model: &str, expected: &str) {
    if cfg!(not(target_arch = "x86_64")) {
        return println!("skipped: this machine is no x86-64");
    }
    let child = Command::new("qemu-x86_64")
        .args(["-cpu", model])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "old_cpu::the_kernels_of_this_cpu_are_right"])
        .env("EXPECTED_KERNELS", expected)
        .env_remove("FAFCAS_KERNELS")
        .output();
    match child {
        Ok(child) => {
            let said = String::from_utf8_lossy(&child.stdout);
            let complained = String::from_utf8_lossy(&child.stderr);
            assert!(child.status.success() && said.contains("1 passed"), "{model}: {said}{complained}");
        }
        Err(error) if error.kind() == ErrorKind::NotFound => absent(),
        Err(error) => panic!("qemu-x86_64: {error}"),
    }
}

fn absent() {
    let required = std::env::var("FAFCAS_REQUIRE_HOSTS").is_ok_and(|value| value == "1");
    assert!(!required, "qemu-x86_64 is absent and FAFCAS_REQUIRE_HOSTS=1 asks for it");
    println!("skipped: qemu-x86_64 is absent (Debian has it in qemu-user)");
}

/// What the tests above run on other CPUs; run with the rest it checks this one.
#[test]
fn the_kernels_of_this_cpu_are_right() {
    let table = kernels::table();
    if let Ok(expected) = std::env::var("EXPECTED_KERNELS") {
        assert_eq!(table.name, expected);
    }
    // Whole numbers, 0 to 18 against 1: exact in any order, and longer than any vector with a tail.
    let a: Vec<f32> = (0..7 * 19).map(|i| (i % 19) as f32).collect();
    let b = vec![1.0f32; a.len()];
    let (a, b) = (bytemuck::cast_slice(&a), bytemuck::cast_slice(&b));
    let mut scores = [0.0; 1];
    (table.dot_f32_rows)(a, b, &mut scores);
    assert_eq!(scores, [7.0 * 171.0]);
    assert_eq!((table.dot_f32)(a, b), 7.0 * 171.0);
    assert_eq!((table.l1_f32)(a, b), 7.0 * (1.0 + 153.0));
    assert_eq!((table.l2_squared_f32)(a, b), 7.0 * (1.0 + 1785.0));
}
