"""Fuzzing of the notes' readers by coverage: what `fafcas ingest` makes of any bytes. README.md says how.

`ingest.py FOLDER...` with the package `atheris` makes up bytes. The tests call `replay`, which does without it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))

# Packages of others are as they are: only what is imported in here is watched.
import apsw  # noqa: E402
import yaml  # noqa: E402, F401


def watched() -> Any:
    """The modules that are fuzzed, which know where they were where there is a fuzzer."""
    from fafcas.kit import database, folder, formats, ingest, note

    return database, folder, formats, ingest, note


# PDFs are left out: they are read by another package, whose every exception is a note that is passed over.
ENDINGS = (".md", ".md", ".md", ".txt", ".html", ".rst", ".org", ".markdown")
DIRECTLY = (".md", ".markdown", ".txt")


class Notes:
    """A knowledge base in memory, which keeps none of the notes that are written to it."""

    def __init__(self, library: str, kit: Any, model: str):
        self.database, self.folder, self.formats, self.ingest, self.note = kit
        self.connection = apsw.Connection(":memory:")
        self.database.load(self.connection, library)
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.database.make(self.connection, Path("memory"))
        self.connection.execute("INSERT INTO folders VALUES ('notes', 'notes')")
        # Of few tokens, so that short texts have several chunks.
        found = self.ingest.model_of(self.connection, model)
        self.model = self.ingest.Model(found.name, found.fingerprint, 8)

    def one(self, data: bytes) -> None:
        """Reads these bytes as a note and stores it. Whatever is wrong is an exception."""
        ending = ENDINGS[data[0] % len(ENDINGS)] if data else ".md"
        path, content = f"sub/note{ending}", data[1:]
        try:
            text, _ = self.formats.as_markdown(path, content)
        except self.formats.Unreadable:
            return
        if ending in DIRECTLY:
            assert squeezed(text) == squeezed(self.formats.decoded(content)[0]), "text is lost where nothing is read"
        note = self.note.parse(text, path)
        self.check(note, text)
        self.store(note)

    def check(self, note: Any, text: str) -> None:
        assert text.endswith(note.body), "the body is no part of the text"
        assert note.body == text or text.startswith("---\n"), "text is lost that is no front matter"
        assert note.title, "no title"
        json.dumps([note.title, note.columns, note.meta], allow_nan=False, ensure_ascii=False).encode()
        assert len(self.note.without_code(note.body)) == len(note.body), "places are moved by code"
        places = [at for at, _, _ in note.headings]
        assert places == sorted(set(places)), "headings out of order"
        assert all(note.body[at:].lstrip(" ").startswith("#" * level) for at, level, _ in note.headings), "a heading is elsewhere"
        targets = [target for _, target in note.links]
        assert len(set(targets)) == len(targets), "a link is there twice"
        for at, target in note.links:
            assert 0 <= at < len(note.body), "a link is elsewhere"
            assert target.encode() and not target.startswith("/.."), f"a link leads out: {target!r}"

    def store(self, note: Any) -> None:
        parts = [(start, part) for start, part in self.connection.execute(CHUNKS, (note.body, self.model.most, self.model.name))]
        assert squeezed("".join(part for _, part in parts)) == squeezed(note.body), "text is lost between chunks"
        self.ingest.write_batch(self.connection, "notes", [("notes/a.md", "mark", note)], self.model)
        stored = self.connection.execute("SELECT content FROM nodes ORDER BY seq").fetchall()
        found = "".join(content for (content,) in stored if content is not None)
        kept = [part for _, part in parts if not self.ingest.is_heading(part)]
        whole = kept if len(kept) > 1 else [note.body]
        assert squeezed(found) == squeezed("".join(whole)), "text is lost in the database"
        titles = self.connection.execute("SELECT title FROM nodes WHERE id = 'notes/a.md'").fetchall()
        assert titles == [(note.title,)], f"the title is {titles}, not {note.title!r}"
        links = self.connection.execute("SELECT count(*) FROM links").fetchall()
        assert links == [(len(note.links),)], "links are lost"
        self.connection.execute("DELETE FROM nodes; DELETE FROM documents; DELETE FROM history").fetchall()
        assert self.connection.execute("SELECT count(*) FROM links").fetchall() == [(0,)]


CHUNKS = "SELECT start, text FROM chunk(?, ?, 0, ?)"


def squeezed(text: str) -> str:
    """The text without white space."""
    return "".join(text.split())


def replay(library: str, folder: Path, model: str) -> int:
    """Every file that is kept, once more. Gives how many there are."""
    notes, files = Notes(library, watched(), model), sorted(folder.iterdir())
    for file in files:
        try:
            notes.one(file.read_bytes())
        except Exception as error:
            raise AssertionError(f"{file}: {error!r}") from error
    return len(files)


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["fafcas"]):
        kit = watched()
    notes = Notes(os.environ["FAFCAS_LIBRARY"], kit, "f32")
    atheris.Setup(sys.argv, notes.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
