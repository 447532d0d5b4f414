"""Each format becomes headings, links, code and text; whatever bytes a file has, there is a note or a reason."""

import random
import unittest

from support import LIBRARY, MODEL, Case
from fafcas.kit import database, formats, note
from fafcas.kit.ingest import ingest

FRENCH = "Les marées montent et descendent deux fois par jour. C'est la Lune qui attire la mer, à l'été comme à l'hiver."


def pdf(text, title=None):
    """A page with this text, as small as a PDF can be."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode("latin-1")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        f"<</Title({title or ''})>>".encode(),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size 7/Root 1 0 R/Info 6 0 R>>\nstartxref\n%d\n%%%%EOF" % len(out)
    return out + b"xref\n0 7\n0000000000 65535 f \n" + table + end


class Formats(Case):
    def read(self, name, text):
        markdown, _ = formats.as_markdown(name, text if isinstance(text, bytes) else text.encode())
        return note.parse(markdown, name)

    def test_html(self):
        found = self.read("a/page.html", """<!doctype html><html><head><title>Site | Tides</title><style>p {}</style>
            <body><nav>Home</nav><h1>Tides &amp; <i>moon</i></h1><p>The <b>moon</b> pulls
            the <a href="sub/sea.html#x">sea</a>.<ul><li>one<li>two</ul><h2>Code</h2><pre># no heading
  kept</pre><script>alert("<p>no</p>")</script><p>Caf&eacute;""")
        self.assertEqual("Tides & moon", found.title)
        self.assertEqual(["/a/sub/sea.html"], [target for _, target in found.links])
        self.assertEqual(["Tides & moon", "Code"], [text for _, _, text in found.headings])
        for words in ("The moon pulls the [sea]", "- one\n- two", "# no heading\n  kept", "Café"):
            self.assertIn(words, found.body)
        for words in ("Home", "alert", "p {}", "<"):
            self.assertNotIn(words, found.body.replace("(<", "("))
        self.assertEqual("Site | Tides", self.read("x.htm", "<title>Site | Tides</title><p>Text").title)
        self.assertEqual("x", self.read("x.html", "<p>Text").title)
        self.assertIn("after", self.read("x.html", "<head><title>T</title><body>after").body)
        self.assertIn("after", self.read("x.html", "<nav><p>menu</nav>after").body)
        self.assertEqual("after", self.read("x.html", "<svg><g><svg></g>in</svg>after").body.strip())

    def test_what_stands_in_square_brackets_is_no_text_of_a_page(self):
        found = self.read("x.html", "<p>a<![if !supportLists]>b<![endif]>c<![of nobody]>d<![CDATA[ e > f ]]>g<!-- h > i -->j")
        self.assertEqual("abcdgj", found.body.strip())
        self.assertIn("a > b", self.read("x.html", "<p>text<!-- a > b").body)

    def test_restructured_text(self):
        found = self.read("a/b.rst", "=====\nTides\n=====\n\nSee `the sea <sea.rst>`_, :doc:`moon` and :ref:`x <y>`. ``*code*``\n\n"
                          "Spring\n------\n\n.. note:: Take care.\n   More words.\n\n.. code-block:: python\n   :linenos:\n\n   # none\n\n"
                          "Then::\n\n    # neither\n\nNeap\n----\n\n.. a comment\n   of two lines\n\n.. image:: a.png\n\nEnd. 1\n~~\n")
        self.assertEqual("Tides", found.title)
        self.assertEqual([(1, "Tides"), (2, "Spring"), (2, "Neap")], [(level, text) for _, level, text in found.headings])
        self.assertEqual(["/a/sea.rst", "/a/moon"], [target for _, target in found.links])
        for words in ("Take care.", "More words.", "# none", "# neither", "Then:\n", "End. 1", "`*code*`"):
            self.assertIn(words, found.body)
        for words in ("comment", "::", ":ref:", "linenos", "a.png"):
            self.assertNotIn(words, found.body)
        found = self.read("b.rst", "See `the sea  <sea.rst>`__, :doc:`the moon <moon>`, (:py:class:`a.b  <c>`) and:ref:`d`.")
        self.assertEqual("See [the sea](<sea.rst>), [the moon](<moon>), (a.b) andd.", found.body.strip())

    def test_org(self):
        found = self.read("b.org", "#+TITLE: Tides\n#+OPTIONS: toc\n* TODO [#A] Moon :tag:two:\n:PROPERTIES:\n:ID: 17\n:END:\n"
                          "See [[file:sea.org::*x][the sea]], [[moon.org]].\n** Code\n#+BEGIN_SRC sh\n# kept\n* kept too\n#+END_SRC\n# hidden\n")
        self.assertEqual("Tides", found.title)
        self.assertEqual([(1, "Moon"), (2, "Code")], [(level, text) for _, level, text in found.headings])
        self.assertEqual(["/sea.org", "/moon.org"], [target for _, target in found.links])
        words = {"* a  :b: ": "a", "* :b:": ":b:", "* a :b: c": "a :b: c", "** a: :b@c:": "a:", "*": None}
        for line, heading in words.items():
            self.assertEqual([heading] if heading else [], [text for _, _, text in self.read("b.org", line).headings], line)
        for words in ("# kept\n* kept too", "[the sea]"):
            self.assertIn(words, found.body)
        for words in ("toc", "17", "hidden", "TODO"):
            self.assertNotIn(words, found.body)

    def test_pdf(self):
        found = self.read("a.pdf", pdf("The moon pulls the sea.", "On tides"))
        self.assertEqual(("On tides", "The moon pulls the sea."), (found.title, found.body.strip()))
        self.assertEqual("a", self.read("a.PDF", pdf("Text")).title)
        for content, reason in ((pdf(""), "without text"), (b"%PDF-1.4", "cannot read"), (b"", "cannot read")):
            with self.assertRaisesRegex(formats.Unreadable, reason):
                self.read("a.pdf", content)

    def test_any_encoding(self):
        russian, japanese = "Луна притягивает море, и оно поднимается дважды в день.", "海は月に引かれる。一日に二回、潮が満ちる。"
        for text, encodings in (
            (FRENCH, ("utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1")),
            (russian, ("cp1251", "koi8-r")),
            (japanese, ("shift_jis",)),
            ("café", ("cp1252",)),
        ):
            for encoding in encodings:
                found, guess = formats.as_markdown("a.txt", text.encode(encoding))
                self.assertEqual((text, encoding.startswith("utf")), (found, guess is None), encoding)
        self.assertEqual("a\nb\nc", formats.as_markdown("a.txt", b"a\r\nb\rc")[0])
        with self.assertRaisesRegex(formats.Unreadable, "a zero byte at 1"):
            formats.as_markdown("a.md", b"a\0b")

    def test_whatever_a_file_holds_there_is_a_note_or_a_reason(self):
        pieces = ["<p>", "</p>", "<head>", "</title", "<!--", "<![CDATA[", "&#0;", "&#xD800;", "==\n", "a\n==\n", "..\n", ".. code::\n", "  x\n", "::\n",
                  "`a <b>`_", "* h\n", "#+BEGIN_SRC\n", ":END:\n", "[[", "]]", "---\n", "é", "\ud7ff", " ", "\n", "#", "<a href=x>", "</a>", "<pre>", "</pre>"]
        chance = random.Random(7)
        for _ in range(3000):
            text = "".join(chance.choice(pieces) for _ in range(chance.randrange(30)))
            for ending in (".html", ".rst", ".org", ".md"):
                found = self.read(f"a{ending}", text)
                found.body.encode()
        whole = pdf("The moon pulls the sea.", "On tides")
        for _ in range(200):
            at = chance.randrange(len(whole))
            try:
                self.read("a.pdf", whole[:at] + bytes([chance.randrange(256)]) + whole[at + chance.randrange(3) :])
            except formats.Unreadable:
                pass

    def test_a_folder_of_all_kinds_becomes_notes_that_link_each_other(self):
        self.write("tides.md", "# Tides\n\n[moon](moon.html) [sea](sea.rst)")
        self.write("moon.html", "<h1>Moon</h1><p><a href='deep.org'>deep</a>")
        self.write("sea.rst", "Sea\n===\n\n`the moon <moon.html>`_")
        self.write("deep.org", "* Deep\n[[file:tides.md][tides]]")
        self.write("paper.pdf", pdf("About tides.", "Paper"))
        self.write("old.txt", FRENCH.encode("cp1252"))
        self.write("empty.pdf", pdf(""))
        self.write("photo.JPG", b"\xff\xd8")
        connection, _ = database.open_or_make(self.path, LIBRARY)
        report = ingest(connection, self.notes, MODEL)
        self.assertEqual((6, 5), (report.new, report.links))
        self.assertEqual({"empty.pdf"}, set(report.skipped))
        self.assertEqual({".jpg": 1}, {ending: len(paths) for ending, paths in report.others.items()})
        self.assertRegex(report.warnings["old.txt"], "read as .*, as it is not UTF-8 at byte 7")
        titles = {title for (title,) in connection.execute("SELECT title FROM nodes")}
        self.assertEqual({"Tides", "Moon", "Sea", "Deep", "Paper", "old"}, titles)
        self.assertEqual(6, ingest(connection, self.notes, MODEL).same)


if __name__ == "__main__":
    unittest.main()
