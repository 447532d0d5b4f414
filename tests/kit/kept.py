"""The notes that fuzz/corpus/ingest keeps, read and stored once more, and long ones of which each part looks like the beginning of
something."""

import sys
import unittest

from support import LIBRARY, MODEL, ROOT

sys.path.insert(0, str(ROOT / "fuzz"))

import apsw  # noqa: E402
import ingest as fuzzed  # noqa: E402
from fafcas.kit import database, formats, ingest, note  # noqa: E402

# Each made an expression start over at every place: a megabyte took hours.
BEGINNINGS = (
    ("a.md", "x{ticks}{letters}"),
    ("a.md", "{runs}"),
    ("a.md", "[](a \"{links}"),
    ("a.md", "# a{spaces}x"),
    ("a.md", "---\na: 1{colons}\n---\n# a"),
    ("a.html", "{tags}"),
    ("a.html", "<pre>{spaces}x"),
    ("a.html", "{drawings}{ends}"),
    ("a.html", "{drawings}{drawn}"),
    ("a.html", "<title>{bold}"),
    ("a.html", "{comments}"),
    ("a.html", "{sections}"),
    ("a.org", "* a{spaces}x"),
    ("a.org", "[[{searches}"),
    ("a.rst", "{roles}"),
    ("a.rst", "`a{spaces}"),
    ("a.rst", ":doc:`a{spaces}"),
    ("a.rst", ":ref:`a{spaces}"),
    ("a.rst", "{adorned}"),
)
PARTS = {
    "ticks": "`" * 500_000,
    "letters": "a" * 500_000,
    "runs": "x " + " ".join("`" * length for length in range(1, 1400)),
    "links": '[](a "' * 20_000,
    "spaces": " " * 1_000_000,
    "colons": ":1" * 500_000,
    "tags": "<a b='" * 150_000,
    "drawings": "<svg>" * 200_000,
    "ends": "</p>" * 200_000,
    "drawn": "</svg>" * 200_000,
    "bold": "a<b>" * 250_000,
    "comments": "<!--a>" * 150_000,
    "sections": "<![CDATA[a>" * 100_000,
    "searches": "a::" * 300_000,
    "roles": ":a" * 500_000,
    # Each heading has a line of its own kind.
    "adorned": "".join(f"a\n{chr(0x50000 + at) * 3}\n" for at in range(65_000)),
}


class Kept(unittest.TestCase):
    def test_nothing_is_lost_and_nothing_fails(self):
        self.assertGreaterEqual(fuzzed.replay(LIBRARY, ROOT / "fuzz/corpus/ingest", MODEL), 7)

    def test_a_long_note_takes_no_longer_than_its_length(self):
        for path, shape in BEGINNINGS:
            text, _ = formats.as_markdown(path, shape.format(**PARTS).encode())
            self.assertIsNotNone(note.parse(text, path).body, shape)

    def test_many_parts_with_many_headings_and_links(self):
        count = 50_000
        found = note.parse("".join(f"# h\n[](a{at})\n" for at in range(count)), "a.md")
        parts = [(place, "text") for place, _, _ in found.headings]
        nodes = list(ingest.as_nodes("a", found, parts))
        self.assertEqual((count + 1, "h"), (len(nodes), nodes[-1]["title"]))
        starts = [place for place, _ in parts]
        self.assertEqual([f"a#{at + 1}" for at in range(count)], [ingest.part_at("a", starts, place) for place, _ in found.links])

    def test_the_targets_of_many_links_are_taken_out(self):
        connection, count = apsw.Connection(":memory:"), 50_000
        database.make(connection, "memory")
        connection.execute("INSERT INTO nodes (id, title, content) VALUES ('a', 'A', ?)", ("[a](../b.md) [[c|d]]\n" * count,))
        self.assertEqual("[a] [[d]]\n" * count, connection.execute("SELECT content FROM nodes_plain").get)

    def test_code_ends_at_as_many_backticks_as_it_began_with(self):
        for text, prose in (
            ("a `b` c", "a     c"),
            ("a ``b`c`` d", "a         d"),
            ("a ``b` c `d` e", "a ``b     d` e"),
            ("a `b c", "a `b c"),
            ("`a\nb` c", "  \n   c"),
        ):
            self.assertEqual(prose, note.without_code(text), text)

    def test_headings_lose_what_closes_them(self):
        text = "# a\n## b ##\n### c#\n# \\#\n# d # \t\n#  ##\n# e #f"
        self.assertEqual(["a", "b", "c#", "\\#", "d", "##", "e #f"], [words for _, _, words in note.parse(text, "a.md").headings])

    def test_values_that_are_none_are_told(self):
        for value in ("!!bool perhaps", "!!int ''", "!!timestamp soon", "!!float ''", "!!binary é", "0001-99-99"):
            found = note.parse(f"---\na: {value}\n---\nbody", "a.md")
            self.assertIn("front matter is not read", found.warning or "", value)
            self.assertIn("body", found.body)
        long = "1" * 5000
        found = note.parse(f"---\na: {long}\nb: 0x{long}\nc: 12\n---\nbody", "a.md")
        self.assertEqual({"a": long, "b": f"0x{long}", "c": 12}, found.meta)


if __name__ == "__main__":
    unittest.main()
