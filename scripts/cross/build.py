"""Builds the library for other platforms: build.py FOLDER PROFILE PLATFORM... [--small]

FOLDER is where `make cross` works; its `tools` are there already. Each library is built by cargo's PROFILE (`dist` for what is
shipped, `quick` for what is only tried) and goes to FOLDER/PROFILE/PLATFORM. zig links for Linux, Debian's GCC for Windows, and Rust's
own linker for macOS and Android, where it needs no more than the names of the system's libraries. `--small` leaves out the features
`onnx` and `text`; that library goes to FOLDER/small/PLATFORM.
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

# The libraries of Android that Rust's own library names. The linker only notes them: the system's loader finds the functions. That for
# its log is named and not used.
ANDROID_LIBRARIES = ["c", "dl", "m"]
# Of LLVM's unwinder, which zig has as source. Rust's library for Android expects it from the developer's kit.
UNWINDER = ["Unwind-EHABI.cpp", "libunwind.cpp", "Unwind-sjlj.c", "UnwindLevel1-gcc-ext.c", "UnwindLevel1.c", "UnwindRegistersRestore.S", "UnwindRegistersSave.S"]


def main(folder, profile, *names):
    folder = Path(folder).resolve()
    small = "--small" in names
    names = [name for name in names if name != "--small"]
    subprocess.run(["rustup", "--quiet", "target", "add", *(platforms.named(name).target for name in names)], check=True)
    for name in names:
        platform = platforms.named(name)
        print(f"== building for {name} (profile {profile}{', small' if small else ''})", flush=True)
        command, settings = way(platform, folder, profile)
        arguments = ["--quiet", "--locked", "--lib", "--profile", profile, "--crate-type", "cdylib", "--target-dir", str(folder / "build")]
        arguments += ["--no-default-features", "--features", "loadable"] if small else []
        subprocess.run([*command, *arguments], check=True, env={**environment(folder), **settings})
        into = folder / ("small" if small else profile) / name
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
    if platform.system == "android":
        return for_android(platform, folder)
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


def for_android(platform, folder):
    """There is no developer's kit among the packages. `inspect_library.py` compares what the library asks for with what Android has."""
    libraries = folder / "android" / platform.machine
    libraries.mkdir(parents=True, exist_ok=True)
    (libraries / "empty.c").write_text("")
    for name in (*ANDROID_LIBRARIES, "log"):
        compile_for_android(folder, platform, "-shared", "-nostdlib", f"-Wl,-soname,lib{name}.so", "empty.c", "-o", f"lib{name}.so")
    unwinder(folder, platform, libraries)
    # 16 KB is the page of newer phones. As these libraries are empty, the linker would leave their names out.
    arguments = ["-soname=fafcas.so", "-zmax-page-size=16384", "--no-as-needed", *(f"-l{name}" for name in ANDROID_LIBRARIES)]
    rust = " ".join(["-C linker-flavor=ld.lld", f"-L native={libraries}", *(f"-C link-arg={argument}" for argument in arguments)])
    return ["cargo", "rustc", "--target", platform.target], flags(platform, rust, "rust-lld")


def unwinder(folder, platform, libraries):
    source = folder / "tools/ziglang/lib/libunwind"
    options = ["-O2", "-DNDEBUG", "-fno-sanitize=undefined", "-fvisibility=hidden", "-D_LIBUNWIND_HIDE_SYMBOLS", f"-I{source}/include", f"-I{source}/src"]
    for name in UNWINDER:
        language = ["-fno-exceptions", "-fno-rtti", "-funwind-tables", "-nostdinc++"] if name.endswith(".cpp") else ["-fexceptions"]
        compile_for_android(folder, platform, *options, *language, "-c", source / "src" / name, "-o", f"{name}.o")
    command = [sys.executable, "-m", "ziglang", "ar", "rcs", "libunwind.a", *(f"{name}.o" for name in UNWINDER)]
    subprocess.run(command, check=True, env=environment(folder), cwd=libraries)


def compile_for_android(folder, platform, *arguments):
    """zig has no headers of Android's. What the unwinder takes from musl's is the same there: two functions, a lock of 56 bytes, all zero
    at first, and the list of the loaded libraries."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{platform.machine}-linux-musl", "-fPIC", *map(str, arguments)]
    subprocess.run(command, check=True, env=environment(folder), cwd=folder / "android" / platform.machine)


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
