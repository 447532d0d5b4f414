"""Lays out the files of a package in an empty folder, for the tool of its registry: package.py KIND FOLDER [REPOSITORY]

KIND is `wheel`, `sdist`, `npm` or `crate`. With the address of the repository the package names its homepage, its changelog and
the like, and the links of its page lead there.
"""

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LICENSES = ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"]
# What cargo needs to build the library, and what it needs to publish it.
SOURCES = ["Cargo.toml", "Cargo.lock", "src", "include", "sys"]
LEAVE_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "target")


def main(kind, folder, repository=""):
    folder, repository = Path(folder), repository.rstrip("/")
    if folder.exists():
        shutil.rmtree(folder)
    {"wheel": wheel, "sdist": sdist, "npm": npm, "crate": crate}[kind](folder, repository)


def wheel(folder, repository):
    copy(["python"], folder.parent, renamed=folder.name)
    copy(LICENSES, folder)
    copy(["sql"], folder / "fafcas")
    page("python", folder, repository)
    if repository:
        urls = "\n".join(f"{name} = {json.dumps(url)}" for name, url in addresses(repository).items())
        change(folder / "pyproject.toml", "[project.scripts]", f"[project.urls]\n{urls}\n\n[project.scripts]")


def sdist(folder, repository):
    wheel(folder, repository)
    copy([*SOURCES, *LICENSES], folder / "rust")
    without_benches(folder / "rust/Cargo.toml")


def npm(folder, repository):
    copy(["node"], folder.parent, renamed=folder.name)
    copy(["sql", *LICENSES], folder)
    page("node", folder, repository)
    if repository:
        file = folder / "package.json"
        named = {"homepage": f"{repository}#readme", "repository": {"type": "git", "url": f"git+{repository}.git"}, "bugs": f"{repository}/issues"}
        file.write_text(json.dumps(json.loads(file.read_text()) | named, indent=2) + "\n")


def crate(folder, repository):
    copy([*SOURCES, *LICENSES, "examples"], folder)
    manifest = folder / "Cargo.toml"
    without_benches(manifest)
    if repository:
        change(manifest, "\nreadme = ", f"\nrepository = {json.dumps(repository)}\nhomepage = {json.dumps(repository)}\nreadme = ")


def copy(names, folder, renamed=None):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        source, target = ROOT / name, folder / (renamed or name)
        if source.is_dir():
            shutil.copytree(source, target, ignore=LEAVE_OUT)
        else:
            shutil.copyfile(source, target)


def page(name, folder, repository):
    """The page of the docs as the package's own, where links to its neighbours would lead nowhere."""
    text = (ROOT / f"docs/{name}.md").read_text()
    if repository:
        text = re.sub(r"\]\((\w[\w-]*\.md)", rf"]({repository}/blob/HEAD/docs/\1", text)
    else:
        text = re.sub(r"\[([^\]]+)\]\(\w[\w-]*\.md[^)]*\)", r"\1", text)
    (folder / "README.md").write_text(text)


def addresses(repository):
    return {
        "Homepage": repository,
        "Repository": repository,
        "Documentation": f"{repository}/tree/HEAD/docs",
        "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


def without_benches(manifest):
    """cargo refuses a manifest that names files which are not there."""
    text = manifest.read_text()
    manifest.write_text(re.sub(r"\[\[bench\]\]\n(?:.+\n)+\n", "", text))


def change(file, old, new):
    text = file.read_text()
    if old not in text:
        sys.exit(f"{file}: expected {old!r}")
    file.write_text(text.replace(old, new, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
