"""What people write notes in, as the Markdown that `note` reads: headings, links, code and text; all else is left away.

None of these readers follows the whole of its format. What matters for a search is that no text is lost, that headings and
links are told from it, and that markup does not stand between the words.

All of them take time in proportion to the length of a text, as `note` does: no expression has two parts side by side that both fit
the same letters, or looks to the end of the text from many places.
"""

from __future__ import annotations

import html.parser
import importlib.util
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import PurePath
from typing import Any


class Unreadable(Exception):
    """Why a file is not a note."""


def as_markdown(path: str, content: bytes) -> tuple[str, str | None]:
    """The note's text, and what was guessed about it."""
    reader = READERS[PurePath(path).suffix.lower()]
    if reader is read_pdf:
        return read_pdf(content), None
    text, guess = decoded(content)
    return (text if reader is None else reader(text)), guess


def decoded(content: bytes) -> tuple[str, str | None]:
    """The text of a file's bytes, with plain line ends, and the encoding where it had to be guessed."""
    guess = None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace").replace("\0", " ")
    elif b"\0" in content:
        raise Unreadable(f"binary: a zero byte at {content.find(bytes(1))}")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            text, guess = guessed(content, error.start)
    return text.replace("\r\n", "\n").replace("\r", "\n"), guess


def guessed(content: bytes, at: int) -> tuple[str, str]:
    if importlib.util.find_spec("charset_normalizer") is None:
        raise Unreadable(f"not UTF-8 at byte {at}, and charset-normalizer, which would guess what else, is not installed")
    from charset_normalizer import from_bytes

    # That of Windows in the West is the commonest: it is taken where there is too little to tell from, and of those that fit as well.
    if sum(byte > 127 for byte in content) < 4:
        return content.decode("cp1252", "replace"), f"read as cp1252, as it is not UTF-8 at byte {at}"
    # UTF-16 and the like are left out, as they have a mark at the beginning.
    matches = from_bytes(content, cp_exclusion=["utf_16_be", "utf_16_le", "utf_32_be", "utf_32_le", "utf_7"])
    best = min(matches, key=lambda found: (found.chaos, -found.coherence, found.encoding != "cp1252"), default=None)
    if best is None:
        raise Unreadable(f"not UTF-8 at byte {at}, nor text of any encoding that is known")
    return str(best), f"read as {best.encoding}, as it is not UTF-8 at byte {at}"


def with_title(title: str | None, body: str) -> str:
    """A title goes into front matter. What JSON writes, YAML reads."""
    title = " ".join((title or "").split())
    return f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\n---\n{body}" if title else body


# HTML


