"""Shows the rows of fafcas_selftest() that come as JSON on standard input, and fails if one failed or they are not all there.

    sqlite3 -json :memory: '.load ./libfafcas' 'SELECT * FROM fafcas_selftest()' | selftest.py PLATFORM [CHECK...]

Each CHECK must be among them: a run that ends early is not a good one.
"""

import json
import sys

ALWAYS = ["library", "kernels scalar", "types scalar", "codes scalar", "bounds scalar", "normalize", "index search", "index merge", "index drop", "embed"]


def main(platform, *checks):
    judge(platform, sys.stdin.read(), *checks)


def judge(platform, text, *checks):
    if not text.strip():
        sys.exit(f"{platform}: expected the rows of fafcas_selftest(), not nothing")
    rows = json.loads(text)
    for row in rows:
        print(f"{platform}  {'ok  ' if row['ok'] else 'FAIL'}  {row['name']:<16}  {row['milliseconds']:>8.1f} ms  {row['detail']}")
    missing = sorted({*ALWAYS, *checks} - {row["name"] for row in rows})
    failed = [row["name"] for row in rows if not row["ok"]]
    if missing or failed:
        sys.exit(f"{platform}: failed: {', '.join(failed) or 'none'}; not there: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
