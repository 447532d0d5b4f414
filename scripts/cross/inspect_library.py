"""Whether a library can be loaded where it should be: inspect_library.py LIBRARY PLATFORM [--quick|--small]

Refused are the wrong format or machine, an older system's missing symbols, libraries that not every such system has, names that
the library should not export, and one that is too large. On macOS the install name and the signature are read too.
`--quick` is for a build without link-time optimisation, which may be large, and `--small` for one without the features `onnx` and `text`.
"""

import hashlib
import re
import sys
from pathlib import Path

import lief
import platforms

# For `.load`, for a program that names it, and for one that also lets views and triggers of a file search.
EXPORTS = {"sqlite3_extension_init", "sqlite3_fafcas_init", "sqlite3_fafcas_schema_search_init"}

# What each system has everywhere.
GLIBC = re.compile(r"lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux-[\w-]+\.so\.\d+")
MUSL = re.compile(r"libc\.musl-(x86_64|aarch64)\.so\.1")
ANDROID = re.compile(r"lib(c|m|dl|log)\.so")
WINDOWS = re.compile(r"(kernel32|ntdll|msvcrt|ws2_32|userenv|advapi32|bcryptprimitives|bcrypt|api-ms-win-[\w-]+)\.dll", re.IGNORECASE)
MACOS = re.compile(r"/usr/lib/libSystem\.B\.dylib")

# Pages of memory are 4 KB, 16 KB or 64 KB on aarch64, and 16 KB on newer phones. A loader refuses segments for smaller ones.
PAGES = {"linux-aarch64": 65536, "linux-aarch64-musl": 65536, "android-aarch64": 16384, "android-x86_64": 16384}

ELF_MACHINES = {"x86_64": lief.ELF.ARCH.X86_64, "aarch64": lief.ELF.ARCH.AARCH64}
MACHO_MACHINES = {"x86_64": lief.MachO.Header.CPU_TYPE.X86_64, "aarch64": lief.MachO.Header.CPU_TYPE.ARM64}


def main(library, name, kind=None):
    platform = platforms.named(name)
    faults, said = {"windows": windows, "macos": macos}.get(platform.system, elf)(library, platform)
    size = Path(library).stat().st_size
    most = platforms.MOST_BYTES[kind]
    if size > most:
        faults.append(f"expected at most {most} bytes, not {size}")
    for fault in faults:
        print(f"{library}: {fault}", file=sys.stderr)
    print(f"{name}: {size} bytes, {said}")
    return bool(faults)


def elf(library, platform):
    file = lief.ELF.parse(str(library))
    if file is None:
        return ["expected a library in the format ELF"], "not read"
    faults = []
    if file.header.machine_type != ELF_MACHINES[platform.machine]:
        faults.append(f"expected a library for {platform.machine}, not for {file.header.machine_type.name}")
    needed = list(file.libraries)
    known = MUSL if platform.musl else ANDROID if platform.system == "android" else GLIBC
    foreign(faults, needed, known)
    if not needed:
        faults.append("expected a C library among those it needs, not none")
    limited(faults, {symbol.name for symbol in file.exported_symbols})
    page = min(segment.alignment for segment in file.segments if segment.type == lief.ELF.Segment.TYPE.LOAD)
    if page < PAGES.get(platform.name, 0):
        faults.append(f"expected segments for pages of {PAGES[platform.name]} bytes, not of {page}")
    if known is ANDROID:
        return faults + unknown_to_android(file), f"needs {' '.join(needed)}, functions of Android's interface {platform.oldest}, pages of {page} bytes"
    asked = {version for requirement in file.symbols_version_requirement for version in requirement.get_auxiliary_symbols()}
    versions = [auxiliary.name.removeprefix("GLIBC_") for auxiliary in asked if auxiliary.name.startswith("GLIBC_")]
    newest = max(versions, key=numbers, default="none")
    if known is GLIBC and (newest == "none" or numbers(newest) > numbers(platform.oldest)):
        faults.append(f"expected symbols of glibc {platform.oldest} or older, not {newest}")
    if known is not GLIBC and versions:
        faults.append(f"expected no symbols of glibc, not {newest}")
    glibc = f", glibc {newest}" if known is GLIBC else ""
    return faults, f"needs {' '.join(needed)}{glibc}"


