"""fafcas beside the released sqlite-vec: the same SQL through both gives the same values, or an error in both.

    sqlite_vec_beside.py LIBRARY [SEED]

Where they differ on purpose, `EXPECTED` below says how; docs/from-sqlite-vec.md gives the reasons.
"""

import json
import math
import os
import random
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import apsw
import sqlite_vec

Value = bytes | float | int | str | None
Outcome = tuple[str, list[tuple[Value, ...]] | str]

LIBRARY = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int(os.environ.get("FAFCAS_SEED", "17"))
ROUNDS = 12_000


def connected(*libraries: str) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    for library in libraries:
        connection.load_extension(library)
    return connection


def outcome(connection: apsw.Connection, sql: str, values: list[Value]) -> Outcome:
    try:
        return "rows", connection.execute(sql, values).fetchall()
    except apsw.Error as error:
        return "error", str(error)


def close(ours: Value, theirs: Value) -> bool:
    """Equal, or as near as sums of f32 in another order are."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-5, abs_tol=1e-5)
    return type(ours) is type(theirs) and ours == theirs


def close_bytes(ours: Value, theirs: Value) -> bool:
    """BLOBs of f32 that differ by rounding."""
    if not (isinstance(ours, bytes) and isinstance(theirs, bytes) and len(ours) == len(theirs)):
        return False
    count = len(ours) // 4
    pairs = zip(struct.unpack(f"<{count}f", ours), struct.unpack(f"<{count}f", theirs), strict=True)
    return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in pairs)


def same(sql: str, ours: Outcome, theirs: Outcome) -> bool:
    if ours[0] != theirs[0]:
        return False
    if ours[0] == "error":
        return True
    equal = close_bytes if sql.startswith("SELECT vec_normalize") else close
    rows = list(zip(ours[1], theirs[1], strict=False))
    return len(ours[1]) == len(theirs[1]) and all(
        len(a) == len(b) and all(equal(x, y) or close(x, y) for x, y in zip(a, b, strict=True)) for a, b in rows
    )


# What an argument is. Each kind makes an SQL expression with one parameter, and the parameter's value.
FINITE = [0.0, -0.0, 1.0, -1.0, 0.5, 0.1, -0.004, 0.0039, 127.5, -128.0, 1e-3, 3.25, 12345.678, 0.0078125, 16777217.0]


def number(chance: random.Random) -> float:
    return chance.choice(FINITE) if chance.random() < 0.3 else chance.gauss(0, 1)


def floats(chance: random.Random, length: int) -> list[float]:
    return [number(chance) for _ in range(length)]


def packed(numbers: list[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


ODD: list[Value] = [
    None, 1, -7, 1.5, "", "[]", "[", "]", "x", "1,2", "[1,2", "[1 2]", "[1,2,]", "[1,2]x", '["a"]', "[null]", "[[1]]", "{}",
    "[1e400]", "[nan]", "[inf]", "[0x10]", "[+1]", "[.5]", "[1.]", "[01]", "[" * 200, " [ 1 , 2 ] ", "[1,\n2]", "[128]", "[-129]",
    "[1.5]", "[true]", "[1,0,1,0,0,0,0,0]", "[0,0,0,0,0,0,0,2]", b"", b"\x00", b"\x00\x00", b"\x00\x00\x00", packed([float("nan"), 1]), packed([float("inf"), 1]),
    packed([-float("inf"), 1]), packed([0, 0]), packed([1e38, 1e38]), packed([1e-38, 1e-38]), packed([3e38, -3e38]),
]  # fmt: skip


def argument(chance: random.Random, length: int) -> tuple[str, Value]:
    kind = chance.randrange(10)
    if kind == 0:
        wrap = chance.choice(["?", "?", "vec_f32(?)", "vec_int8(?)", "vec_bit(?)"])
        return wrap, chance.choice(ODD)
    if kind < 3:
        return chance.choice(["?", "vec_f32(?)"]), json.dumps(floats(chance, length))
    if kind < 6:
        return chance.choice(["?", "vec_f32(?)"]), packed(floats(chance, length))
    if kind < 7:
        return "vec_int8(?)", json.dumps([chance.randrange(-60, 60) for _ in range(length)])
    if kind < 8:
        limits = chance.choice([(-60, 60), (-128, 127)])
        return "vec_int8(?)", struct.pack(f"{length}b", *(chance.randint(*limits) for _ in range(length)))
    if kind < 9:
        return "vec_bit(?)", chance.randbytes(max(length // 8, 1))
    scale = "'unit'" if chance.random() < 0.9 else chance.choice(["'UNIT'", "'x'", "NULL", "1", "x'756e6974'"])
    return f"vec_quantize_int8(?, {scale})", packed(floats(chance, length))


ONE = ["vec_f32", "vec_int8", "vec_bit", "vec_length", "vec_type", "vec_to_json", "vec_normalize", "vec_quantize_binary"]
TWO = ["vec_add", "vec_sub", "vec_distance_cosine", "vec_distance_l2", "vec_distance_l1", "vec_distance_hamming"]


def statement(chance: random.Random) -> tuple[str, list[Value]]:
    length = chance.choice([1, 2, 3, 4, 7, 8, 8, 16, 16, 24, 64, 100, 384])
    expression, value = argument(chance, length)
    kind = chance.randrange(10)
    if kind < 3:
        return f"SELECT {chance.choice(ONE)}({expression})", [value]
    if kind < 7:
        # Mostly of the same type and length, so that there is something to compute.
        other, second = argument(chance, length)
        if chance.random() < 0.6 and type(value) in (bytes, str) and value not in ODD:
            other, second = expression, value[::-1] if expression == "vec_bit(?)" else value
            if isinstance(value, str):
                second = json.dumps(json.loads(value)[::-1])
        return f"SELECT {chance.choice(TWO)}({expression}, {other})", [value, second]
    if kind < 8:
        ends: list[Value] = [chance.randint(-1, length + 1), chance.randint(0, length + 1)]
        if chance.random() < 0.5:
            ends = [8 * chance.randint(0, length // 8), 8 * chance.randint(0, length // 8 + 1)]
        if chance.random() < 0.1:
            ends[chance.randrange(2)] = chance.choice([None, "1", 1.0, 1.5, "a", b"1", 2**32, 2**63 - 1])
        return f"SELECT vec_slice({expression}, ?, ?)", [value, *ends]
    if kind < 9:
        return f"SELECT rowid, value, typeof(value) FROM vec_each({expression})", [value]
    return f"SELECT vec_quantize_int8({expression}, 'unit')", [value]


# How the two differ on purpose: what docs/from-sqlite-vec.md calls it, and what ours gives then.
Rule = Callable[[str, list[Value], Outcome, Outcome], bool]


def is_json(text: Value) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=lambda _: 1 / 0), list) if isinstance(text, str) else True
    except (ValueError, ZeroDivisionError, RecursionError):
        return False


def holds_bad_float(values: list[Value]) -> bool:
    def bad(value: Value) -> bool:
        if not isinstance(value, bytes) or len(value) % 4:
            return False
        return not all(map(math.isfinite, struct.unpack(f"<{len(value) // 4}f", value)))

    return any(map(bad, values))


def gives_null(ours: Outcome) -> bool:
    return ours == ("rows", [(None,)]) or ours == ("rows", [])


EXPECTED: dict[str, Rule] = {
    "NULL in, NULL out": lambda sql, values, ours, theirs: None in values and gives_null(ours),
    "text is JSON": lambda sql, values, ours, theirs: ours[0] == "error" and not all(map(is_json, values)),
    "NaN and infinities": lambda sql, values, ours, theirs: ours[0] == "error" and "finite" in str(ours[1]),
    "int8 does not wrap": lambda sql, values, ours, theirs: ours[0] == "error" and "from -128 to 127 for int8" in str(ours[1]),
    "bits from JSON": lambda sql, values, ours, theirs: theirs[0] == "error" and "vec_bit" in sql and ours[0] == "rows",
    "the order of bits": lambda sql, values, ours, theirs: "vec_each(vec_bit" in sql
    and ours[0] == theirs[0] == "rows"
    and [row[1] for row in theirs[1]] == [ours[1][at ^ 7][1] for at in range(len(ours[1]))],
    "a vector of zeros": lambda sql, values, ours, theirs: ours[0] == "rows"
    and theirs[0] == "rows"
    and (sql.startswith("SELECT vec_distance_cosine") and ours[1] == [(1.0,)] and theirs[1] == [(None,)]
         or sql.startswith("SELECT vec_normalize") and ours[1] == [(None,)]),
    "beyond the range of f32": lambda sql, values, ours, theirs: any(value in ODD[-3:] for value in values),
    "whole numbers": lambda sql, values, ours, theirs: sql.startswith("SELECT vec_slice") and ours[0] == "error"
    and any(not isinstance(value, int) or value >= 2**31 for value in values[1:]),
    "a lost type": lambda sql, values, ours, theirs: sql.startswith("SELECT vec_quantize_int8(vec_") and ours[0] == "error"
    and "f32, f16 or bf16" in str(ours[1]),
}  # fmt: skip


def compare() -> None:
    chance = random.Random(SEED)
    fafcas, other = connected(LIBRARY), connected(sqlite_vec.loadable_path())
    told: Counter[str] = Counter()
    for _ in range(ROUNDS):
        sql, values = statement(chance)
        ours, theirs = outcome(fafcas, sql, values), outcome(other, sql, values)
        if same(sql, ours, theirs):
            told[f"same {ours[0]}"] += 1
            continue
        reason = next((name for name, holds in EXPECTED.items() if holds(sql, values, ours, theirs)), None)
        if reason is None:
            sys.exit(f"seed {SEED}: {sql}\n{values}\nfafcas: {ours}\nsqlite-vec: {theirs}")
        told[reason] += 1
    print(f"seed {SEED}: {dict(told.most_common())}")
    never = [name for name in EXPECTED if not told[name]]
    assert not never, f"differences that never showed: {never}"
    assert told["same rows"] > ROUNDS / 3, told
    unit_scale(fafcas, other, chance)


def unit_scale(fafcas: apsw.Connection, other: apsw.Connection, chance: random.Random) -> None:
    """The scale of int8, to the last step: 65,000 numbers."""
    numbers = [chance.uniform(-1.1, 1.1) for _ in range(40_000)] + [step / 12_500 - 1 for step in range(25_000)]
    for numbers_type in ("vec_quantize_int8(?, 'unit')", "vec_quantize_binary(?)", "vec_to_json(?)"):
        sql = f"SELECT {numbers_type}"
        ours, theirs = ([outcome(c, sql, [packed(numbers)])] for c in (fafcas, other))
        assert ours == theirs, numbers_type


NAMES = "SELECT vec_version(), vec_type(vec_f32('[1]')), (SELECT count(*) FROM vec_each('[1,2]')), vec_dot('[1,2]', '[3,4]')"


def beside(*libraries: str) -> list[Value]:
    connection = connected(*libraries)
    rows = connection.execute(NAMES).fetchall()
    connection.execute("CREATE VIRTUAL TABLE t USING vec0(v float[2])")
    connection.execute("INSERT INTO t(rowid, v) VALUES (1, '[1,2]'), (2, vec_f32('[3,4]'))")
    nearest = connection.execute("SELECT rowid FROM t WHERE v MATCH '[3,4]' AND k = 1").fetchall()
    connection.execute("CREATE TABLE ordinary AS SELECT rowid AS id, vec_f32(v) AS v FROM t")
    found = connection.execute("SELECT rowid FROM vec_topk('ordinary', 'v', '[3,4]', 1)").fetchall()
    assert nearest == found == [(2,)], (nearest, found)
    return list(rows[0])


def both_in_one_process() -> None:
    """The library that was loaded last answers the shared names, and the rest of each works in either order."""
    other = sqlite_vec.loadable_path()
    left = os.environ.get("FAFCAS_VEC_NAMES") == "0"
    theirs = f"v{sqlite_vec.__version__}"
    assert beside(LIBRARY, other) == [theirs, "float32", 2, 11.0]
    second = beside(other, LIBRARY)
    assert second[1:] == ["float32", 2, 11.0], second
    assert (second[0] == theirs) == left, second
    if left:
        alone = outcome(connected(LIBRARY), "SELECT vec_length('[1]')", [])
        assert alone[0] == "error" and "no such function" in str(alone[1]), alone


if __name__ == "__main__":
    both_in_one_process()
    if os.environ.get("FAFCAS_VEC_NAMES") != "0":
        compare()
        environment = os.environ | {"FAFCAS_VEC_NAMES": "0"}
        subprocess.run([sys.executable, *sys.argv], env=environment, check=True)
