"""What the address of a page asks for, and the conditions of its filters as SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

from ..kit.scripts import Refused
from ..kit.source import Source, literal, quoted

# The value of `by` in the address, and the query that answers so.
WAYS = {"both": "hybrid", "meaning": "search", "words": "hybrid"}

# What a condition may be: as people read it, and as SQL.
OPERATORS = {
    "is": "{column} = {value}",
    "is not": "{column} IS NOT {value}",
    "contains": "instr(lower({column}), lower({value})) > 0",
    "less than": "{column} < {value}",
    "at most": "{column} <= {value}",
    "at least": "{column} >= {value}",
    "more than": "{column} > {value}",
}

MOST = 100

Value = Union[str, int, float]


@dataclass(frozen=True)
class Filter:
    column: str
    operator: str
    value: str

    def sql(self, kinds: dict[str, str], value: str) -> str:
        """With SQL for the value."""
        if self.column not in kinds:
            raise Refused(f"expected a column out of {', '.join(kinds)}, not {self.column}")
        if self.operator not in OPERATORS:
            raise Refused(f"expected a condition out of {', '.join(OPERATORS)}, not {self.operator}")
        return OPERATORS[self.operator].format(column=quoted(self.column), value=value)


@dataclass(frozen=True)
class Asked:
    question: str
    like: str
    by: str
    count: int
    filters: tuple[Filter, ...]
    model: str


def asked(arguments: Any) -> Asked:
    """`arguments` are the request's; each has a value or several."""
    return Asked(
        question=(arguments.get("q") or "").strip(),
        like=arguments.get("like") or "",
        by=one_of(arguments.get("by") or "both", WAYS, "by"),
        count=number(arguments.get("k") or "10"),
        filters=tuple(filters(arguments)),
        model=arguments.get("model") or "",
    )


def filters(arguments: Any) -> list[Filter]:
    """`has_COLUMN=value` for those that are chosen from a list, and `column`, `is` and `value` for all others."""
    chosen = [Filter(name[4:], "is", arguments[name]) for name in arguments if name.startswith("has_") and arguments[name]]
    columns, operators, values = (arguments.getlist(name) for name in ("column", "is", "value"))
    return chosen + [Filter(*row) for row in zip(columns, operators, values) if row[0] and row[2]]


def one_of(value: str, values: dict[str, str], name: str) -> str:
    if value not in values:
        raise Refused(f"{name}: expected one of {', '.join(values)}, not {value}")
    return value


def number(text: str) -> int:
    if len(text) > len(str(MOST)) or not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise Refused(f"k: expected a number from 1 to {MOST}, not {text[:20]}")
    return int(text)


@dataclass(frozen=True)
class Condition:
    """The filters as one condition, for the statement that runs and for the one that is shown."""

    runs: str | None
    values: dict[str, Value]
    written: dict[str, str]


def condition(source: Source, kinds: dict[str, str], chosen: tuple[Filter, ...]) -> Condition:
    parts, values = [], {}
    for at, one in enumerate(chosen):
        # As the queries' parameters are letters.
        name = "filter_" + chr(ord("a") + at % 26) * (1 + at // 26)
        parts.append(one.sql(kinds, f":{name}"))
        values[name] = typed(one.value, kinds[one.column])
    return Condition(" AND ".join(parts) or None, values, {name: literal(value) for name, value in values.items()})


def typed(text: str, kind: str) -> Value:
    """A number where it looks like one and the column is not declared for text, as SQLite keeps the two apart."""
    if any(word in kind.upper() for word in ("TEXT", "CHAR", "CLOB")):
        return text
    for read in (int, float):
        try:
            value = read(text)
        except ValueError:
            continue
        return value if -(2**63) <= value < 2**63 else text
    return text
