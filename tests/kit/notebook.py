"""docs/notebook.ipynb runs from top to bottom, and each cell prints what stands below it. `notebook.py write` writes that anew.

The cells are plain Python, so the test needs no Jupyter.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/notebook.ipynb"
sys.path.insert(0, str(ROOT / "python"))
os.environ["FAFCAS_LIBRARY"] = os.environ["LIBRARY"]


def printed(source, names):
    """What a cell prints, as Jupyter stores it."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(source, PAGE.name, "exec"), names)
    return said.getvalue().splitlines(keepends=True)


def main(arguments):
    notebook, names = json.loads(PAGE.read_text(encoding="utf-8")), {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 5, "the notebook has nearly no cells"
    for number, cell in enumerate(cells, 1):
        outputs = [{"name": "stdout", "output_type": "stream", "text": printed("".join(cell["source"]), names)}]
        if arguments == ["write"]:
            cell |= {"execution_count": number, "outputs": outputs}
        assert cell["outputs"] == outputs, f"cell {number}: {outputs[0]['text']}, not {cell['outputs']}"
    if arguments == ["write"]:
        PAGE.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
