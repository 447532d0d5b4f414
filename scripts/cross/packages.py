"""Makes the packages of the libraries that `build.py` has built: packages.py LIBRARIES FOLDER [REPOSITORY]

For each platform in LIBRARIES a wheel, an npm package and an archive that is a prefix; then the npm package that programs name, which
takes that of the platform, and the checksums of all. The archives have neither models nor ONNX Runtime, which `fafcas model`
and `make model` fetch.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import platforms

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import package  # noqa: E402 (it lies in another folder)

VERSION = json.loads((ROOT / "node/package.json").read_text())["version"]
# By which npm knows the C library of Linux.
NPM_FIELDS = ["os", "cpu", "libc"]


def main(libraries, folder, repository=""):
    libraries, folder = Path(libraries), Path(folder).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    there = [platform for platform in platforms.PLATFORMS if (libraries / platform.name / platform.library).is_file()]
    if not there:
        sys.exit(f"packages: expected libraries of `make cross` in {libraries}, not none")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for platform in there:
            library = (libraries / platform.name / platform.library).resolve()
            wheel(platform, library, scratch / "wheel", folder, repository)
            npm_of_platform(platform, library, scratch / "npm", folder, repository)
            archive(platform, library, folder)
        npm(there, scratch / "npm", folder, repository)
    checksums(folder)


def wheel(platform, library, scratch, folder, repository):
    package.main("wheel", scratch, repository)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", folder, scratch]
    settings = {"FAFCAS_LIBRARY": str(library), "FAFCAS_WHEEL_TAG": platform.wheel}
    subprocess.run(command, check=True, env={**os.environ, **settings})


def npm_of_platform(platform, library, scratch, folder, repository):
    """The library alone, for a platform that npm recognises."""
    package.main("npm", scratch, repository)
    manifest = json.loads((scratch / "package.json").read_text())
    for name in ("main", "types", "peerDependencies", "peerDependenciesMeta", "keywords"):
        del manifest[name]
    manifest |= {
        "name": platform.npm,
        "description": f"The library of the package fafcas for {platform.name}",
        "files": [platform.library, "LICENSE-*"],
        # Node does not look into it, and SQLite opens it by its path.
        "preferUnplugged": True,
        **{field: [value] for field, value in zip(NPM_FIELDS, platform.node)},
    }
    for file in scratch.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.name.startswith("LICENSE") or file.unlink()
    (scratch / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (scratch / "README.md").write_text(f"The library of the npm package `fafcas` for {platform.name}. Install `fafcas`, which takes this one.\n")
    shutil.copyfile(library, scratch / platform.library)
    pack(scratch, folder)


def npm(there, scratch, folder, repository):
    """The package that programs name. npm installs the one of those it names that fits, and leaves out the others."""
    package.main("npm", scratch, repository)
    file = scratch / "package.json"
    manifest = json.loads(file.read_text())
    manifest["files"].remove("libraries")
    manifest["optionalDependencies"] = {platform.npm: VERSION for platform in there}
    file.write_text(json.dumps(manifest, indent=2) + "\n")
    pack(scratch, folder)


def pack(scratch, folder):
    subprocess.run(["npm", "pack", "--silent", "--pack-destination", folder], cwd=scratch, check=True, stdout=subprocess.DEVNULL)


def archive(platform, library, folder):
    """What `make install` puts under a prefix. The times are the same each time, so that the checksums are."""
    name = f"fafcas-{VERSION}-{platform.name}"
    files = {f"{name}/lib/{platform.library}": library, f"{name}/include/fafcas.h": ROOT / "include/fafcas.h"}
    for file in sorted((ROOT / "sql").rglob("*")):
        if file.is_file():
            files[f"{name}/share/fafcas/{file.relative_to(ROOT)}"] = file
    for file in sorted((ROOT / "docs").glob("*.md")):
        files[f"{name}/share/doc/fafcas/docs/{file.name}"] = file
    for file in ("README.md", *package.LICENSES):
        files[f"{name}/share/doc/fafcas/{file}"] = ROOT / file
    if platform.system == "windows":
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
            for inside, file in files.items():
                zipped.writestr(zipfile.ZipInfo(inside), file.read_bytes(), zipfile.ZIP_DEFLATED)
        return
    files[f"{name}/share/man/man7/fafcas.7"] = ROOT / "docs/fafcas.7"
    with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as tar:
        for inside, file in files.items():
            entry = tar.gettarinfo(file, inside)
            entry.mode, entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0o755 if "/lib/" in inside else 0o644, 0, 0, 0, "", ""
            with file.open("rb") as content:
                tar.addfile(entry, content)


def checksums(folder):
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(lines))
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size:>9}  {file.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
