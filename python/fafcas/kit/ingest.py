"""A folder of notes becomes nodes and edges; run again, it writes only what changed.

Each step is in transactions of its own and begins by looking at what is there, so that it can be killed at any point: the next
run goes on, in the same order, and ends in the same database.

A note that fits into one chunk is one node. A longer one is a hollow node, whose content is in its chunks: nodes of type
`chunk`, with edges `part_of` to it. Links between notes are edges of type `links`, from note to note; context_source is the
node in which the link stands.
"""

from __future__ import annotations

import bisect
import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from . import folder as folders
from . import formats
from . import note as notes
from .database import Refused, load, script, statements, transaction
from .show import bar, batches, watched
from .statement import packed

# A change in the way notes are read: all of them are read again.
RECIPE = "2"
BATCH_NOTES = 200
BATCH_BYTES = 4 << 20
BATCH_VECTORS = 64


# A chunk of a note: its offset in the body, and its text.
Part = tuple[int, str]

# A note that is to be written: its id, the digest of its file, and what was read.
Read = tuple[str, str, notes.Note]


@dataclass
class Report:
    """What became of the notes."""

    name: str
    new: int = 0
    changed: int = 0
    same: int = 0
    gone: int = 0
    links: int = 0
    open_links: int = 0
    embedded: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)


def ingest(connection: apsw.Connection, folder: str | Path, model: str, name: str | None = None) -> Report:
    """Brings the knowledge base up to what is in the folder."""
    root, found = notes_in(folder)
    report = Report(claim(connection, root, name), skipped=dict(found.skipped), others=found.others)
    write_notes(connection, root, found, model_of(connection, model), report)
    remove_gone(connection, found, report)
    write_links(connection, report)
    embed(connection, model, report)
    bring_index_up(connection)
    connection.execute("PRAGMA optimize").fetchall()
    return report


def notes_in(folder: str | Path) -> tuple[Path, folders.Found]:
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise Refused(f"{folder}: expected a folder of notes")
    found = folders.scan(root)
    if not found.paths:
        endings = ", ".join(folders.ENDINGS)
        raise Refused(f"{root}: expected notes that end in {endings}, not none; nothing was changed")
    return root, found


def check(folder: str | Path, model: str, library: str | Path) -> None:
    """Fails where an ingest would, before a file is made for it."""
    notes_in(folder)
    connection = apsw.Connection(":memory:")
    load(connection, library)
    model_of(connection, model)
    connection.execute("SELECT embed('', ?)", (model,)).fetchall()


def claim(connection: apsw.Connection, root: Path, name: str | None) -> str:
    """The first part of the notes' ids, which is the folder's for good. The folder may move."""
    name = name or root.resolve().name
    path = str(root.resolve()).encode("utf-8", "backslashreplace").decode()
    if not name or "/" in name or "#" in name:
        raise Refused(f"{root}: expected a name for its notes, without / and #, not {name!r}; say --called NAME (with make: CALLED=NAME)")
    with transaction(connection):
        before = connection.execute("SELECT path FROM folders WHERE name = ?", (name,)).get
        if before not in (None, path) and Path(before).is_dir():
            raise Refused(f"{root}: the knowledge base has notes named {name} from {before}; say --called NAME (with make: CALLED=NAME) for these")
        connection.execute(
            "INSERT INTO folders VALUES (?, ?) ON CONFLICT DO UPDATE SET path = excluded.path WHERE path <> excluded.path",
            (name, path),
        )
    return name


@dataclass
class Model:
    """What notes are cut by."""

    name: str
    fingerprint: str
    most: int


