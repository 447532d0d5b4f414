"""A folder of notes in a knowledge base: what becomes of them, again and again, and when the process is killed."""

import os
import signal
import unittest

import apsw
from support import LIBRARY, MODEL, Case
from fafcas.kit import database, note
from fafcas.kit.ingest import ingest


class Notes(Case):
    def ingest(self, path=None, name=None, folder=None):
        connection, _ = database.open_or_make(path or self.path, LIBRARY)
        try:
            return ingest(connection, folder or self.notes, MODEL, name)
        finally:
            connection.close()

    def sea(self):
        """Notes that link each other in a circle, one of them long."""
        self.write("tides.md", "---\ntitle: Tides\ndate: 2024-05-01\ntags: [sea, 1.5, .nan]\nsummary: Why the sea rises.\n---\n"
                   "# Tides\n\nThe moon pulls. See [[Moon]] and [the harbour](sub/harbour.md#x \"ships\").\n\n"
                   "## Spring tides\n\nSun and moon in line. [[not there yet]]\n\n```\n[[moon]]\n# no heading\n```\n\n"
                   "## Neap tides\n\nAt right angles.\n")
        self.write("moon.md", "# The Moon\n\nBack to [tides](tides.md), `[[harbour]]`, [web](https://example.org/tides.md).\n")
        self.write("sub/harbour.md", "[[tides#Neap tides|neap]] [out](../../../etc/passwd.md) [up](../moon.md) [[harbour]]\n")
        self.write("plain.txt", "Just the sea.\r\nTwo lines.")

    def test_front_matter_chunks_and_links(self):
        self.sea()
        report = self.ingest()
        self.assertEqual((4, 0, 0, 0), (report.new, report.changed, report.same, report.gone))
        node = "SELECT type, title, date, summary, meta, content IS NULL FROM nodes WHERE id = ?"
        self.assertEqual([("note", "Tides", "2024-05-01", "Why the sea rises.", '{"tags":["sea",1.5,"nan"]}', 1)],
                         self.rows(node, "notes/tides.md"))
        self.assertEqual([("The Moon",)], self.rows("SELECT title FROM nodes WHERE id = 'notes/moon.md'"))
        titles = {title for (title,) in self.rows("SELECT title FROM nodes WHERE type = 'chunk' AND source = 'notes/tides.md'")}
        self.assertEqual({"Tides", "Tides › Spring tides", "Tides › Neap tides"}, titles)
        links = self.rows("SELECT source, target FROM edges WHERE type = 'links' ORDER BY 1, 2")
        short = [(source[6:-3], target[6:-3]) for source, target in links]
        self.assertEqual([("moon", "tides"), ("sub/harbour", "moon"), ("sub/harbour", "tides"), ("tides", "moon"), ("tides", "sub/harbour")], short)
        self.assertEqual(1, report.open_links)
        self.assertEqual([(0,)], self.rows("SELECT count(*) FROM stale"))

    def test_a_second_run_changes_nothing(self):
        self.sea()
        self.ingest()
        before = self.content()
        report = self.ingest()
        self.assertEqual((0, 0, 4, 0, 0), (report.new, report.changed, report.same, report.gone, report.embedded))
        self.assertEqual(before, self.content())

    def test_what_changed_ends_as_if_it_had_always_been_so(self):
        self.sea()
        self.ingest()
        self.write("tides.md", "Short now. [[moon]]")
        self.write("not there yet.md", "Here it is. [[tides]]")
        (self.notes / "sub/harbour.md").unlink()
        report = self.ingest()
        self.assertEqual((1, 1, 2, 1), (report.new, report.changed, report.same, report.gone))
        self.ingest(self.folder / "fresh.db")
        ids = "SELECT id, type, title, summary, content, hash, embedding FROM nodes ORDER BY id"
        edges = "SELECT source, target, type, context_source FROM edges ORDER BY 1, 2, 3"
        fresh = self.opened(self.folder / "fresh.db")
        self.assertEqual(fresh.execute(ids).fetchall(), self.rows(ids))
        self.assertEqual(fresh.execute(edges).fetchall(), self.rows(edges))

    def test_only_the_changed_text_is_embedded_again(self):
        self.sea()
        self.ingest()
        text = (self.notes / "tides.md").read_text()
        self.write("tides.md", text.replace("At right angles.", "At right angles they weaken each other."))
        embedded = self.ingest().embedded
        self.assertTrue(0 < embedded < 6, embedded)

    def test_other_peoples_nodes_and_edges_stay(self):
        self.sea()
        self.ingest()
        connection = self.opened()
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("INSERT INTO nodes (id, title, source) VALUES ('mine', 'Mine', 'notes/moon.md')")
        connection.execute("INSERT INTO edges VALUES ('mine', 'notes/moon.md', 'about', 0.5, NULL, NULL)")
        self.write("moon.md", "Rewritten.")
        self.ingest()
        self.assertEqual([("mine",)], self.rows("SELECT source FROM edges WHERE type = 'about'"))

    def test_files_that_are_no_notes_are_named_and_the_rest_goes_on(self):
        self.sea()
        self.write("broken.pdf", b"%PDF-1.4 and then nothing")
        self.write("binary.md", b"\x7fELF\0\0")
        self.write("large.txt", b"a" * (50 << 20))
        self.write("front.md", "---\na: [1\n---\nText")
        self.write("bomb.md", "---\na: &a [x]\nb: *a\n---\nText")
        self.write(".hidden.md", "no")
        self.write("picture.png", b"\x89PNG")
        os.symlink(".", self.notes / "loop")
        os.symlink("one.md", self.notes / "two.md")
        os.symlink("two.md", self.notes / "one.md")
        os.mkfifo(self.notes / "pipe.md")
        report = self.ingest()
        self.assertEqual(6, report.new)
        self.assertEqual({"broken.pdf", "binary.md", "large.txt", "loop/", "one.md", "two.md", "pipe.md"}, set(report.skipped))
        self.assertIn("a PDF that pypdf cannot read", report.skipped["broken.pdf"])
        self.assertEqual({".png": 1}, {ending: len(paths) for ending, paths in report.others.items()})
        self.assertIn("50 MB", report.skipped["large.txt"])
        self.assertIn("circle", report.skipped["one.md"])
        self.assertEqual({"front.md", "bomb.md"}, set(report.warnings))

    def test_a_note_that_can_no_longer_be_read_stays_as_it_was(self):
        self.sea()
        self.ingest()
        self.write("moon.md", b"\xff\0")
        report = self.ingest()
        self.assertEqual((0, 3), (report.gone, report.same))
        self.assertEqual([(1,)], self.rows("SELECT count(*) FROM documents WHERE id = 'notes/moon.md'"))

    def test_a_folder_that_became_a_link_to_another_has_no_notes_of_its_own(self):
        self.sea()
        self.write("copy/moon.md", "Copied.")
        self.ingest()
        (self.notes / "copy/moon.md").unlink()
        (self.notes / "copy").rmdir()
        os.symlink("sub", self.notes / "copy")
        self.assertEqual(1, self.ingest().gone)

    def test_what_each_part_has_for_itself_is_short(self):
        body = "The sea and the moon.\n\n" * 200
        self.write("heading.md", f"# {'word ' * 4000}\n\n## {'more ' * 4000}\n\n{body}")
        self.write("front.md", f"---\ntitle: {'t' * 20000}\ndomain: {'d ' * 10000}\nlayer: {'l ' * 10000}\ndate: {'8 ' * 10000}\n---\n{body}")
        self.ingest()
        columns = ("title", "domain", "layer", "date")
        longest = ", ".join(f"max(length({name}))" for name in columns)
        self.assertEqual([(300, 299, 299, 299)], self.rows(f"SELECT {longest} FROM nodes"))
        self.assertEqual([(300, 299, 299, 299)], self.rows(f"SELECT {longest} FROM nodes WHERE type = 'chunk' AND source = 'notes/front.md'"))
        self.assertEqual([(1,)], self.rows("SELECT count(DISTINCT title) FROM nodes WHERE source = 'notes/front.md'"))

    def test_a_title_has_no_control_characters(self):
        self.write("a.md", '---\ntitle: "evil \\e[31m\\e]0;owned\\a\\uffff"\ntype: "a\\e"\n---\nText')
        self.write("b.md", "# Clear \x1b[2J\x9b\n\nText")
        self.write("c\x1b[2J.md", "Text")
        self.ingest()
        self.assertEqual({"evil \ufffd[31m\ufffd]0;owned\ufffd\ufffd", "Clear \ufffd[2J\ufffd", "c\ufffd[2J"},
                         {title for (title,) in self.rows("SELECT title FROM nodes")})
        self.assertEqual([("a\ufffd",)], self.rows("SELECT type FROM nodes WHERE id = 'notes/a.md'"))

    def test_letters_of_every_kind(self):
        self.write("größe 🙂.md", "# Größe 🙂\n\nשלום [[größe 🙂]] 日本語\n")
        self.ingest()
        self.assertEqual([("notes/größe 🙂.md", "Größe 🙂", "# Größe 🙂\n\nשלום [[größe 🙂]] 日本語")],
                         self.rows("SELECT id, title, content FROM nodes"))

    def test_an_empty_folder_is_not_taken_for_the_end_of_all_notes(self):
        self.sea()
        self.ingest()
        empty = self.folder / "elsewhere" / "notes"
        empty.mkdir(parents=True)
        with self.assertRaisesRegex(database.Refused, "expected notes"):
            self.ingest(folder=empty)
        self.assertEqual([(4,)], self.rows("SELECT count(*) FROM documents"))

    def test_two_folders_of_one_name_are_kept_apart_and_one_may_move(self):
        self.sea()
        self.ingest()
        other = self.folder / "elsewhere" / "notes"
        other.mkdir(parents=True)
        (other / "a.md").write_text("Another.")
        with self.assertRaisesRegex(database.Refused, "CALLED="):
            self.ingest(folder=other)
        self.ingest(folder=other, name="others")
        self.assertEqual([(5,)], self.rows("SELECT count(*) FROM documents"))
        moved = self.folder / "moved" / "notes"
        moved.parent.mkdir()
        self.notes.rename(moved)
        self.assertEqual(4, self.ingest(folder=moved).same)

    def test_killed_before_any_statement_it_ends_in_the_same_database(self):
        self.sea()
        for at in range(70):
            self.write(f"more/{at}.md", f"The sea, number {at}. [[{(at + 1) % 70}]] [[tides]]")
        self.ingest()
        wanted, total = self.content(), self.killed_at(1 << 30, self.folder / "counted.db")
        self.assertGreater(total, 40)
        for at in range(1, total + 1):
            path = self.folder / f"killed-{at}.db"
            self.killed_at(at, path)
            self.ingest(path)
            self.assertEqual(wanted, self.content(path), f"killed before statement {at} of {total}")

    def killed_at(self, at, path):
        """An ingest in a process that kills itself before its nth statement; without one, how many there are."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            seen = 0

            def count(*_):
                nonlocal seen
                seen += 1
                if seen == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return True

            apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(count))
            self.ingest(path)
            os.write(writer, str(seen).encode())
            os._exit(0)
        os.close(writer)
        _, status = os.waitpid(child, 0)
        said = os.read(reader, 20)
        os.close(reader)
        if at < 1 << 30:
            self.assertEqual(signal.SIGKILL, os.WTERMSIG(status))
            return None
        return int(said)


class Links(unittest.TestCase):
    def targets(self, text, path="a/b.md"):
        return [target for _, target in note.parse(text, path).links]

    def test_spellings(self):
        for text, wanted in {
            "[x](c.md)": ["/a/c.md"],
            "[x](../c.md)": ["/c.md"],
            "[x](/c.md)": ["/c.md"],
            "[x](<c d.md>)": ["/a/c d.md"],
            "[x](c%20d.md 'title')": ["/a/c d.md"],
            "[x](c(1).md)": ["/a/c(1).md"],
            "[x](#here) [y](mailto:a@b.c) [z](//host/x.md)": [],
            "[x](../../c.md)": [],
            "[[c]] [[c|d]] [[c#e]] ![[f.png]] [[g^h]]": ["c", "f.png", "g"],
            "[[]] [[ ]] [x]() `[[c]]` ``[x](`c.md)``": [],
            "~~~\n[[c]]\n```\n[[d]]\n~~~\n[[e]]": ["e"],
        }.items():
            self.assertEqual(wanted, self.targets(text), text)

    def test_headings(self):
        parsed = note.parse("# One\n\n## Two `x` ##\n\n#no\n\n    # no\n", "n.md")
        self.assertEqual([(1, "One"), (2, "Two `x`")], [(level, text) for _, level, text in parsed.headings])
        self.assertEqual(["One", "One › Two `x`"], list(note.sections(parsed, [0, 20])))
        self.assertEqual("n", note.parse("text\n\n## Later", "n.md").title)


if __name__ == "__main__":
    unittest.main()
