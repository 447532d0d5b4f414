"""Builds the library for other platforms: build.py FOLDER PROFILE PLATFORM...

FOLDER is where `make cross` works; its `tools` are there already. Each library is built by cargo's PROFILE (`dist` for what is
shipped, `quick` for what is only tried) and goes to FOLDER/PROFILE/PLATFORM. zig links for Linux and Windows, and Rust's own linker
for macOS and Android, where it needs no more than the names of the system's libraries.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import platforms

# SONAMEs that Android has. The loader finds the functions, as the linker is not asked to.
ANDROID_LIBRARIES = ["c", "dl", "log", "m"]
# Of LLVM's unwinder, which zig has as source. Rust's library for Android expects it from the developer's kit.
UNWINDER = ["Unwind-EHABI.cpp", "libunwind.cpp", "Unwind-sjlj.c", "UnwindLevel1-gcc-ext.c", "UnwindLevel1.c", "UnwindRegistersRestore.S", "UnwindRegistersSave.S"]


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
        shutil.copyfile(folder / "build" / platform.target / profile / platform.built, into / platform.library)
        if platform.musl:
            name_musl(folder, platform, into / platform.library)


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
    if platform.system == "android":
        return for_android(platform, folder)
    glibc = f".{platform.oldest}" if platform.oldest else ""
    settings = flags(platform, "-C target-feature=-crt-static") if platform.musl else {}
    return ["cargo-zigbuild", "rustc", "--target", platform.target + glibc], settings


def flags(platform, rust, linker=None):
    variable = f"CARGO_TARGET_{platform.target.upper().replace('-', '_')}"
    return {f"{variable}_RUSTFLAGS": rust} | ({f"{variable}_LINKER": linker} if linker else {})


def for_macos(platform, folder, profile):
    """zig's own linker for Mach-O leaves out the list of exports. Rust's has it, and signs for Apple's processors."""
    system = folder / "macos/usr/lib"
    system.mkdir(parents=True, exist_ok=True)
    stub = folder / "tools/ziglang/lib/libc/darwin/libSystem.tbd"
    # The C library and that of arithmetic are names for the system's one; iconv is named, and not used.
    for name in ("System", "c", "m", "iconv"):
        shutil.copyfile(stub, system / f"lib{name}.tbd")
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
    libraries = folder / "android" / platform.machine
    libraries.mkdir(parents=True, exist_ok=True)
    zig = [sys.executable, "-m", "ziglang"]
    target = ["-target", f"{platform.machine}-linux-musl"]
    run = lambda *command: subprocess.run([*zig, *command], check=True, env=environment(folder), cwd=libraries)
    (libraries / "empty.c").write_text("")
    for name in ANDROID_LIBRARIES:
        run("cc", *target, "-shared", "-nostdlib", "-fPIC", f"-Wl,-soname,lib{name}.so", "-o", f"lib{name}.so", "empty.c")
    source = folder / "tools/ziglang/lib/libunwind"
    options = ["-O2", "-fPIC", "-DNDEBUG", "-fno-sanitize=undefined", "-fvisibility=hidden", "-D_LIBUNWIND_HIDE_SYMBOLS", f"-I{source}/include", f"-I{source}/src"]
    for name in UNWINDER:
        language = ["-fno-exceptions", "-fno-rtti", "-funwind-tables", "-nostdinc++"] if name.endswith(".cpp") else ["-fexceptions"]
        run("cc", *target, *options, *language, "-c", f"{source}/src/{name}", "-o", f"{name}.o")
    run("ar", "rcs", "libunwind.a", *(f"{name}.o" for name in UNWINDER))
    # 16 KB is the page of newer phones.
    rust = f"-C linker-flavor=ld.lld -L native={libraries} -C link-arg=-soname=fafcas.so -C link-arg=-zmax-page-size=16384"
    return ["cargo", "rustc", "--target", platform.target], flags(platform, rust, "rust-lld")


if __name__ == "__main__":
    main(*sys.argv[1:])
