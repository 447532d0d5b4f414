"""Whether a library for Linux can be loaded where it should be: inspect_library.py LIBRARY MACHINE GLIBC

Refused are symbols of a glibc newer than GLIBC (such as 2.17), libraries that not every Linux of that age has, names that the
library should not export, and one that is too large. readelf of binutils reads it, for any machine.
"""

import re
import subprocess
import sys
from pathlib import Path

MACHINES = {"x86_64": "Advanced Micro Devices X86-64", "aarch64": "AArch64"}
# Of glibc itself, and so everywhere.
LIBRARIES = re.compile(r"lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux-[\w-]+\.so\.\d+")
EXPORTS = {"sqlite3_extension_init", "sqlite3_fafcas_init", "sqlite3_fafcas_schema_search_init"}
# Beyond what link-time optimisation leaves: without it the library is several times as large.
MOST_BYTES = 6_500_000


def read(library, *options):
    return subprocess.run(["readelf", "--wide", *options, library], check=True, capture_output=True, text=True).stdout


def numbers(version):
    return tuple(map(int, version.split(".")))


def main(library, machine, glibc):
    faults = []
    found = re.search(r"Machine: +(.+)", read(library, "--file-header"))
    if not found or found[1] != MACHINES[machine]:
        faults.append(f"expected a library for {machine}, not for {found and found[1]}")
    asked = set(re.findall(r"GLIBC_([\d.]+)", read(library, "--version-info")))
    newest = max(asked, key=numbers, default="0")
    if not asked or numbers(newest) > numbers(glibc):
        faults.append(f"expected symbols of glibc {glibc} or older, not {newest if asked else 'none of glibc'}")
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", read(library, "--dynamic"))
    foreign = [name for name in needed if not LIBRARIES.fullmatch(name)]
    if foreign:
        faults.append(f"expected no library but those of glibc, not {', '.join(foreign)}")
    exports = set(re.findall(r"(?:GLOBAL|WEAK) +DEFAULT +\d+ (\S+)", read(library, "--dyn-syms")))
    if exports != EXPORTS:
        faults.append(f"expected the exports {', '.join(sorted(EXPORTS))}, not {', '.join(sorted(exports)[:9])}")
    size = Path(library).stat().st_size
    if size > MOST_BYTES:
        faults.append(f"expected at most {MOST_BYTES} bytes, not {size}")
    for fault in faults:
        print(f"{library}: {fault}", file=sys.stderr)
    print(f"{machine}: glibc {newest}, {size} bytes, needs {' '.join(needed)}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
