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
