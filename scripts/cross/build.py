"""Builds the library for other platforms: build.py FOLDER PROFILE PLATFORM...

FOLDER is where `make cross` works; its `tools` are there already. Each library is built by cargo's PROFILE (`dist` for what is
shipped, `quick` for what is only tried) and goes to FOLDER/PROFILE/PLATFORM. zig links for Linux, Debian's GCC for Windows, and Rust's
own linker for macOS, where it needs no more than the names of the system's libraries.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import platforms

# Of Debian: the compiler, what it links, and the linker.
MINGW = ["gcc-mingw-w64-x86-64-posix", "gcc-mingw-w64-x86-64-posix-runtime", "gcc-mingw-w64-base", "mingw-w64-x86-64-dev", "mingw-w64-common", "binutils-mingw-w64-x86-64"]


def main(folder, profile, *names):
    folder = Path(folder).resolve()
    subprocess.run(["rustup", "--quiet", "target", "add", *(platforms.named(name).target for name in names)], check=True)
    for name in names:
        platform = platforms.named(name)
        print(f"== building for {name} (profile {profile})", flush=True)
        command, settings = way(platform, folder, profile)
        arguments = ["--quiet", "--locked", "--lib", "--profile", profile, "--crate-type", "cdylib", "--target-dir", str(folder / "build")]
        subprocess.run([*command, *arguments], check=True, env={**environment(folder), **settings})
        into = folder / profile / name
        into.mkdir(parents=True, exist_ok=True)
        part = into / "part"
        shutil.copyfile(folder / "build" / platform.target / profile / platform.built, part)
        if platform.musl:
            name_musl(folder, platform, part)
        # In one step: a process that has the old one loaded would crash if that changed under it.
        part.replace(into / platform.library)


def name_musl(folder, platform, library):
    """zig names the C library as musl's own sources do, and Alpine by its machine too, which is what the tag of a wheel asks for. musl's
    loader takes either for itself."""
    name = f"libc.musl-{platform.machine}.so.1"
    subprocess.run(["patchelf", "--replace-needed", "libc.so", name, library], check=True, env=environment(folder))


def environment(folder):
    """With the tools that pip has put into the folder."""
    tools = str(folder / "tools")
    return {**os.environ, "PATH": f"{tools}/bin:{os.environ['PATH']}", "PYTHONPATH": tools}


def way(platform, folder, profile):
    """What cargo is called by for a platform, and the settings in its environment."""
    if platform.system == "macos":
        return for_macos(platform, folder, profile)
    if platform.system == "windows":
        return for_windows(platform, folder)
    glibc = f".{platform.oldest}" if platform.oldest else ""
    settings = flags(platform, "-C target-feature=-crt-static") if platform.musl else {}
    return ["cargo-zigbuild", "rustc", "--target", platform.target + glibc], settings


def flags(platform, rust, linker=None):
    variable = f"CARGO_TARGET_{platform.target.upper().replace('-', '_')}"
    return {f"{variable}_RUSTFLAGS": rust} | ({f"{variable}_LINKER": linker} if linker else {})


def for_windows(platform, folder):
    """zig exports every name. Debian's GCC for Windows does not; its packages are unpacked only."""
    root = folder / "root/mingw"
    if not root.exists():
        print(f"== fetching Debian's packages for Windows into {root} (60 MB: {' '.join(MINGW)})", flush=True)
        subprocess.run([Path(__file__).with_name("debian.sh"), root, "amd64", *MINGW], check=True)
    settings = flags(platform, "", f"{root}/usr/bin/{platform.machine}-w64-mingw32-gcc-posix")
    return ["cargo", "rustc", "--target", platform.target], settings | {"PATH": f"{root}/usr/bin:{os.environ['PATH']}"}


def for_macos(platform, folder, profile):
    """zig's own linker for Mach-O leaves out the list of exports. Rust's has it, and signs for Apple's processors."""
    system = folder / "macos/usr/lib"
    system.mkdir(parents=True, exist_ok=True)
    # The C library and that of arithmetic are names for the system's one; iconv is named, and not used.
    for name in ("System", "c", "m", "iconv"):
        (system / f"lib{name}.tbd").write_text(system_names((folder / "tools/ziglang/lib/libc/darwin/libSystem.tbd").read_text()))
    arguments = ["-install_name", f"@rpath/{platform.library}", "-dead_strip", "-dead_strip_dylibs", "-S", "-x", "-adhoc_codesign"]
    rust = " ".join(["-C linker-flavor=ld64.lld", *(f"-C link-arg={argument}" for argument in arguments)])
    settings = {
        "SDKROOT": str(folder / "macos"),
        "MACOSX_DEPLOYMENT_TARGET": platform.oldest,
        # The linker leaves the names out already; done afterwards, the signature would be wrong.
        f"CARGO_PROFILE_{profile.upper()}_STRIP": "none",
    }
    return ["cargo", "rustc", "--target", platform.target], settings | flags(platform, rust, "rust-lld")


def system_names(known):
    """The names in macOS's system library, as Rust's linker reads them: the list that zig has names machines which that one does not know."""
    names = sorted(set(re.findall(r"[\[ ,]'?(_[\w$.]+|dyld_stub_binder)'?(?=[,\s\]])", known)))
    return f"""--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '/usr/lib/libSystem.B.dylib'
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ {", ".join(f"'{name}'" for name in names)} ]
...
"""


if __name__ == "__main__":
    main(*sys.argv[1:])
