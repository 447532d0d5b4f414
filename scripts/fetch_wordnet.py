"""WordNet 3.0 as texts to measure with: one line "lemma, lemma: gloss" for each of 117,659 entries, in a fixed random order.

    python scripts/fetch_wordnet.py FILE

From Debian's package `wordnet-base`, which is fetched and unpacked, not installed. Where there is no `apt-get`, unpack that
package by hand and name the folder with data.noun in the variable WORDNET. WordNet is Princeton's, free with its notice.
"""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path


def dictionary(scratch):
    """The folder of the dictionary's files."""
    if "WORDNET" in os.environ:
        return Path(os.environ["WORDNET"])
    print("wordnet: downloading wordnet-base", flush=True)
    unpack("wordnet-base", scratch)
    return next(Path(scratch).rglob("data.noun")).parent


def unpack(package, scratch):
    """A Debian package's files, in a folder that holds no other package."""
    subprocess.run(["apt-get", "download", "-qq", package], cwd=scratch, check=True)
    subprocess.run(["dpkg", "-x", next(Path(scratch).glob("*.deb")), scratch], check=True)


def entry(line):
    """One line of a data file: offset, file, kind, number of words in hexadecimal, words with a number after each, ..."""
    fields, _, gloss = line.partition(" | ")
    fields = fields.split()
    words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
    lemmas = ", ".join(word.partition("(")[0].replace("_", " ") for word in words)
    return f"{lemmas}: {gloss.strip()}"


def main(target):
    with tempfile.TemporaryDirectory() as scratch:
        folder = dictionary(scratch)
        files = [(folder / f"data.{kind}").read_text(encoding="ascii") for kind in ("noun", "verb", "adj", "adv")]
    texts = [entry(line) for content in files for line in content.splitlines() if not line.startswith("  ")]
    random.Random(1).shuffle(texts)
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text("\n".join(texts) + "\n", encoding="utf-8")
    print(f"wordnet: {target} holds {len(texts)} texts")


if __name__ == "__main__":
    main(*sys.argv[1:])
