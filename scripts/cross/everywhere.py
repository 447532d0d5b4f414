"""Tries a library in the shell of SQLite for its platform: everywhere.py PLATFORM SHELL LIBRARY MODELS [--short] [RUNTIME]

SHELL starts that shell on this machine, such as `shell.py` makes it. MODELS has a static model alone, or, where RUNTIME names ONNX
Runtime's library for the platform, those of `make model`. What runs is `fafcas_selftest()`, then an index in a file with two processes at
a time, in a folder whose name has spaces and letters beyond ASCII, and in a database that is only to be read, then a false ONNX Runtime
in the working directory, and then the files of tests/slt. `--short` leaves out most of these files.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import selftest

ROOT = Path(__file__).resolve().parents[2]
# Of each part of the library, those that are quick under an emulator too.
SHORT = ["scalar", "topk", "index", "many", "vectors"]
# They want models that run on ONNX Runtime, which has no package for musl, and does not run under an emulator of CPUs.
WANT_ONNX = ["documents", "embedding", "kit", "utf16"]
# What a search must find: with the index, and by reading all rows.
NEAREST = "SELECT rowid, score FROM vec_topk('t', 'v', (SELECT v FROM t WHERE id = 77), 9) ORDER BY score DESC, rowid;"
EXACT = NEAREST.replace(", 9)", """, 9, '{"exact": true}')""")
ROWS = """INSERT INTO t(v) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
    SELECT fafcas_normalize((SELECT json_group_array((i * 7919 + j * 104729 + i * j * 31) % 1009 - 504.5) FROM (
        WITH RECURSIVE m(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM m WHERE j < 48) SELECT j FROM m))) FROM n;"""

# What ONNX Runtime for Windows says where there is no screen.
NO_SCREEN = "Failed to create DXGI factory."


class Shell:
    """A process of the shell with the library in it, which answers a line at a time."""

    def __init__(self, program, library, folder, database=":memory:", access="", **settings):
        self.process = subprocess.Popen([program, "-batch", ":memory:"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        cwd=folder, env=environment(settings), encoding="utf-8")
        expect("the library", self.ask(f".open {access} '{database}'\n.load '{library}'\nSELECT length(fafcas_info()) > 0;"), ["1"])

    def ask(self, sql):
        """The lines that the statements print, errors too."""
        self.process.stdin.write(f"{sql}\n.print @done\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            line = line.rstrip("\r\n")
            if line == "@done":
                return lines
            if line != NO_SCREEN:
                lines.append(line)
        raise SystemExit(f"the shell ended at: {sql}\n" + "\n".join(lines))

    def close(self, errors=0):
        """The shell ends with 1 if statements failed."""
        self.process.stdin.close()
        rest = self.process.stdout.read()
        expect("the end of the shell", self.process.wait(), min(errors, 1), rest)


def environment(settings):
    """Without what this machine's own settings say."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FAFCAS_")} | settings


def expect(what, found, expected, more=""):
    if found != expected:
        raise SystemExit(f"{what}: expected {expected}, not {found} {more}")


def main(platform, program, library, models, *more):
    program, library, models = (str(Path(path).absolute()) for path in (program, library, models))
    short = "--short" in more
    settings = {"FAFCAS_MODEL_DIR": models} | {"FAFCAS_ONNXRUNTIME": str(Path(path).absolute()) for path in more if path != "--short"}
    with awake(program), tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        try_selftest(platform, program, library, settings, scratch)
        try_index(program, library, scratch)
        print(f"{platform}  ok    an index in a file, two processes, spaces and letters beyond ASCII, read only")
        try_planted(program, library, scratch)
        print(f"{platform}  ok    a false ONNX Runtime in the working directory is not loaded")
        print(f"{platform}  ok    {run_files(program, library, settings, short)}", flush=True)


