"""Texts that others made, from Debian's packages: WordNet's entries, and the manual pages of Linux.

Packages are fetched and unpacked, not installed. Where there is no `apt-get`, unpack `wordnet-base` by hand and name the folder
with data.noun in the variable WORDNET, and the folder with man1 to man8 of `manpages` and `manpages-dev` in MANPAGES. Both are
free, each under its own licence; nothing of them is kept in this repository.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from fetch_wordnet import dictionary, unpack  # noqa: E402

KINDS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}

# WordNet's signs for what is about the same thing: kinds and parts of, entailed, caused, similar. Not opposites, words of
# one stem and subjects.
LINKS = {"@", "@i", "~", "~i", "#m", "#s", "#p", "%m", "%s", "%p", "*", ">", "&", "^", "$"}


class Missing(Exception):
    """The texts of a task cannot be had here."""


@dataclass
class Synset:
    id: str
    lemmas: list
    definition: str
    examples: list
    links: list


@dataclass
class Page:
    names: list
    summary: str
    text: str


def wordnet(cache):
    """All 117,659 entries, in the order of the files."""
    folder = cache / "wordnet"
    if not all((folder / f"data.{name}").exists() for name in KINDS):
        fetched(lambda scratch: shutil.copytree(dictionary(scratch), folder, dirs_exist_ok=True), "wordnet-base")
    lines = ((line, kind) for name, kind in KINDS.items() for line in (folder / f"data.{name}").read_text("ascii").splitlines())
    return [synset(line, kind) for line, kind in lines if not line.startswith("  ")]


def synset(line, kind):
    """A line as wndb(5) tells: offset, file, kind, number of words in hexadecimal, words each with a number, links, gloss."""
    fields, _, gloss = line.partition(" | ")
    fields = fields.split()
    count = int(fields[3], 16)
    lemmas = [word.partition("(")[0].replace("_", " ") for word in fields[4 : 4 + 2 * count : 2]]
    start = 4 + 2 * count
    links = [link(fields[at : at + 3]) for at in range(start + 1, start + 1 + 4 * int(fields[start]), 4) if fields[at] in LINKS]
    return Synset(f"{fields[0]}-{kind}", lemmas, gloss.partition('"')[0].strip(" ;"), re.findall(r'"([^"]+)"', gloss), links)


def link(fields):
    _, offset, kind = fields
    return f"{offset}-{'a' if kind == 's' else kind}"


def manual(cache):
    """Pages that are not only another name for one, in the order of their names."""
    folder = cache / "manual"
    if "MANPAGES" in os.environ:
        folder = Path(os.environ["MANPAGES"])
    elif not folder.exists():
        for package in ("manpages", "manpages-dev"):
            fetched(lambda scratch, package=package: copy_pages(package, scratch, folder), package)
    files = sorted(folder.glob("man?/*.gz"), key=lambda file: file.name)
    return [found for found in map(page, files) if found]


def copy_pages(package, scratch, folder):
    print(f"quality: downloading {package}", file=sys.stderr, flush=True)
    unpack(package, scratch)
    shutil.copytree(next(Path(scratch).rglob("man7" if package == "manpages" else "man3")).parent, folder, dirs_exist_ok=True)


def fetched(fetch, package):
    with tempfile.TemporaryDirectory() as scratch:
        try:
            fetch(scratch)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Missing(f"{package} could not be fetched ({error})") from error


def page(file):
    parts = sections(gzip.decompress(file.read_bytes()).decode("utf-8", "replace"))
    names, dash, summary = parts.get("NAME", "").partition(" - ")
    text = parts.get("DESCRIPTION", "")
    return Page(names.split(", "), summary, text) if dash and summary and text else None


def sections(source):
    """The plain text under each heading."""
    found, heading = {}, None
    for line in source.splitlines():
        if line.startswith(".SH"):
            heading = line[3:].strip(' "')
        elif heading and (text := plain(line)):
            found[heading] = f"{found[heading]} {text}" if heading in found else text
    return found


def plain(line):
    """A line without its markup; nothing of one that is markup alone."""
    if line.startswith("."):
        macro, _, rest = line[1:].partition(" ")
        if macro not in ("B", "I", "BR", "RB", "BI", "IB", "IR", "RI", "SM", "SB"):
            return ""
        between = "" if len(macro) == 2 and macro not in ("SM", "SB") else " "
        line = between.join(quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', rest))
    line = re.sub(r"\\f(\(..|\[[^\]]*\]|.)", "", line).replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")
    return re.sub(r"\\(\(..|\[[^\]]*\]|.)", "", line).strip(" '")