def unknown_to_android(file):
    """The linker has not seen the system's libraries, so what is asked of them is compared with a list. Weak names may be missing."""
    outside = [symbol for symbol in file.dynamic_symbols if symbol.name and symbol.shndx == 0]
    asked = {symbol.name for symbol in outside if symbol.binding != lief.ELF.Symbol.BINDING.WEAK}
    unknown = sorted(asked - set(Path(__file__).with_name("android.txt").read_text().split()))
    return [f"expected functions that each Android has (android.txt), not {', '.join(unknown)}"] if unknown else []


def windows(library, platform):
    file = lief.PE.parse(str(library))
    if file is None:
        return ["expected a library in the format PE"], "not read"
    faults = []
    if file.header.machine != lief.PE.Header.MACHINE_TYPES.AMD64:
        faults.append(f"expected a library for {platform.machine}, not for {file.header.machine.name}")
    needed = [item.name for item in file.imports] + [item.name for item in file.delay_imports]
    foreign(faults, needed, WINDOWS)
    exports = {entry.name for entry in file.get_export().entries} if file.has_exports else set()
    limited(faults, exports)
    return faults, f"needs {' '.join(sorted(needed))}"


def macos(library, platform):
    fat = lief.MachO.parse(str(library))
    if fat is None or len(fat) != 1:
        return ["expected a library in the format Mach-O, for one machine"], "not read"
    file = fat.at(0)
    faults = []
    if file.header.cpu_type != MACHO_MACHINES[platform.machine]:
        faults.append(f"expected a library for {platform.machine}, not for {file.header.cpu_type.name}")
    own = [command.name for command in file.commands if command.command == lief.MachO.LoadCommand.TYPE.ID_DYLIB]
    if own != [f"@rpath/{platform.library}"]:
        faults.append(f"expected the install name @rpath/{platform.library}, not {own}")
    needed = [item.name for item in file.libraries if item.command != lief.MachO.LoadCommand.TYPE.ID_DYLIB]
    foreign(faults, needed, MACOS)
    limited(faults, {symbol.name.removeprefix("_") for symbol in file.exported_symbols})
    oldest = ".".join(map(str, least_system(file)[:2]))
    if numbers(oldest) != numbers(platform.oldest):
        faults.append(f"expected macOS {platform.oldest} as the oldest, not {oldest}")
    signature = signed(library, file)
    if signature != "signed ad hoc":
        faults.append(f"expected a library signed ad hoc, not one {signature}")
    return faults, f"needs {' '.join(needed)}, macOS {oldest}, {signature}"


def least_system(file):
    return file.build_version.minos if file.has_build_version else file.version_min.version


def signed(library, file):
    """Whether the hash of each page is the one that the signature has, as the loader on Apple's processors compares them.

    The layout is that of Apple's `cs_blobs.h`: a list of blobs, of which the code directory has the hashes. Its numbers are big-endian.
    """
    if not file.has_code_signature:
        return "without a signature"
    content = Path(library).read_bytes()
    start = file.code_signature.data_offset
    number = lambda place: int.from_bytes(content[place:place + 4], "big")
    if number(start) != 0xFADE0CC0:
        return "with a signature that is none"
    found = {number(start + 12 + 8 * index): start + number(start + 16 + 8 * index) for index in range(number(start + 8))}
    directory = found.get(0)
    if directory is None or number(directory) != 0xFADE0C02:
        return "without a code directory"
    hashes, count, limit = (number(directory + place) for place in (16, 28, 32))
    length, kind, page = content[directory + 36], content[directory + 37], 1 << content[directory + 39]
    if not number(directory + 12) & 2 or kind != 2 or limit != start or count != -(-limit // page):
        return "with a signature of another kind"
    for index in range(count):
        place = directory + hashes + index * length
        if hashlib.sha256(content[index * page:min((index + 1) * page, limit)]).digest() != content[place:place + length]:
            return f"with a wrong hash of page {index}"
    return "signed ad hoc"


def foreign(faults, needed, known):
    others = [name for name in needed if not known.fullmatch(name)]
    if others:
        faults.append(f"expected no library but those of the system, not {', '.join(others)}")


def limited(faults, exports):
    if exports != EXPORTS:
        faults.append(f"expected the exports {', '.join(sorted(EXPORTS))}, not {', '.join(sorted(exports)[:9]) or 'none'}")


def numbers(version):
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
