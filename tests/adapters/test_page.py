"""The programs of docs/adapters.md, as they stand there: each must print what stands below it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adapters.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PROGRAMS = [(language, text, printed) for (language, text), (_, printed) in zip(BLOCKS[::2], BLOCKS[1::2])]


def test_each_block_is_a_program_with_what_it_prints():
    assert [language for language, _ in BLOCKS] == ["python", "text"] * 4 + ["sh", "text"]


@pytest.mark.parametrize(("language", "text", "printed"), PROGRAMS, ids=["langchain", "llama_index", "sqlalchemy", "django", "llm"])
def test_programs(language, text, printed, installed, tmp_path):
    program = {"python": [sys.executable, "-c", text], "sh": ["sh", "-e", "-c", text]}[language]
    told = subprocess.run(program, env=installed, cwd=tmp_path, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, printed), told.stderr


def test_import_takes_in_no_framework():
    program = "import sys, fafcas; print([name for name in sys.modules if name.split('.')[0] in {'langchain_core', 'llama_index', 'sqlalchemy', 'django', 'llm', 'numpy'}])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "made",
    [
        "from fafcas.langchain import FafcasEmbeddings; e = FafcasEmbeddings('prompted'); found = e.embed_query('moon'), e.embed_documents(['moon'])[0]",
        "from fafcas.llama_index import FafcasEmbedding; e = FafcasEmbedding(model='prompted'); "
        "found = e.get_query_embedding('moon'), e.get_text_embedding('moon')",
    ],
    ids=["langchain", "llama_index"],
)
def test_questions_have_the_prompt_that_the_model_wants_for_them(made, prompted):
    program = f"""if 1:
        import sqlite3, fafcas
        {made}
        connection = sqlite3.connect(":memory:")
        fafcas.load(connection)
        wanted = connection.execute("SELECT embed_query('moon', 'prompted'), embed('moon', 'prompted')").fetchone()
        assert wanted[0] != wanted[1] and tuple(map(fafcas.vector, found)) == wanted
    """
    told = subprocess.run([sys.executable, "-c", program], env=prompted, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
