"""Runs the golden SQL files of this folder through Python's SQLite modules or the sqlite3 shell.

    run.py --library libfafcas.so --host sqlite3|pysqlite3|apsw|shell [--untrusted] [--defensive] [--late] [FILE...]

README.md beside it says what a file may contain. --late loads the library only after the schema has been read.
Prints a line per failure and then the host's version; the exit status is 1 if anything failed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Record:
    line: int
    kind: str
    rest: str
    body: list  # (line number, text) of everything below the record's first line
    conditions: list = field(default_factory=list)
    bind: str = None

    @property
    def names(self):
        """Of the parameters that `bind` gives values to; none where it gives them by place."""
        return re.findall(r' AS "?([a-z]+)', self.bind or "")

    @property
    def question(self):
        """The lines before `----`."""
        return self._halves()[0]

    @property
    def expected(self):
        return [text for _, text in self._halves()[1]]

    @property
    def spellings(self):
        """The statement, or each spelling of it, as lists of lines."""
        parts = [[]]
        for number, text in self.question:
            if text == "also":
                parts.append([])
            else:
                parts[-1].append((number, text))
        return parts

    def _halves(self):
        texts = [text for _, text in self.body]
        cut = texts.index("----") if "----" in texts else len(texts)
        return self.body[:cut], self.body[cut + 1:]


def parse(text):
    block, records, conditions = [], [], []
    for number, line in enumerate(text.split("\n") + [""], start=1):
        if line.strip():
            block.append((number, line))
        elif block:
            found = parse_block(block)
            records += found
            if not found:
                conditions += [line.removeprefix("onlyif ") for _, line in block if line.startswith("onlyif ")]
            block = []
    for record in records:
        record.conditions += conditions
    return records


def parse_block(block):
    while block and block[0][1].startswith("#"):
        block = block[1:]
    conditions, bind = [], None
    for index, (number, line) in enumerate(block):
        word, _, rest = line.partition(" ")
        if word == "onlyif":
            conditions.append(rest)
        elif word == "bind":
            bind = rest
        elif word in ("ok", "error", "query", "plan", "reconnect"):
            return [Record(number, word, rest, block[index + 1:], conditions, bind)]
        else:
            raise SystemExit(f"line {number}: expected a record, not {line}")
    return []


def applies(record, trusted, version):
    def holds(condition):
        if condition in ("trusted", "untrusted"):
            return trusted == (condition == "trusted")
        return version >= tuple(map(int, condition.removeprefix("sqlite ").split(".")))
    return all(any(map(holds, condition.split(" or "))) for condition in record.conditions)


def written(value):
    """A value as the files write it."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return written_real(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''").replace("\n", "\\n") + "'"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return str(value)


def written_real(real):
    if real in (float("inf"), float("-inf")):
        return str(real)
    digits = f"{real:.5f}".rstrip("0")
    padded = digits + "0" if digits.endswith(".") else digits
    return "0.0" if padded == "-0.0" else padded


def matches(pattern, text):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def judge(record, answers):
    """What is wrong with the answers to a record's spellings, each (rows, None) or (None, message); or None."""
    for rows, message in answers:
        if record.kind == "error":
            if message is None:
                return f"expected the error\n    {record.rest}\n  not {len(rows)} rows"
            if not matches(record.rest, message):
                return f"expected the error\n    {record.rest}\n  not\n    {message}"
        elif message is not None:
            return f"unexpected error: {message}"
        elif record.kind == "query":
            arrange = sorted if record.rest == "unordered" else list
            if arrange(rows) != arrange(record.expected):
                return "expected\n" + "\n".join(record.expected) + "\n  not\n" + "\n".join(rows)
        elif record.kind == "plan":
            plan = "\n".join(rows)
            for word, _, text in (line.partition(" ") for line in record.expected):
                if (text in plan) != (word == "has"):
                    return f"the plan must: {word} {text}\n{plan}"
    return None


class ModuleHost:
    """sqlite3, pysqlite3 or apsw in this process."""

    def __init__(self, options):
        self.options = options
        self.module = __import__("pysqlite3.dbapi2", fromlist=["x"]) if options.host == "pysqlite3" else __import__(
            options.host)
        apsw = options.host == "apsw"
        self.version = self.module.sqlite_lib_version() if apsw else self.module.sqlite_version

    def open(self, path):
        options, module = self.options, self.module
        if options.host == "apsw":
            connection = module.Connection(str(path))
            if options.defensive:
                connection.config(module.SQLITE_DBCONFIG_DEFENSIVE, 1)
        else:
            connection = module.connect(path, isolation_level=None)
            if options.defensive:
                raise SystemExit(f"{options.host} cannot be made defensive")
        if options.untrusted:
            connection.execute("PRAGMA trusted_schema = OFF")
        if options.late:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        connection.enable_load_extension(True)
        connection.load_extension(options.library)
        connection.enable_load_extension(False)
        return connection

    def run(self, file, records, database):
        connection = self.open(database)
        for record in records:
            if record.kind == "reconnect":
                connection.close()
                connection = self.open(database)
                continue
            why = judge(record, self.answers(connection, record))
            if why:
                yield f"{file.name}:{record.line}: {why}"
        connection.close()

    def answers(self, connection, record):
        for lines in record.spellings:
            sql = "\n".join(script(text) for _, text in lines)
            statements = split(sql) if record.kind == "ok" else [sql]
            prefix = "EXPLAIN QUERY PLAN " if record.kind == "plan" else ""
            for statement in statements:
                yield self.answer(connection, prefix + statement, record)

    def answer(self, connection, sql, record):
        try:
            rows = connection.execute(sql, self.bound(connection, record)).fetchall()
            return ["|".join(map(written, row)) for row in rows], None
        except self.module.Error as error:
            return None, str(error)


    @staticmethod
    def bound(connection, record):
        """The row that `bind` gives."""
        row = connection.execute(record.bind).fetchone() if record.bind else ()
        return dict(zip(record.names, row)) if record.names else row


