"""Vectors of texts, embedded by the library and kept in a file for the next time.

They are kept under the model's fingerprint, which does not tell that the library embeds in another way: after such a change
remove the file.
"""

import hashlib
import sys

import apsw

BATCH = 1000

SCHEMA = """
PRAGMA synchronous = off;
CREATE TABLE IF NOT EXISTS vectors (
    fingerprint TEXT, role TEXT, text BLOB, vector BLOB, PRIMARY KEY (fingerprint, role, text)
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE wanted (id INTEGER PRIMARY KEY, text TEXT);
"""


class Vectors:
    """Of one model. Without a file they are kept in memory."""

    def __init__(self, file, library, model):
        self.connection, self.model = apsw.Connection(str(file) if file else ":memory:"), model
        load(self.connection, library)
        self.connection.execute(SCHEMA)
        self.fingerprint = self.connection.execute("SELECT fingerprint FROM fafcas_models WHERE name = ?", (model,)).get
        if not self.fingerprint:
            known = [name for (name,) in self.connection.execute("SELECT name FROM fafcas_models")]
            raise SystemExit(f"no model {model}; there are: {', '.join(known)}")
        # Where the library has it, questions get the model's prompt for questions.
        known = "SELECT 1 FROM pragma_function_list WHERE name = 'embed_query'"
        self.question = "embed_query" if self.connection.execute(known).get else "embed"

    def documents(self, texts):
        return self.many("document", texts, self.embed_documents)

    def questions(self, texts):
        return self.many("question", texts, self.embed_questions)

    def many(self, role, texts, embed):
        """The vector of each text; those that are not kept yet are embedded batch by batch."""
        kept = {text: self.kept(role, text) for text in texts}
        missing = [text for text, vector in kept.items() if vector is None]
        for at in range(0, len(missing), BATCH):
            progress(f"embedding {role}s: {at} of {len(missing)}")
            batch = missing[at : at + BATCH]
            with self.connection:
                for text, vector in zip(batch, embed(batch), strict=True):
                    self.keep(role, text, vector)
                    kept[text] = vector
        return [kept[text] for text in texts]

    def embed_documents(self, texts):
        self.connection.execute("DELETE FROM wanted")
        self.connection.executemany("INSERT INTO wanted (text) VALUES (?)", [(text,) for text in texts])
        rows = self.connection.execute("SELECT rowid, embedding FROM embed_rows('wanted', 'text', ?)", (self.model,))
        return [vector for _, vector in sorted(rows)]

    def embed_questions(self, texts):
        return [self.connection.execute(f"SELECT {self.question}(?, ?)", (text, self.model)).get for text in texts]

    def kept(self, role, text):
        sql = "SELECT vector FROM vectors WHERE (fingerprint, role, text) = (?, ?, ?)"
        return self.connection.execute(sql, (self.fingerprint, self.role(role), digest(text))).get

    def keep(self, role, text, vector):
        row = (self.fingerprint, self.role(role), digest(text), vector)
        self.connection.execute("INSERT INTO vectors VALUES (?, ?, ?, ?)", row)

    def role(self, role):
        """Questions that were embedded without a prompt are not those with one."""
        return self.question if role == "question" else role


def digest(text):
    return hashlib.sha256(text.encode()).digest()


def load(connection, library):
    connection.enable_load_extension(True)
    connection.load_extension(library)
    connection.enable_load_extension(False)


def progress(text):
    print(f"quality: {text}", file=sys.stderr, flush=True)
