"""Texts, questions to them, and what each should find. Seeds are fixed, so that every run asks the same."""

import functools
import random
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from texts import manual, wordnet

SQL = Path(__file__).parents[2] / "sql"

# A model reads 256 tokens or more; the rest of a manual page would be found by its words alone.
PAGE = 1000


@dataclass
class Document:
    id: str
    title: str
    text: str


@dataclass
class Question:
    kind: str
    text: str
    expected: set = field(default_factory=set)


@dataclass
class Task:
    name: str
    documents: list
    questions: list


def short_tasks(cache):
    return [sample, titles, lambda: usage("WordNet, small", *parted(wordnet(cache), 2000), 300, 100)]


def full_tasks(cache):
    parts = functools.cache(lambda: parted(wordnet(cache), 20_000))
    from_wordnet = [lambda: usage("WordNet", *parts(), 1500, 300), lambda: linked(*parts(), 1500), lambda: lemmas(parts()[0], 1500)]
    return [sample, languages, titles, misspelt, *from_wordnet, lambda: pages(manual(cache))]


def parted(everything, count):
    """As many of them by chance, and the rest."""
    shuffled = random.Random(1).sample(everything, len(everything))
    return shuffled[:count], shuffled[count:]


# The sample of sql/examples.


def opened_sample():
    connection = sqlite3.connect(":memory:")
    for script in ("schema.sql", "examples/knowledge.sql", "examples/questions.sql", "examples/questions_languages.sql"):
        connection.executescript((SQL / script).read_text(encoding="utf-8"))
    return connection


def entries_of(connection):
    return [Document(*row) for row in connection.execute("SELECT id, title, content FROM nodes ORDER BY seq")]


def sample():
    connection = opened_sample()
    rows = connection.execute("SELECT kind, question, expected FROM questions ORDER BY rowid")
    asked = {}
    for kind, text, expected in rows:
        asked.setdefault(text, Question(kind, text)).expected.update([expected] if expected else [])
    return Task("sample", entries_of(connection), list(asked.values()))


def languages():
    """The same twenty questions in each language, to the English entries."""
    connection = opened_sample()
    rows = connection.execute("SELECT language, question, expected FROM questions_languages ORDER BY rowid")
    return Task("sample", entries_of(connection), [Question(f"in {language}", text, {expected}) for language, text, expected in rows])


def titles():
    """Each title asks for its text, which stands there without it."""
    found = entries_of(opened_sample())
    documents = [Document(entry.id, "", entry.text) for entry in found]
    return Task("titles", documents, [Question("title to text", entry.title, {entry.id}) for entry in found])


def misspelt():
    """Each title with two letters of its longest word the other way round."""
    found, chance = entries_of(opened_sample()), random.Random(2)
    wrong = ((entry, swapped(entry.title, chance)) for entry in found)
    return Task("titles", found, [Question("misspelt title", text, {entry.id}) for entry, text in wrong if text])


def swapped(title, chance):
    """Not the first letter, which people get right; nothing where no two letters differ."""
    word = max(title.split(), key=len)
    pairs = [at for at in range(1, len(word) - 1) if word[at : at + 2].isalpha() and word[at] != word[at + 1]]
    if len(word) < 5 or not pairs:
        return None
    at = chance.choice(pairs)
    return title.replace(word, word[:at] + word[at + 1] + word[at] + word[at + 2 :], 1)


# WordNet.


def with_lemmas(entries):
    return [Document(entry.id, ", ".join(entry.lemmas), entry.definition) for entry in entries]


def usage(name, entries, others, count, unanswerable):
    """A sentence that uses a word asks for the word's entry; others use words of which no entry is there."""
    known = {lemma.lower() for entry in entries for lemma in entry.lemmas}
    strange = [entry for entry in others if not known.intersection(lemma.lower() for lemma in entry.lemmas)]
    asked = [Question("example to sense", text, {entry.id}) for entry, text in sentences(entries, count)]
    asked += [Question("none", text) for _, text in sentences(strange, unanswerable)]
    return Task(name, with_lemmas(entries), asked)


def sentences(entries, count):
    found = [(entry, text) for entry in entries for text in entry.examples[:1] if len(text.split()) >= 4]
    return found[:count]


def linked(entries, others, count):
    """The definition of an entry that is not there asks for those that are and that it is linked to."""
    known = {entry.id for entry in entries}
    asked = ((entry.definition, known.intersection(entry.links)) for entry in others)
    asked = [Question("gloss to linked", text, expected) for text, expected in asked if expected]
    return Task("WordNet", with_lemmas(entries), asked[:count])


def lemmas(entries, count):
    """A word asks for its definitions, which stand there without it."""
    meanings = {}
    for entry in entries:
        for lemma in entry.lemmas:
            meanings.setdefault(lemma.lower(), set()).add(entry.id)
    asked = [Question("lemma to gloss", entry.lemmas[0], meanings[entry.lemmas[0].lower()]) for entry in entries]
    asked = list({question.text.lower(): question for question in asked}.values())
    return Task("WordNet", [Document(entry.id, "", entry.definition) for entry in entries], asked[:count])


# Manual pages.


def pages(everything):
    """What a page is about, in a line that is not in it, and one of its names; some lines are of pages that are not there."""
    everything = list({one.summary.lower(): one for one in everything}.values())
    found, others = parted(everything, len(everything) * 5 // 6)
    documents = [Document(one.names[0], ", ".join(one.names), one.text[:PAGE]) for one in found]
    documents = list({one.id: one for one in documents}.values())
    asked = [Question("summary to page", one.summary, {one.names[0]}) for one in found[:600]]
    asked += [Question("name to page", one.names[-1], {one.names[0]}) for one in found[-400:]]
    return Task("manual", documents, asked + [Question("none", one.summary) for one in others])