class Page(html.parser.HTMLParser):
    SILENT = frozenset(("head", "script", "style", "nav", "template", "svg", "noscript", "form", "button", "select"))
    BLOCKS = frozenset(
        ("address", "article", "aside", "blockquote", "dd", "div", "dl", "dt", "figure", "figcaption", "footer", "header", "hr", "main")
        + ("ol", "p", "section", "table", "tr", "ul", "body", "html")
    )
    VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.titles: list[str] = []
        self.silent: list[str] = []  # elements that are not shown, and what is open in them
        self.open_silent: Counter[str] = Counter()  # how often each of them is there
        self.in_title = self.in_code = False
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "title" and not self.titles:
            self.in_title = True
        if self.silent or tag in self.SILENT:
            # A page may leave out the end of its head.
            if tag == "body":
                self.silent.clear()
                self.open_silent.clear()
            elif tag not in self.VOID:
                self.silent.append(tag)
                self.open_silent[tag] += 1
            return
        if re.fullmatch("h[1-6]", tag):
            self.parts.append(f"\n\n{'#' * int(tag[1])} ")
        elif tag == "pre":
            self.in_code = True
            self.parts.append("\n\n```\n")
        elif tag == "li":
            self.parts.append("\n- ")
        elif tag == "br":
            self.parts.append("\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag == "a":
            self.links.append(dict(attributes).get("href"))
            self.parts.append("[" if self.links[-1] else "")
        elif tag in self.BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self.in_title = False
        if self.silent:
            self.end_silent(tag)
            return
        if tag == "pre":
            self.in_code = False
            self.parts.append("\n```\n\n")
        elif tag == "a" and self.links:
            target = self.links.pop()
            self.parts.append(f"](<{target}>)" if target else "")
        elif tag in self.BLOCKS or re.fullmatch("h[1-6]", tag):
            self.parts.append("\n\n")

    def end_silent(self, tag: str) -> None:
        """What is open in an element ends with it."""
        ended = None if self.open_silent[tag] else tag
        while ended != tag:
            ended = self.silent.pop()
            self.open_silent[ended] -= 1

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Where `<![` ends. Python's own fails at a word that it does not know."""
        end = "]]>" if self.rawdata.startswith(CDATA, i) else ">"
        at = self.rawdata.find(end, i)
        return at + len(end) if at >= 0 else -1

    def handle_data(self, data: str) -> None:
        if self.in_title:
            self.titles.append(data)
        if not self.silent:
            self.parts.append(data if self.in_code else re.sub(r"\s+", " ", data))


CDATA = "<![CDATA["


def read_html(text: str) -> str:
    page = Page()
    for begin, end in (("<", ">"), ("<!--", "-->"), (CDATA, "]]>")):
        text = without_open(text, begin, end)
    page.feed(text)
    page.close()
    body = re.sub(r"(?<![ \t])[ \t]*\n[ \t]*\n\s*", "\n\n", "".join(page.parts))
    lines, code = [], False
    for line in body.split("\n"):
        code ^= line.startswith("```")
        lines.append(line if code else line.strip())
    body = "\n".join(lines).strip()
    # A page's own first heading says the same in fewer words than its title, which often names the site as well.
    return with_title(None if body.startswith("# ") else "".join(page.titles), body) + "\n"


def without_open(text: str, begin: str, end: str) -> str:
    """What begins where no end comes any more is text. Older Pythons look for the end of each, in time that grows with the square."""
    last = text.rfind(end) + len(end) if end in text else 0
    return text[:last] + text[last:].replace(begin, f"&lt;{begin[1:]}")


# reStructuredText

ADORNED = re.compile(r"^([^\w\s])\1{2,}\s*$")
# White space at the end of a group is taken away afterwards.
RST_LINK = re.compile(r"`([^`<]+)<([^`>]+)>`__?")
RST_DOC = re.compile(r":doc:`([^`<]+)(?:<([^`>]+)>)?`")
RST_ROLE = re.compile(r":[\w:+.-]{1,60}:`([^`<]+)(?:<[^`>]*>)?`")
RST_LITERAL = re.compile(r"``(.+?)``")
DIRECTIVE = re.compile(r"^(\s*)\.\.\s+([\w:-]+)::\s*(.*)$")
FIELD = re.compile(r"^\s*:[\w -]+:(\s.*)?$")
CODE = ("code", "code-block", "sourcecode", "highlight", "literalinclude", "math", "parsed-literal")


def read_rst(text: str) -> str:
    """Headings are of the level at which their kind of line first came."""
    lines, at = text.expandtabs().split("\n"), 0
    out: list[str] = []
    levels: dict[tuple[bool, str], int] = {}
    while at < len(lines):
        line, below = lines[at], lines[at + 1] if at + 1 < len(lines) else ""
        over = at + 2 < len(lines) and ADORNED.match(line) and below.strip() and lines[at + 2].strip() == line.strip()
        under = line.strip() and not line.startswith(" ") and ADORNED.match(below) and not ADORNED.match(line)
        if over or (under and len(below.rstrip()) >= len(line.rstrip())):
            kind = (bool(over), (line if over else below)[0])
            level = levels.setdefault(kind, len(levels) + 1)
            out.append(f"{'#' * min(6, level)} {inline((below if over else line).strip())}")
            at += 3 if over else 2
            continue
        directive = DIRECTIVE.match(line)
        if directive or line.rstrip().endswith("::") or line.startswith(".. "):
            at = block(lines, at, directive, out)
            continue
        out.append(inline(line))
        at += 1
    return "\n".join(out).strip() + "\n"


def block(lines: list[str], at: int, directive: re.Match[str] | None, out: list[str]) -> int:
    """A directive, a comment, or text with a literal block behind it. Gives the line after it."""
    line = lines[at]
    indent = len(line) - len(line.lstrip())
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    inside = lines[at + 1 : end]
    if directive is None and not line.startswith(".. "):
        before = line.rstrip()[:-1] if line.rstrip() != "::" else ""
        out.append(inline(before))
        out.extend(fenced(inside))
    elif directive and directive[2] in CODE:
        out.extend(fenced([code for code in inside if not FIELD.match(code)]))
    elif directive:
        # Notes, figures and the like: their words are text.
        out.append(inline(directive[3]) if directive[2] not in ("image", "figure", "include", "toctree", "contents") else "")
        out.extend(inline(words.strip()) for words in inside if not FIELD.match(words))
    out.append("")
    return end


def fenced(code: list[str]) -> list[str]:
    return ["", "```", *code, "```", ""] if any(line.strip() for line in code) else []


def inline(text: str) -> str:
    text = RST_DOC.sub(lambda link: f"[{link[1].rstrip()}](<{link[2] or link[1].rstrip()}>)", text)
    text = RST_LINK.sub(lambda link: f"[{link[1].rstrip()}](<{link[2]}>)", text)
    text = RST_ROLE.sub(lambda role: role[1].rstrip(), text)
    return RST_LITERAL.sub(r"`\1`", text)


# Org

ORG_LINK = re.compile(r"\[\[([^\[\]]+)\](?:\[([^\[\]]+)\])?\]")
ORG_HEADING = re.compile(r"^(\*+)\s+(?:(?:TODO|DONE|NEXT|WAITING)\s+)?(?:\[#[A-Z]\]\s+)?(.*)$")
ORG_TAGS = re.compile(r":[\w@#%:]+:")


def read_org(text: str) -> str:
    title, out, drawer, code = None, [], False, False
    for line in text.split("\n"):
        said = line.strip()
        keyword = said.upper()
        heading = ORG_HEADING.match(line)
        if keyword.startswith(("#+BEGIN_SRC", "#+BEGIN_EXAMPLE", "#+END_SRC", "#+END_EXAMPLE")):
            code = keyword.startswith("#+BEGIN")
            out.append("```")
        elif code:
            out.append(line)
        elif keyword.startswith("#+TITLE:"):
            title = said[8:]
        elif re.fullmatch(r":(PROPERTIES|LOGBOOK):", keyword):
            drawer = True
        elif keyword == ":END:":
            drawer = False
        elif heading:
            out.append(f"{'#' * min(6, len(heading[1]))} {linked(without_tags(heading[2]))}")
        elif not drawer and not said.startswith("#+") and not re.match(r"#(\s|$)", said):
            out.append(linked(line))
    return with_title(title, "\n".join(out).strip() + "\n")


def without_tags(heading: str) -> str:
    words, *last = heading.rsplit(None, 1) or [""]
    return words if last and ORG_TAGS.fullmatch(last[0]) else heading.rstrip()


def linked(text: str) -> str:
    return ORG_LINK.sub(as_link, text)


def as_link(link: re.Match[str]) -> str:
    path = link[1].removeprefix("file:")
    target = path.partition("::")[0] or path or link[1]
    return f"[{link[2] or target}](<{target}>)"


# PDF


def read_pdf(content: bytes) -> str:
    if importlib.util.find_spec("pypdf") is None:
        raise Unreadable("a PDF, which pypdf would read: pip install pypdf")
    import logging

    import pypdf

    # It warns of each thing that is odd in a file; what counts is whether there is text.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader: Any = pypdf.PdfReader(io.BytesIO(content))
        pages = [page.extract_text() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except Exception as error:
        raise Unreadable(f"a PDF that pypdf cannot read ({' '.join(str(error).split())[:80] or type(error).__name__})") from error
    text = "\n\n".join(page.strip() for page in pages if page.strip())
    if not text:
        raise Unreadable("a PDF without text, as of pictures of pages")
    # Lone halves of characters cannot be stored.
    return with_title(title, text.encode("utf-8", "replace").decode().replace("\0", " ") + "\n")


# By ending; None for what is Markdown or plain text already.
READERS: dict[str, Callable[[Any], str] | None] = {
    ".md": None,
    ".markdown": None,
    ".txt": None,
    ".text": None,
    ".html": read_html,
    ".htm": read_html,
    ".rst": read_rst,
    ".org": read_org,
    ".pdf": read_pdf,
}