def model_of(connection: apsw.Connection, name: str) -> Model:
    row = connection.execute("SELECT fingerprint, max_tokens FROM fafcas_models WHERE name = ?", (name,)).fetchone()
    if row is None:
        there = ", ".join(sorted(found for (found,) in connection.execute("SELECT name FROM fafcas_models"))) or "none is there"
        raise Refused(f"expected a model that is there ({there}), not {name}; `fafcas model` or `make model MODEL=...` makes one")
    # A part of the room is for the title, which is embedded with every chunk.
    return Model(name, row[0], max(1, row[1] * 3 // 4))


def write_notes(connection: apsw.Connection, root: Path, found: folders.Found, model: Model, report: Report) -> None:
    known = dict(connection.execute("SELECT id, hash FROM documents WHERE folder = ?", (report.name,)))
    batch, size = [], 0
    for path in watched(found.paths, "reading notes"):
        try:
            content = folders.read(root / path)
            mark = digest(f"{RECIPE} {model.fingerprint} {model.most} ".encode(), content)
            id = f"{report.name}/{path}"
            if known.get(id) == mark:
                report.same += 1
                continue
            text, guess = formats.as_markdown(path, content)
            note = notes.parse(text, path)
        except folders.Unreadable as error:
            report.skipped[path] = str(error)
            continue
        if note.warning or guess:
            report.warnings[path] = "; ".join(filter(None, (guess, note.warning)))
        report.new, report.changed = report.new + (id not in known), report.changed + (id in known)
        batch.append((id, mark, note))
        size += len(content)
        if len(batch) >= BATCH_NOTES or size >= BATCH_BYTES:
            write_batch(connection, report.name, batch, model)
            batch, size = [], 0
    write_batch(connection, report.name, batch, model)
    # What could not be read this time is left as it was.
    found.skipped = report.skipped


def digest(*parts: bytes) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest()


def write_batch(connection: apsw.Connection, name: str, batch: list[Read], model: Model) -> None:
    if not batch:
        return
    documents, edges, links = [], [], []
    nodes: list[dict[str, Any]] = []
    for id, mark, note in batch:
        parts = chunks(connection, note, model)
        nodes += as_nodes(id, note, parts)
        edges += [{"source": part_id(id, at), "target": id, "type": "part_of"} for at in range(len(parts))]
        starts = [start for start, _ in parts]
        links += [{"document": id, "target": target, "part": part_at(id, starts, at)} for at, target in note.links]
        documents.append({"id": id, "hash": mark, "nodes": [id, *(part_id(id, at) for at in range(len(parts)))]})
    with transaction(connection):
        connection.execute(script("queries/ingest.sql"), {"nodes": packed(nodes), "edges": packed(edges)})
        connection.execute(DOCUMENTS, {"folder": name, "documents": packed(documents), "links": packed(links)})


DOCUMENTS = """
DELETE FROM nodes WHERE seq IN (
    SELECT n.seq FROM json_each(:documents) AS d JOIN nodes AS n ON n.source = d.value ->> 'id'
    WHERE  n.type = 'chunk' AND substr(n.id, 1, length(d.value ->> 'id') + 1) = (d.value ->> 'id') || '#'
    AND    n.id NOT IN (SELECT value FROM json_each(d.value -> 'nodes')));
INSERT INTO documents (id, folder, hash)
SELECT value ->> 'id', :folder, value ->> 'hash' FROM json_each(:documents) WHERE true
ON CONFLICT DO UPDATE SET folder = excluded.folder, hash = excluded.hash;
DELETE FROM links WHERE document IN (SELECT value ->> 'id' FROM json_each(:documents));
INSERT INTO links (document, target, part)
SELECT value ->> 'document', value ->> 'target', value ->> 'part' FROM json_each(:links);
"""


def chunks(connection: apsw.Connection, note: notes.Note, model: Model) -> list[Part]:
    """The chunks of a note as (offset in its body, text); none where the whole is one."""
    rows = connection.execute("SELECT start, text FROM chunk(?, ?, 0, ?)", (note.body, model.most, model.name))
    parts = [(start - 1, text) for start, text in rows if not is_heading(text)]
    return parts if len(parts) > 1 else []


def is_heading(text: str) -> bool:
    return all(notes.HEADING.match(line) or not line.strip() for line in text.split("\n"))


def as_nodes(id: str, note: notes.Note, parts: list[Part]) -> Iterator[dict[str, Any]]:
    columns: dict[str, Any] = dict(note.columns)
    if columns.get("type") == "chunk":
        columns["type"] = "note"
    content = None if parts else note.body.strip()
    if parts:
        columns.setdefault("summary", notes.summary(note.body))
    whole = columns | {"id": id, "title": note.title, "meta": note.meta or None, "source": id, "content": content}
    yield whole | {"hash": text_hash(note.title, columns.get("summary"), content)}
    inherited = {name: columns[name] for name in ("domain", "layer", "date") if name in columns}
    titles = notes.sections(note, [offset for offset, _ in parts])
    for at, ((_, text), title) in enumerate(zip(parts, titles)):
        part = {"id": part_id(id, at), "type": "chunk", "title": title, "source": id, "content": text}
        yield inherited | part | {"hash": text_hash(title, None, text)}


def text_hash(*texts: str | None) -> str:
    return digest(*(f"{len(text)} {text}".encode() for text in texts if text is not None))


def part_id(id: str, at: int) -> str:
    return f"{id}#{at + 1}"


def part_at(id: str, starts: list[int], offset: int) -> str:
    """The node that has the character at this offset, where parts start at these."""
    return part_id(id, max(0, bisect.bisect_right(starts, offset) - 1)) if starts else id


def remove_gone(connection: apsw.Connection, found: folders.Found, report: Report) -> None:
    paths, start = set(found.paths), len(report.name) + 1
    ids = [id for (id,) in connection.execute("SELECT id FROM documents WHERE folder = ?", (report.name,))]
    gone = [id for id in ids if id[start:] not in paths and not found.keeps(id[start:])]
    if gone:
        with transaction(connection):
            connection.execute(GONE, {"documents": packed(gone)})
    report.gone = len(gone)


# Edges and documents go with their nodes.
GONE = """
DELETE FROM nodes WHERE seq IN (
    SELECT n.seq FROM json_each(:documents) AS d JOIN nodes AS n ON n.source = d.value
    WHERE  n.id = d.value OR n.type = 'chunk' AND substr(n.id, 1, length(d.value) + 1) = d.value || '#')
"""


def write_links(connection: apsw.Connection, report: Report) -> None:
    """Makes the edges of the folder's notes those that their links say, now that all notes are there."""
    resolver = Resolver(report.name, connection.execute("SELECT id FROM documents WHERE folder = ?", (report.name,)))
    wanted: dict[tuple[str, str], str] = {}
    links = "SELECT l.document, l.target, l.part FROM links AS l JOIN documents AS d ON d.id = l.document WHERE d.folder = ?"
    for document, target, part in connection.execute(links + " ORDER BY l.document, l.part, l.target", (report.name,)):
        end = resolver.find(target)
        report.open_links += end is None
        if end is not None and end != document:
            wanted.setdefault((document, end), part)
    edges = [
        {"source": source, "target": target, "type": "links", "context_source": part}
        for (source, target), part in wanted.items()
    ]
    report.links = len(edges)
    with transaction(connection):
        connection.execute(LINKS, {"folder": report.name, "edges": packed(edges)})
        connection.execute(script("queries/ingest.sql"), {"nodes": "[]", "edges": packed(edges)})


LINKS = """
DELETE FROM edges
WHERE  type = 'links' AND source IN (SELECT id FROM documents WHERE folder = :folder)
AND   (source, target) NOT IN (SELECT value ->> 'source', value ->> 'target' FROM json_each(:edges))
"""


class Resolver:
    """Finds the note that a link means: by its path, else by its name, the shortest path first. Case does not count."""

    def __init__(self, name: str, ids: Iterable[tuple[str]]) -> None:
        self.by_path: dict[str, str] = {}
        self.by_name: dict[str, str] = {}
        for (id,) in sorted(ids, key=lambda row: (row[0].count("/"), len(row[0]), row[0])):
            path = id[len(name) + 1 :].casefold()
            bare = posixpath.splitext(path)[0]
            for key in (path, bare):
                self.by_path.setdefault(key, id)
                self.by_name.setdefault(posixpath.basename(key), id)

    def find(self, target: str) -> str | None:
        path = target.casefold().lstrip("/")
        if target.startswith("/") or path in self.by_path:
            return self.by_path.get(path)
        return self.by_name.get(posixpath.basename(path))


def embed(connection: apsw.Connection, model: str, report: Report) -> None:
    """In batches that are committed one by one."""
    *choose, one_batch = statements("queries/reembed.sql")
    values: dict[str, Any] = {"model": model}
    for statement in choose:
        connection.execute(statement, values)
    total = connection.execute("SELECT count(*) FROM stale").get
    with bar(total, "embedding") as step:
        for values["batch"] in batches(BATCH_VECTORS):
            connection.execute(one_batch, values)
            done = connection.changes()
            if not done:
                break
            step(done)
            report.embedded += done


def bring_index_up(connection: apsw.Connection) -> None:
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'nodes_vec'").get is None:
        connection.execute("CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, embedding)")
        return
    state = connection.execute("SELECT value FROM nodes_vec WHERE property = 'state'").get
    connection.execute("INSERT INTO nodes_vec (nodes_vec) VALUES (?)", ("rebuild" if state == "rebuild" else "merge",))
