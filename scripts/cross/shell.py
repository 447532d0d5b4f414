"""Builds the shell of SQLite for another platform: shell.py FOLDER PLATFORM...

The sources are those in the npm package `sqlite3`, which has SQLite's own archive in it. zig compiles them. A script FOLDER/PLATFORM/run
then starts the shell on this machine, by whatever that takes: the loader of
musl or of an old glibc, qemu, wine. Beside it lies a false ONNX Runtime, which
leaves a file in the working directory as soon as it is loaded.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import platforms

OPTIONS = ["-O1", "-w", "-fno-sanitize=undefined", "-DSQLITE_ENABLE_FTS5", "-DSQLITE_ENABLE_MATH_FUNCTIONS", "-DSQLITE_THREADSAFE=2"]
PLANTED = """
#include <stdio.h>
__attribute__((constructor)) static void loaded(void)
{
    FILE *file = fopen("loaded", "w");
    if (file) fclose(file);
}
"""
# Each Windows since 10 has this library, which Rust takes random numbers from. wine 8 does not, so there it is this.
RANDOM = """
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    return SystemFunction036(data, (ULONG)length);
}
"""
PACKAGE = "sqlite3@5.1.7"


def main(folder, *names):
    folder = Path(folder).resolve()
    source = sources(folder)
    for name in names:
        platform = platforms.named(name)
        into = folder / name
        into.mkdir(parents=True, exist_ok=True)
        zig(folder, platform, *OPTIONS, f"-I{source}", source / "shell.c", source / "sqlite3.c", "-o", into / program(platform))
        (into / "planted.c").write_text(PLANTED)
        zig(folder, platform, "-shared", into / "planted.c", "-o", into / planted(platform))
        script = into / "run"
        script.write_text(f'#!/bin/sh\nexec {" ".join(map(str, starts(folder, platform)))} "$@"\n')
        script.chmod(0o755)
        if platform.system == "windows":
            prepare_wine(folder, platform, into)


def prepare_wine(folder, platform, into):
    """wine makes its folder at the first start, and says so."""
    subprocess.run([*wine(into), "wineboot", "--init"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Path("/usr/lib/wine/wineserver")
    # Until its services have ended: what they say would be among what a shell says.
    subprocess.run(["env", f"WINEPREFIX={into}/wine", server if server.exists() else "wineserver", "--wait"], check=True)
    missing = into / "wine/drive_c/windows/system32/bcryptprimitives.dll"
    if not missing.exists():
        (into / "random.c").write_text(RANDOM)
        zig(folder, platform, "-shared", into / "random.c", "-ladvapi32", "-o", missing)


def sources(folder):
    """The unpacked archive of SQLite."""
    found = list(folder.glob("source/sqlite-autoconf-*"))
    if not found:
        part = folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        if subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=part, stdout=subprocess.DEVNULL).returncode:
            sys.exit(f"== expected npm to fetch {PACKAGE}, which has the sources of SQLite's shell")
        unpack(next(part.glob("*.tgz")), part)
        unpack(next(part.glob("package/deps/sqlite-autoconf-*.tar.gz")), part / "source")
        shutil.move(part / "source", folder / "source")
        shutil.rmtree(part)
        found = list(folder.glob("source/sqlite-autoconf-*"))
    return found[0]


def unpack(archive, into):
    with tarfile.open(archive) as opened:
        opened.extractall(into, filter="data")


def zig(folder, platform, *arguments):
    triple = {"windows": f"{platform.machine}-windows-gnu", "linux": f"{platform.machine}-linux-{'musl' if platform.musl else 'gnu.' + platforms.GLIBC}"}
    # zig links statically for musl unless it is told not to, and a static shell loads nothing.
    own = [*(["-dynamic"] if platform.musl else []), *([] if platform.system == "windows" else ["-fPIC", "-lm", "-ldl", "-lpthread"])]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", triple[platform.system], *map(str, arguments), *own, "-s"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(folder.parent / "tools")})


def program(platform):
    return "sqlite3.exe" if platform.system == "windows" else "sqlite3"


def planted(platform):
    return "onnxruntime.dll" if platform.system == "windows" else "libonnxruntime.so"


def starts(folder, platform):
    """The command that starts the shell here."""
    shell = folder / platform.name / program(platform)
    root = folder.parent / "root" / platform.name
    if platform.system == "windows":
        return [*wine(folder / platform.name), shell]
    if platform.machine != os.uname().machine:
        return [f"qemu-{platform.machine}", "-L", root, shell]
    if platform.musl:
        return [root / f"lib/ld-musl-{platform.machine}.so.1", shell]
    libraries = [root / part / f"{platform.machine}-linux-gnu" for part in ("lib", "usr/lib")]
    if not libraries[0].exists():
        # Debian keeps an old release for some years only.
        return [shell]
    return [next(libraries[0].glob("ld-linux-*.so.*")), "--library-path", ":".join(map(str, libraries)), shell]


def wine(folder):
    """With a folder of its own, and none of what it offers to fetch. Debian's own script for it complains that there is no Windows of 32 bits."""
    debians = Path("/usr/lib/wine/wine64")
    program = debians if debians.exists() else "wine"
    return ["env", f"WINEPREFIX={folder}/wine", "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", program]


if __name__ == "__main__":
    main(*sys.argv[1:])
