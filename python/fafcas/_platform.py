"""Which platform a library is for, told from the first bytes of its file, and which one this Python runs on."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

# The fields of the headers that name the machine: `e_machine` of ELF, `Machine` of PE, `cputype` of Mach-O.
_ELF = {62: "x86_64", 183: "aarch64"}
_PE = {0x8664: "x86_64", 0xAA64: "aarch64"}
_MACHO = {0x01000007: "x86_64", 0x0100000C: "aarch64"}
_SPELLINGS = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}
# The names of the libraries that one for Linux asks for stand near its beginning, or at its end if they were changed later.
_PART = 65536

# By which pip knows the platforms that there are wheels for.
_WHEELS = {
    "Linux x86_64 (glibc)": "manylinux2014_x86_64",
    "Linux aarch64 (glibc)": "manylinux2014_aarch64",
    "Linux x86_64 (musl)": "musllinux_1_2_x86_64",
    "Linux aarch64 (musl)": "musllinux_1_2_aarch64",
    "Windows x86_64": "win_amd64",
    "macOS x86_64": "macosx_10_12_x86_64",
    "macOS aarch64": "macosx_11_0_arm64",
    "Android x86_64": "android_24_x86_64",
    "Android aarch64": "android_24_arm64_v8a",
}


def other_platform(library: Path) -> str | None:
    """What is wrong with a library for another platform, and which one is right; None if it is for this one, or cannot be told."""
    theirs, ours = platform_of(library), this_platform()
    if theirs is None or theirs == ours:
        return None
    wheel = _WHEELS.get(ours)
    way = f"install the wheel whose name has {wheel} (pip install --force-reinstall fafcas)" if wheel else "build it here from the source package, with Rust"
    return f"fafcas: expected a library for {ours}, not {library}, which is for {theirs}: {way}"


def platform_of(library: Path) -> str | None:
    try:
        with library.open("rb") as file:
            head = file.read(_PART)
            file.seek(max(0, file.seek(0, os.SEEK_END) - _PART))
            names = head + file.read()
    except OSError:
        # Whoever loads it says why.
        return None
    if head.startswith(b"\x7fELF\x02\x01"):
        return _of_elf(names)
    if head.startswith(b"MZ"):
        place = int.from_bytes(head[60:64], "little")
        machine = _PE.get(int.from_bytes(head[place + 4 : place + 6], "little"))
        return machine and f"Windows {machine}"
    if head.startswith(b"\xcf\xfa\xed\xfe"):
        machine = _MACHO.get(int.from_bytes(head[4:8], "little"))
        return machine and f"macOS {machine}"
    return None


def _of_elf(names: bytes) -> str | None:
    machine = _ELF.get(int.from_bytes(names[18:20], "little"))
    if machine is None:
        return None
    if b"\0libc.so.6\0" in names:
        return f"Linux {machine} (glibc)"
    if b"\0libdl.so\0" in names:
        return f"Android {machine}"
    return f"Linux {machine} (musl)" if b"\0libc.musl-" in names else None


def this_platform() -> str:
    machine = platform.machine().lower()
    machine = _SPELLINGS.get(machine, machine)
    if sys.maxsize < 2**32:
        # As in the 32-bit system of many a Raspberry Pi, whose kernel has 64.
        machine += " with a Python of 32 bits"
    if hasattr(sys, "getandroidapilevel"):
        return f"Android {machine}"
    if sys.platform.startswith("linux"):
        return f"Linux {machine} ({'glibc' if _has_glibc() else 'musl'})"
    names = {"win32": "Windows", "darwin": "macOS"}
    return f"{names.get(sys.platform, sys.platform)} {machine}"


def _has_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (OSError, ValueError):
        return False