def script(line):
    """A line of SQL, or the script that `.read` names."""
    path = line.removeprefix(".read ")
    return line if path == line else (Path(__file__).parents[2] / path).read_text(encoding="utf-8")


def split(sql):
    """Single statements of a batch: sqlite3 runs one at a time, or commits first."""
    from sqlite3 import complete_statement
    statements, current = [], ""
    for piece in re.split(r"(?<=;)", sql):
        current += piece
        if complete_statement(current):
            statements.append(current)
            current = ""
    return statements + [current] if current.strip() else statements


class ShellHost:
    """The sqlite3 shell. A file becomes a script with every statement on its own line number, by which the shell's
    errors find their records; a printed `@line` before each says whose rows follow."""

    def __init__(self, options):
        self.options = options
        self.version = subprocess.check_output([options.shell, "--version"], text=True).split()[0]

    def run(self, file, records, database):
        setup = Path(f"{database}.setup")
        setup.write_text(self.setup(database))
        records = [record for record in records if record.bind is None or record.names]
        script = self.script(records, setup)
        done = subprocess.run([self.options.shell, "-batch", "-cmd", f".read {setup}"], input=script,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        setup.unlink()
        rows, messages = self.rows(done.stdout), self.messages(done.stderr)
        for record in records:
            if record.kind == "reconnect":
                continue
            firsts = [lines[0][0] for lines in record.spellings]
            answers = [(rows.get(first, []), None) for first in firsts]
            lines = [number for number, _ in record.body if number in messages]
            if lines:
                answers = [(None, messages.pop(lines[0]))]
            why = judge(record, answers)
            if why:
                yield f"{file.name}:{record.line}: {why}"
        for line, message in messages.items():
            yield f"{file.name}:{line}: unexpected: {message}"
        if done.returncode < 0:
            yield f"{file.name}: the shell died of signal {-done.returncode}"

    def setup(self, database):
        options = self.options
        lines = [".print @0", f".open {database}"]
        # Newer shells begin defensive, and some do not trust schemas.
        lines.append(f".dbconfig defensive {'on' if options.defensive else 'off'}")
        lines.append(f".dbconfig trusted_schema {'off' if options.untrusted else 'on'}")
        if options.late:
            lines.append("SELECT count(*) FROM sqlite_schema;")
        return "\n".join(lines + [f".load {options.library}", ".mode quote", ".separator |", ""])

    def script(self, records, setup):
        lines = {}
        for record in records:
            if record.kind == "reconnect":
                lines[record.line] = f".read {setup}"
                continue
            prefix = "EXPLAIN QUERY PLAN " if record.kind == "plan" else ""
            if record.names:
                # On the lines above the record, which the file has for `bind` and for a blank or a comment.
                values = " UNION ALL ".join(f"""SELECT ':{name}', "{name}" FROM ({record.bind})""" for name in record.names)
                lines[record.line - 2] = ".parameter init"
                lines[record.line - 1] = f"REPLACE INTO temp.sqlite_parameters {values};"
            for part in record.spellings:
                first, last = part[0][0], part[-1][0]
                lines[first - 1] = f".print @{first}"
                lines.update(part)
                lines[first] = prefix + lines[first]
                done = lines[last].rstrip().endswith(";") or lines[last].startswith(".")
                lines[last] += "" if done else ";"
        return "".join(lines.get(number, "") + "\n" for number in range(1, max(lines, default=0) + 1))

    LITERAL = re.compile(r"NULL|X'[0-9a-fA-F]*'|'(?:[^']|'')*'|[^|']+")

    def rows(self, output):
        found, current = {}, None
        for line in re.findall(r"(?:'[^']*'|[^'\n])+", output):
            if line.startswith("@"):
                current = found.setdefault(int(line[1:]), [])
            elif current is not None:
                current.append("|".join(map(self.rewritten, self.LITERAL.findall(line))))
        return found

    @staticmethod
    def rewritten(literal):
        """A literal as the shell quotes it, the way the files write it."""
        if literal.startswith("X'"):
            return literal.lower()
        if literal.startswith("'"):
            return literal.replace("\n", "\\n")
        if re.fullmatch(r"[-+]?(Inf|\d+\.\d*(e[-+]?\d+)?)", literal):
            return written_real(float(literal))
        return literal

    @staticmethod
    def messages(errors):
        found = re.findall(r"^(?:Parse|Runtime) error near line (\d+): (.*?)(?: \(\d+\))?$", errors, re.MULTILINE)
        messages = {}
        for line, message in found:
            messages.setdefault(int(line), message)
        other = [line for line in errors.splitlines() if line.startswith("Error:")]
        return messages | ({0: other[0]} if other else {})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--host", choices=["sqlite3", "pysqlite3", "apsw", "shell"], required=True)
    parser.add_argument("--shell", default="sqlite3", help="the shell's program")
    for switch in ("--untrusted", "--defensive", "--late"):
        parser.add_argument(switch, action="store_true")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    host = ShellHost(options) if options.host == "shell" else ModuleHost(options)
    version = tuple(map(int, host.version.split(".")))
    files = options.files or sorted(Path(__file__).parent.glob("*.slt"))
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        for file in files:
            records = [record for record in parse(file.read_text()) if applies(record, not options.untrusted, version)]
            failures += host.run(file, records, os.path.join(scratch, file.stem + ".db"))
    for failure in failures:
        print(failure)
    print(f"{options.host} {host.version}: {len(files)} files, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