@contextlib.contextmanager
def awake(program):
    """While a shell is there that does nothing. wine starts services with its first process and ends them with the last; one of them, in
    ntoskrnl.exe, crashes now and then as it starts, and what it says goes to whoever started it."""
    process = subprocess.Popen([program, "-batch", ":memory:"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdin.write(b"SELECT 1;\n")
    process.stdin.flush()
    process.stdout.readline()
    try:
        yield
    finally:
        process.stdin.close()
        process.wait()


def try_selftest(platform, program, library, settings, scratch):
    shell = Shell(program, library, scratch, **settings)
    rows = "".join(shell.ask(".mode json\nSELECT * FROM fafcas_selftest();"))
    shell.close()
    checks = [f"{part} neon" for part in ("kernels", "types", "codes", "bounds")] if "aarch64" in platform else []
    selftest.judge(platform, rows, *checks)


def try_index(program, library, scratch):
    folder = scratch / "two words ä 漢字"
    folder.mkdir()
    # The folder is the working directory, and a part of the path of the library and the database.
    own = folder / Path(library).name
    shutil.copyfile(library, own)
    first = Shell(program, own, folder, "töne.db")
    expect("the journal", first.ask("PRAGMA journal_mode = WAL;"), ["wal"])
    made = first.ask(f"CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);\n{ROWS.format(count=3000)}\nCREATE VIRTUAL TABLE i USING vec_index(t, v);")
    exact = first.ask(EXACT)
    expect("the index", first.ask(NEAREST), exact, made)
    second = Shell(program, own, scratch, folder / "töne.db")
    expect("the second process", second.ask(NEAREST), exact)
    second.ask(f"DELETE FROM t WHERE id = 900;\n{ROWS.format(count=50)}")
    exact = second.ask(EXACT)
    expect("what the first process sees", first.ask(NEAREST), exact)
    expect("the merge", first.ask("INSERT INTO i(i) VALUES ('merge');"), [])
    expect("after the merge", second.ask(NEAREST), exact)
    expect("the check", second.ask("INSERT INTO i(i) VALUES ('check');\nPRAGMA integrity_check;"), ["ok"])
    second.close()
    first.close()
    again = Shell(program, own, folder, "töne.db")
    expect("opened again", again.ask(f"{NEAREST}\nPRAGMA journal_mode = DELETE;"), [*exact, "delete"])
    again.close()
    try_read_only(program, own, folder, exact)


def try_read_only(program, library, folder, exact):
    """Root may write into a folder that is only to be read, so SQLite is told that it may not."""
    before = (folder / "töne.db").read_bytes()
    shell = Shell(program, library, folder, "töne.db", "--readonly")
    expect("the index, read only", shell.ask(NEAREST), exact)
    for statement in ("DELETE FROM t WHERE id = 5;", "INSERT INTO i(i) VALUES ('merge');", "DROP TABLE i;", "CREATE VIRTUAL TABLE j USING vec_index(t, v);"):
        told = "\n".join(shell.ask(statement))
        if "readonly" not in told:
            raise SystemExit(f"{statement} expected an error that says readonly, not {told}")
    expect("the index after that", shell.ask(NEAREST), exact)
    shell.close(errors=1)
    expect("whether the file is as before", (folder / "töne.db").read_bytes() == before, True)


def try_planted(program, library, scratch):
    """The shell's folder has the false library, and `tests/data` a model that wants ONNX Runtime."""
    folder = scratch / "planted"
    model = folder / "models/tiny"
    model.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests/data/tiny/pooled.onnx", model / "model.onnx")
    shutil.copyfile(ROOT / "tests/data/tiny/tokenizer.json", model / "tokenizer.json")
    (model / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    planted = next(Path(program).parent.glob("*onnxruntime.*"))
    shutil.copyfile(planted, folder / planted.name)
    told = embedded(program, library, folder)
    expect("whether the false library is loaded", (folder / "loaded").exists(), False, told)
    if planted.name not in told:
        raise SystemExit(f"expected an error that names {planted.name}, the library that is missing, not {told}")
    # It can be loaded: else it would say nothing that it is not.
    told = embedded(program, library, folder, FAFCAS_ONNXRUNTIME=planted.name)
    expect("whether the false library is loaded once it is named", (folder / "loaded").exists(), True, told)


def embedded(program, library, folder, **settings):
    shell = Shell(program, library, folder, FAFCAS_MODEL_DIR="models", **settings)
    told = shell.ask("SELECT length(embed('a', 'tiny'));")
    shell.close(errors=1)
    return "\n".join(told)


def run_files(program, library, settings, short):
    left_out = set() if "FAFCAS_ONNXRUNTIME" in settings else set(WANT_ONNX)
    there = sorted({path.stem for path in (ROOT / "tests/slt").glob("*.slt")} - left_out)
    names = SHORT if short else there
    files = [f"tests/slt/{name}.slt" for name in names]
    command = [sys.executable, "tests/slt/run.py", "--host", "shell", "--shell", program, "--library", library, *files]
    done = subprocess.run(command, cwd=ROOT, env=environment(settings), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.stdout)
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
