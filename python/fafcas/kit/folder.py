"""Finds the notes under a folder and their bytes, passing over what is none. Nothing here stops for one bad file."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from .formats import READERS, Unreadable

ENDINGS = tuple(READERS)
LARGEST = 16 << 20
LARGEST_PDF = 128 << 20  # most of which are pictures


@dataclass
class Found:
    """The notes of a folder, by their path from it, and what was passed over and why."""

    paths: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # path: why; a folder's path ends in a slash
    again: set[str] = field(default_factory=set)  # those of them that were read under another path
    others: dict[str, list[str]] = field(default_factory=dict)  # the files of each ending that is not read

    def keeps(self, path: str) -> bool:
        """Whether a note that is not among the paths may still be there, where it could not be seen."""
        unseen = self.skipped.keys() - self.again
        return any(path == place or (place.endswith("/") and path.startswith(place)) for place in unseen)


def scan(root: str | Path) -> Found:
    """Hidden files and folders are left out. Linked folders are followed, each only once."""
    found = Found()
    walk(Path(root), "", {}, found)
    found.paths.sort()
    for paths in found.others.values():
        paths.sort()
    return found


def walk(root: Path, inside: str, seen: dict[tuple[int, int], str], found: Found) -> None:
    folders = [inside]
    while folders:
        inside = folders.pop()
        try:
            here = os.stat(root / inside)
            identity = (here.st_dev, here.st_ino)
            if identity in seen:
                found.again.add(inside)
                found.skipped[inside] = f"a link to {seen[identity] or 'the whole folder'}, which is read already"
                continue
            seen[identity] = inside
            entries = sorted(os.scandir(root / inside), key=lambda entry: entry.name)
        except OSError as error:
            found.skipped[inside] = reason(error)
            continue
        # Folders themselves before links to them, so that a note has the path that does not lead through a link.
        links: list[str] = []
        for entry in entries:
            place(entry, inside + entry.name, links, folders, found)
        folders[:0] = links


def place(entry: os.DirEntry[str], path: str, links: list[str], folders: list[str], found: Found) -> None:
    if entry.name.startswith("."):
        return
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        found.skipped[path.encode("utf-8", "backslashreplace").decode()] = "its name is not UTF-8"
        return
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        if entry.is_symlink() or entry.name.lower().endswith(ENDINGS):
            found.skipped[path] = "a link in a circle" if error.errno == errno.ELOOP else reason(error)
        return
    if stat.S_ISDIR(mode):
        (links if entry.is_symlink() else folders).append(path + "/")
    elif entry.name.lower().endswith(ENDINGS):
        if stat.S_ISREG(mode):
            found.paths.append(path)
        else:
            found.skipped[path] = "not an ordinary file"
    else:
        found.others.setdefault(Path(path).suffix.lower() or "no ending", []).append(path)


def read(path: str | Path) -> bytes:
    """The bytes of a note."""
    try:
        size, most = os.stat(path).st_size, LARGEST_PDF if Path(path).suffix.lower() == ".pdf" else LARGEST
        if size > most:
            raise Unreadable(f"{size / (1 << 20):.0f} MB; the most is {most >> 20} MB")
        return Path(path).read_bytes()
    except OSError as error:
        raise Unreadable(reason(error)) from error


def reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
