"""Names in src/ that stand for several things, or that say too little of what they stand for.

    python scripts/names.py [--check] [FOLDER]

FOLDER is src/ unless given. Prints each name and the files that define it. With --check it fails where there are more of them
than the bounds below allow.

1. Shared names: a struct, enum, union, trait or type that more than one file defines. Public or private, in a module or in a
   function: a reader meets it all the same. Not counted: associated types, what is behind `cfg(test)`, and what only the
   files of one kernel for several instruction sets define, which are one idea (told apart below).
2. Riddles: what was asked, who knows it? Types and files whose name, one of the lists below, does not say.

Other types named by a participle alone are printed too. Some of these names are good, so there is no bound for them.
"""

import re
import sys
from pathlib import Path

# Not more than these. Lower them as names are mended, and never raise them: 6 and 0 are what is aimed at.
MOST_SHARED = 6
MOST_RIDDLES = 2

INSTRUCTION_SETS = {"scalar", "avx2", "avx512", "neon"}
RIDDLE_TYPES = {"Answered", "Asked", "Asker", "Asking", "Finding", "Found", "Kept", "Known", "Seen"}
RIDDLE_FILES = {"answers", "asked", "door", "kept", "list", "part", "places", "process", "running", "share", "shelf"}
PARTICIPLE = re.compile(r"[A-Z][a-z]+(ed|ing)|Begun|Given|Held|Left|Met|Shown|Taken|Told")
# They end like participles, and are things.
THINGS = {"Bed", "Embedding", "Encoding", "Feed", "Listing", "Mapping", "Need", "Ranking", "Ring", "Seed", "Setting", "Speed", "String"}

# What a brace must not be looked for in: comments, strings, characters (which are no lifetimes).
OPAQUE = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | \b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes) | [bc]?"(?:\\.|[^"\\])*" | b?'(?:\\[^\n]+?|[^\\'\n])'""",
    re.VERBOSE | re.DOTALL,
)
TEST_ITEM = re.compile(r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*")
TEST_MODULE = re.compile(r"(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;")
DEFINITION = re.compile(r"(?<![\w$#])(struct|enum|union|trait|type)\s+([A-Z]\w*)")
BLOCK = re.compile(r"(?<![\w$#])(trait|impl)\b|[{}]")


def plain(text):
    """The text without comments and literals, and as long."""
    return OPAQUE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def end_of_item(text, start):
    """Where the item ends that begins here: behind its block, or behind its semicolon."""
    depth = 0
    for found in re.finditer(r"[{}()\[\];]", text[start:]):
        depth += (found[0] in "{([") - (found[0] in "})]")
        if depth == 0 and found[0] in ";}":
            return start + found.end()
    return len(text)


def without_tests(text):
    """The text without what is behind `cfg(test)`, and the names of modules whose files are."""
    modules = []
    while found := TEST_ITEM.search(text):
        end = end_of_item(text, found.end())
        module = TEST_MODULE.match(text, found.end())
        modules += [module[1]] if module else []
        text = text[: found.start()] + text[end:]
    return text, modules


def definitions(text):
    """The names of types that a file defines. A `type` that stands right in a trait or an impl is associated."""
    inside, coming, names = [], None, set()
    marks = [*BLOCK.finditer(text), *DEFINITION.finditer(text)]
    for mark in sorted(marks, key=lambda mark: (mark.start(), mark.end())):
        if mark[0] == "{":
            inside.append(coming)
            coming = None
        elif mark[0] == "}":
            inside and inside.pop()
        elif mark.re is BLOCK:
            # `impl Trait` within a signature is no block: the next brace is that of the function.
            coming = "associated" if in_item_position(text, mark.start()) else coming
        elif mark[1] != "type" or not inside or inside[-1] != "associated":
            names.add(mark[2])
    return names


def in_item_position(text, start):
    """Whether what stands before a keyword lets an item begin here."""
    before = re.sub(r"((unsafe|pub(\([^)]*\))?|default|auto)\s+)+$", "", text[:start]).rstrip()
    return not before or before[-1] in "{};]"


def files(folder):
    """Each file's path in the folder, and the types it defines."""
    found, tests = {}, set()
    for path in sorted(folder.rglob("*.rs")):
        text, modules = without_tests(plain(path.read_text(encoding="utf-8")))
        home = path.parent if path.stem in ("mod", "lib") else path.with_suffix("")
        tests |= {file for module in modules for file in (home / f"{module}.rs", home / module / "mod.rs")}
        # A file that stands in the place of another, where a feature is left out, has the other's names.
        stands_in = path.stem.endswith("left_out")
        found[path] = set() if stands_in or re.search(r"#!\[cfg\(test\)\]", text) else definitions(text)
    return {path.relative_to(folder): names for path, names in found.items() if path not in tests}


def one_kernel(paths):
    """Whether these are one thing for several instruction sets."""
    return {path.stem for path in paths} <= INSTRUCTION_SETS and len({path.parent for path in paths}) == 1


def report(folder):
    """Shared names, those of kernels, riddles, and other participles, each with its files."""
    defined = {}
    per_file = files(folder)
    for path, names in per_file.items():
        for name in names:
            defined.setdefault(name, []).append(path)
    several = {name: paths for name, paths in sorted(defined.items()) if len(paths) > 1}
    kernels = {name: paths for name, paths in several.items() if one_kernel(paths)}
    shared = {name: paths for name, paths in several.items() if name not in kernels}
    riddles = {name: paths for name, paths in sorted(defined.items()) if name in RIDDLE_TYPES}
    riddles |= {path.as_posix(): [path] for path in per_file if path.stem in RIDDLE_FILES}
    others = {name: paths for name, paths in sorted(defined.items()) if name not in RIDDLE_TYPES and is_participle(name)}
    return shared, kernels, riddles, others


def is_participle(name):
    return bool(PARTICIPLE.fullmatch(name)) and name not in THINGS


def main(arguments):
    check = "--check" in arguments
    rest = [argument for argument in arguments if argument != "--check"]
    folder = Path(rest[0]) if rest else Path(__file__).resolve().parent.parent / "src"
    shared, kernels, riddles, others = report(folder)
    for title, names in (
        ("defined in more than one file", shared),
        ("kernels by instruction set", kernels),
        ("riddles", riddles),
        ("other types named by a participle alone", others),
    ):
        print(f"{len(names)} {title}")
        for name, paths in names.items():
            print(f"  {name}: {', '.join(path.as_posix() for path in paths)}")
    if check:
        for what, names, most in (("shared names", shared, MOST_SHARED), ("riddles", riddles, MOST_RIDDLES)):
            if len(names) > most:
                sys.exit(f"names.py: expected at most {most} {what}, not {len(names)}: give the new ones a name of their own")


if __name__ == "__main__":
    main(sys.argv[1:])
