"""The platforms that fafcas is built for, and what the library of each must be."""

from dataclasses import dataclass

# Of a library as it is shipped, of one without the features `onnx` and `text`, and of one without link-time optimisation, which is
# several times as large.
MOST_BYTES = {None: 6_500_000, "--small": 2_500_000, "--quick": 50_000_000}


@dataclass(frozen=True)
class Platform:
    """`name` is that of folders and archives. `oldest` is the version of glibc, of macOS, or of Android's interface."""

    name: str
    target: str
    # What Rust's target is called by Node: `process.platform`, `process.arch`, and the C library where there are two.
    node: tuple
    oldest: str = ""
    # The tag of the wheel.
    wheel: str = ""

    @property
    def system(self):
        return self.name.split("-")[0]

    @property
    def machine(self):
        return self.name.split("-")[1]

    @property
    def musl(self):
        return self.name.endswith("-musl")

    @property
    def library(self):
        """The name of the library's file."""
        return {"windows": "fafcas.dll", "macos": "fafcas.dylib"}.get(self.system, "fafcas.so")

    @property
    def built(self):
        """The name that cargo gives it."""
        return self.library if self.system == "windows" else "lib" + self.library

    @property
    def npm(self):
        """The name of its npm package."""
        return "-".join(("fafcas", *self.node))


GLIBC = "2.17"
# Android 7.
ANDROID = "24"
PLATFORMS = [
    Platform("linux-x86_64", "x86_64-unknown-linux-gnu", ("linux", "x64", "glibc"), GLIBC, "manylinux_2_17_x86_64.manylinux2014_x86_64"),
    Platform("linux-aarch64", "aarch64-unknown-linux-gnu", ("linux", "arm64", "glibc"), GLIBC, "manylinux_2_17_aarch64.manylinux2014_aarch64"),
    Platform("linux-x86_64-musl", "x86_64-unknown-linux-musl", ("linux", "x64", "musl"), "", "musllinux_1_2_x86_64"),
    Platform("linux-aarch64-musl", "aarch64-unknown-linux-musl", ("linux", "arm64", "musl"), "", "musllinux_1_2_aarch64"),
    Platform("windows-x86_64", "x86_64-pc-windows-gnu", ("win32", "x64"), "", "win_amd64"),
    Platform("macos-x86_64", "x86_64-apple-darwin", ("darwin", "x64"), "10.12", "macosx_10_12_x86_64"),
    Platform("macos-aarch64", "aarch64-apple-darwin", ("darwin", "arm64"), "11.0", "macosx_11_0_arm64"),
    Platform("android-x86_64", "x86_64-linux-android", ("android", "x64"), ANDROID, f"android_{ANDROID}_x86_64"),
    Platform("android-aarch64", "aarch64-linux-android", ("android", "arm64"), ANDROID, f"android_{ANDROID}_arm64_v8a"),
]


def named(name):
    for platform in PLATFORMS:
        if platform.name == name:
            return platform
    raise SystemExit(f"expected one of {', '.join(platform.name for platform in PLATFORMS)}, not {name}")
