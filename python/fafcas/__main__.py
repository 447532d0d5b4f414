"""The command `fafcas`, or `python -m fafcas`."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from .command import program
    except ModuleNotFoundError as error:
        sys.exit(f"fafcas: {error}; mend it with: {sys.executable} -m pip install apsw click pyyaml")
    program.main()


if __name__ == "__main__":
    main()
