"""Puts ONNX Runtime for Windows into a folder, from its Python package: runtime.py FOLDER"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))
from fafcas.models import fetch  # noqa: E402 (it lies in another folder)

if __name__ == "__main__":
    try:
        fetch.fetch_runtime(sys.argv[1], None, "win32", "amd64", "--platform", "win_amd64")
    except (fetch.Failure, OSError) as failure:
        sys.exit(f"fafcas: {failure}")
