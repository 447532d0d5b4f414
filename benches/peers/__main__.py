"""fafcas beside other vector searches, on the same vectors, in one go: `make bench`, `make bench-full`, `make bench-report`.

    python benches/peers data LIBRARY FOLDER SET ROWS
    python benches/peers run LIBRARY RESULTS.jsonl short|full [--rows N] [--only AXIS SYSTEM...] [--minutes N] [--limit S]
    python benches/peers report RESULTS.jsonl FOLDER

benches/README.md says what is measured, and how.
"""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """One of the commands."""
    if sys.argv[1:2] == ["worker"]:
        import worker

        worker.main(*sys.argv[2:])
    parser = argparse.ArgumentParser(description="fafcas beside other vector searches")
    commands = parser.add_subparsers(required=True, dest="command")
    data_ = commands.add_parser("data")
    data_.add_argument("library")
    data_.add_argument("folder", type=Path)
    data_.add_argument("set")
    data_.add_argument("rows", type=int)
    run_ = commands.add_parser("run")
    run_.add_argument("library")
    run_.add_argument("results", type=Path)
    run_.add_argument("form", choices=["short", "full"])
    run_.add_argument("--rows", type=int, default=60_000)
    run_.add_argument("--only", nargs="*", default=[])
    run_.add_argument("--minutes", type=float, default=10.0)
    run_.add_argument("--limit", type=float, default=120.0)
    report_ = commands.add_parser("report")
    report_.add_argument("results", type=Path)
    report_.add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.command == "data":
        import data

        data.prepare(given.set, given.rows, given.folder, given.library)
    if given.command == "run":
        import run

        run.main(given.results, given.library, given.form, given.rows, given.only, given.minutes, given.limit)
    if given.command == "report":
        import record

        record.main(given.results, given.folder)


if __name__ == "__main__":
    main()
