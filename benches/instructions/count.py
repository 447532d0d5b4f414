"""Counts the instructions of the workloads beside this file and compares them with their budgets.

    python count.py compare                  fails where a workload takes more than 2 % over its budget
    python count.py write [WORKLOAD ...]     counts all or these, and writes their budgets anew

README.md beside this file says what is counted, and when a budget may change.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUDGETS = HERE / "budgets.tsv"
TOLERANCE = 0.02
MODELS = ROOT / "models"
# Of one tokenizer, as many models as texts.rs takes.
COPIES = 8
# These read the tokenizers first, which takes longer than all else, so they begin first.
SLOW = ["tokenise", "chunk"]


def main(arguments):
    match arguments:
        case ["compare"] | ["write", *_]:
            missing = what_is_missing()
        case _:
            sys.exit(__doc__)
    if missing:
        skip(missing, must=arguments[0] == "write" or os.environ.get("FAFCAS_REQUIRE_HOSTS") == "1")
    elif arguments == ["compare"]:
        compare()
    else:
        write(arguments[1:])


def what_is_missing():
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "this machine is not Linux on x86-64"
    if "avx2" not in Path("/proc/cpuinfo").read_text().split():
        return "this CPU has no AVX2"
    if not shutil.which("valgrind"):
        return "valgrind is absent (Debian has it under that name)"
    return None


def skip(reason, must):
    if must:
        sys.exit(f"== instructions cannot be counted: {reason}")
    print(f"== SKIPPED, NO INSTRUCTIONS WERE COUNTED: {reason}")


def compare():
    expected_tools, budgets = read()
    program, library = build()
    tools, counts = count(program, library, names(program))
    print(table(budgets, counts))
    for tool, version in tools.items():
        if version != expected_tools.get(tool):
            print(f"the budgets are for {tool} {expected_tools.get(tool)}, this is {version}: counts may differ for that alone")
    failures = [*judged(budgets, counts), *mixed_commits()]
    if failures:
        sys.exit("\n".join(["== instructions:", *failures]))
    print("== instructions are within their budgets")


def judged(budgets, counts):
    failures = []
    for name in budgets.keys() | counts.keys():
        if name not in budgets or name not in counts:
            failures.append(f"{name}: no {'budget' if name in counts else 'workload'}; make budgets-write ONLY={name}")
        elif counts[name] > budgets[name] * (1 + TOLERANCE):
            failures.append(f"{name}: {counts[name]:,} instructions, more than {TOLERANCE:.0%} over {budgets[name]:,}")
        elif counts[name] < budgets[name] * (1 - TOLERANCE):
            print(f"{name}: the budget can be lowered (make budgets-write ONLY={name})")
    return sorted(failures)


def mixed_commits():
    """A budget changes in a commit of its own, so that its message says why. The commit that brought the file is excepted."""
    file = BUDGETS.relative_to(ROOT).as_posix()

    def log(*options):
        command = ["git", "log", "--no-merges", *options, "--", file]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout

    try:
        brought = log("--diff-filter=A", "--format=%h").split()
        changed = log("--full-diff", "--name-only", "--format=commit %h")
    except FileNotFoundError:
        return []
    commits = [commit.split() for commit in changed.split("commit ")[1:]]
    mixed = [number for number, *files in commits if files != [file] and number not in brought]
    return [f"commit {number} changes {file} and more" for number in mixed]


def write(only):
    _, budgets = read()
    program, library = build()
    known = names(program)
    if unknown := [name for name in only if name not in known and name not in budgets]:
        sys.exit(f"no workload {', '.join(unknown)}")
    tools, counts = count(program, library, [name for name in known if not only or name in only])
    new = {name: counts.get(name, budgets.get(name)) for name in known}
    lines = [f"# {tool}\t{version}" for tool, version in tools.items()]
    lines += [f"{name}\t{number}" for name, number in new.items() if number is not None]
    BUDGETS.write_text("\n".join(lines) + "\n")
    print(table(budgets, counts))


def read():
    """The tools that the budgets were counted with, and the budgets."""
    lines = BUDGETS.read_text().splitlines() if BUDGETS.exists() else []
    pairs = [line.split("\t") for line in lines]
    tools = {name.removeprefix("# "): value for name, value in pairs if name.startswith("# ")}
    return tools, {name: int(value) for name, value in pairs if not name.startswith("# ")}


def build():
    """The program and the library beside it, from the profile of `cargo bench`."""
    command = ["cargo", "bench", "--quiet", "--bench", "instructions", "--no-run", "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    programs = [message["executable"] for message in messages if message.get("executable")]
    files = [file for message in messages for file in message.get("filenames", []) if Path(file).name == "libfafcas.so"]
    if built.returncode or not programs or not files:
        sys.exit("== instructions: the program could not be built")
    return programs[0], files[0]


def names(program):
    return output(program, "list").split()


def count(program, library, workloads):
    folder = ROOT / "target" / "instructions"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for copy in range(COPIES):
        make_model(folder / "models" / f"copy{copy}")
    (folder / "models" / "libonnxruntime.so").symlink_to(MODELS / "libonnxruntime.so")
    run([program, "prepare"], folder, "prepare")
    in_turn = sorted(workloads, key=lambda name: name not in SLOW)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        numbers = dict(zip(in_turn, pool.map(lambda name: counted([program, name, library], name, folder), in_turn)))
    shutil.rmtree(folder)
    return tools(program), {name: numbers[name] for name in workloads}


def make_model(folder):
    """The tokenizer of a real model, with a network that takes no time to load."""
    shutil.copytree(MODELS / "all-MiniLM-L6-v2", folder, ignore=shutil.ignore_patterns("model.onnx"))
    shutil.copy(ROOT / "tests" / "data" / "tiny" / "any_id.onnx", folder / "model.onnx")


def counted(command, workload, folder):
    """The program calls getppid before and after what is to be counted, and Callgrind begins a new file at each call."""
    out = folder / f"{workload}.out"
    valgrind = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={out}"]
    run([*valgrind, *command], folder, workload)
    parts = sorted(folder.glob(f"{workload}.out.*"))
    if len(parts) != 2:
        sys.exit(f"== instructions: {workload} wrote {len(parts)} counts, not 2")
    totals = [line.split()[1] for line in parts[1].read_text().splitlines() if line.startswith("totals:")]
    return int(totals[0])


def run(command, folder, name):
    """In an environment that is the same everywhere."""
    environment = {"FAFCAS_KERNELS": "avx2", "FAFCAS_MODEL_DIR": "models", "TOKENIZERS_PARALLELISM": "false"}
    path = {"PATH": os.environ["PATH"]} if command[0] == "valgrind" else {}
    done = subprocess.run(command, cwd=folder, env=environment | path, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"== instructions: {name} failed\n{done.stdout}{done.stderr}")


def tools(program):
    """What the counts depend on besides the code."""
    return {
        "rustc": output("rustc", "--version").removeprefix("rustc "),
        "SQLite": output(program, "sqlite"),
        "cc": output("cc", "--version").splitlines()[0].removeprefix("cc "),
        "libc": " ".join(platform.libc_ver()),
        "valgrind": output("valgrind", "--version").removeprefix("valgrind-"),
    }


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def table(budgets, counts):
    rows = [f"{'workload':<14} {'budget':>14} {'count':>14} {'ratio':>7}"]
    for name, number in counts.items():
        budget = budgets.get(name)
        known = f"{budget:>14,} {number:>14,} {number / budget:>7.3f}" if budget else f"{'-':>14} {number:>14,} {'-':>7}"
        rows.append(f"{name:<14} {known}")
    return "\n".join(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
