"""The texts that vectors are made of, each once, in a fixed random order. They come from Debian's packages, by apt, without root."""

import gzip
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent

sys.path.insert(0, str(HERE.parents[1] / "scripts"))


def wordnet(folder: Path) -> list[str]:
    """The entries in their fixed random order, by the script that the other benches use too."""
    import fetch_wordnet

    file = folder / "wordnet.txt"
    if not file.exists():
        fetch_wordnet.main(str(file))
    return file.read_text(encoding="utf-8").splitlines()


def debian(folder: Path) -> list[str]:
    """Sentences and paragraphs of Debian's package descriptions in English, each once, in a fixed random order."""
    file = folder / "debian.txt"
    if not file.exists():
        keep((text for block in descriptions(folder / "apt") for text in sentences(block)), file)
        shutil.rmtree(folder / "apt")
    return file.read_text(encoding="utf-8").splitlines()


def descriptions(folder: Path) -> Iterator[str]:
    """The lists of apt, of four releases, which differ in part. It keeps them apart from the system's, and needs no root."""
    print("data: fetching the package descriptions of Debian (80 MB, which take 360 MB until they are read)", flush=True)
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    format_ = ["--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Component: main"]
    addresses = subprocess.run(["apt-get", "indextargets", *format_], capture_output=True, text=True, check=True).stdout.split()
    address = next(address for address in addresses if "security" not in address)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    releases = ("oldstable", "stable", "testing", "unstable")
    (folder / "sources.list").write_text("".join(f"deb [signed-by={key}] {address} {name} main contrib\n" for name in releases))
    settings = {
        "Dir::Etc::SourceList": folder.resolve() / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::lists": folder.resolve() / "lists",
        "Dir::Cache": folder.resolve() / "cache",
        "Acquire::Languages": "en",
        "Acquire::GzipIndexes": "false",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "APT::Sandbox::User": "root",
    }
    subprocess.run(["apt-get", "update", "-qq", *(f"-o{name}={value}" for name, value in settings.items())], check=True)
    for file in sorted((folder / "lists").glob("*_Translation-en")):
        yield from file.read_text(encoding="utf-8").split("\n\n")


def sentences(block: str) -> Iterator[str]:
    """Of one description: its title, its paragraphs and items, and their sentences where there are several."""
    _, _, text = block.partition("Description-en: ")
    title, _, rest = text.partition("\n")
    if len(title) >= 20:
        yield title
    for paragraph in re.split(r"\n \.\n|\n(?=  ?[*-] )", rest):
        whole = " ".join(paragraph.split())
        for text in parts(whole):
            if len(text) >= 20:
                yield text


def manuals(folder: Path) -> list[str]:
    """Sentences and paragraphs of the documentation of Linux, and of a dictionary of English from 1913 with its quotations."""
    file = folder / "manuals.txt"
    if not file.exists():
        texts = {text for package in ("linux-doc", "dict-gcide") for page in pages(package) for text in prose(page)}
        keep(texts, file)
    return file.read_text(encoding="utf-8").splitlines()


def pages(package: str) -> Iterator[str]:
    """The files of a package that hold running text; of a package that only names another one, those of the other."""
    import fetch_wordnet

    named = subprocess.run(["apt-cache", "depends", "--important", package], capture_output=True, text=True, check=True).stdout
    real = next((line.split()[-1] for line in named.splitlines() if f"Depends: {package}-" in line), package)
    print(f"data: fetching {real}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        fetch_wordnet.unpack(real, scratch)
        for file in sorted(Path(scratch).rglob("*")):
            if file.is_file() and not file.is_symlink() and re.search(r"\.(rst|txt|dict)(\.gz|\.dz)?$", file.name):
                opener = gzip.open if file.suffix in (".gz", ".dz") else open
                with opener(file, "rt", encoding="utf-8", errors="replace") as page:
                    yield page.read()


def prose(page: str) -> Iterator[str]:
    """Its paragraphs, and their sentences where there are several. Tables, programs and lists of names have too few words."""
    for paragraph in re.split(r"\n\s*\n", page):
        whole = " ".join(paragraph.split())
        for text in parts(whole):
            words = text.split()
            if len(text) >= 40 and len(words) >= 6 and sum(map(str.isalpha, words)) >= 0.6 * len(words):
                yield text


def parts(whole: str) -> set[str]:
    """A paragraph, and its sentences."""
    return {whole, *re.split(r"(?<=[.!?:]) +(?=[A-Z(])", whole)}


def keep(texts: Iterable[str], file: Path) -> None:
    """Each once, a line each, in a fixed random order."""
    ordered = sorted(set(texts))
    random.Random(1).shuffle(ordered)
    print(f"data: {len(ordered):,} texts in {file.name}", flush=True)
    part = file.with_suffix(".part")
    part.write_text("\n".join(ordered) + "\n", encoding="utf-8")
    part.rename(file)
