"""The record of a run: its tables as a page, and its pictures, from the file of results alone.

It needs nothing but the standard library, and writes the same bytes for the same results.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import measures
import plots

Lines = list[dict[str, Any]]
RECALLS = (0.9, 0.95, 0.99, 0.999)
# What ratios are to, and at which of these.
OURS, RATIO = "fafcas, index, 1 thread", 2
GROUPS = [
    "fafcas",
    "sqlite-vec",
    "sqlite-vector",
    "vec1",
    "vectorlite",
    "hnswlib",
    "USearch",
    "FAISS",
    "LanceDB",
    "Chroma",
    "DuckDB",
    "NumPy",
]
# Axes whose places have sizes of their own.
SIZED = ("rows", "corpus")
IN_SHORT = ("sqlite-vec, vec0 flat", "sqlite-vector, quantised", "vec1, flat", "vec1, trained, PQ, reranked", "vectorlite, HNSW", "hnswlib",
            "USearch", "FAISS, flat", "FAISS, IVF-PQ fast scan, refined", "Chroma", "DuckDB, vss HNSW")  # fmt: skip
# Beyond this share of misses a point is drawn at the edge.
EDGE = 1e-4


def read(path: Path) -> Lines:
    """All results; of each place of an axis and each system only those of the newest run that has any.

    The short form and the long one have different sizes in the middle of their axes. Of an axis that does not go along sizes, the record
    has the size at which most systems were measured, and of several the largest.
    """
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    newest: dict[tuple[Any, ...], int] = {}
    finished: dict[tuple[Any, ...], int] = {}
    for line in lines:
        newest[key(line)] = max(line["run"], newest.get(key(line), 0))
        if line["kind"] == "done":
            finished[place(line)] = max(line["run"], finished.get(place(line), 0))
    lines = [line for line in lines if line["run"] == newest[key(line)]]
    # What a run had no time for was done by a later one.
    lines = [line for line in lines if line.get("system") != "all" or line["run"] >= finished.get(place(line), 0)]
    sizes = {name: size([line for line in lines if table_of(line) == name]) for name in unique(map(table_of, lines)) if name}
    return [line for line in lines if line.get("rows") is None or line["rows"] == (sizes.get(table_of(line)) or line["rows"])]


def table_of(line: dict[str, Any]) -> str | None:
    """What has one size of its own: an axis, or an operation."""
    axis = line.get("axis")
    return None if axis in (None, *SIZED) else line["value"] if axis == "operation" else axis


def place(line: dict[str, Any]) -> tuple[Any, ...]:
    """A part of a run."""
    return (line.get("axis"), str(line.get("value")), line.get("set"), line.get("rows"))


def key(line: dict[str, Any]) -> tuple[Any, ...]:
    """What a later run replaces."""
    return (line["kind"], line["run"]) if line["kind"] in ("machine", "end") else (*place(line), line.get("system"))


def size(lines: Lines) -> int | None:
    """Of one table, the number of rows that the record has, if anything was measured."""
    systems: dict[int, set[str | None]] = {}
    for line in lines:
        if line["kind"] not in ("missing", "done", "build"):
            systems.setdefault(line["rows"], set()).add(line.get("system"))
    return max(systems, key=lambda rows: (len(systems[rows]), rows), default=None)


def of(lines: Lines, kind: str, **wanted: Any) -> Lines:
    """The lines of a kind."""
    return [line for line in lines if line["kind"] == kind and all(line.get(name) == value for name, value in wanted.items())]


def unique(values: Iterable[Any]) -> list[Any]:
    """Each once, in their order."""
    return list(dict.fromkeys(values))


def middle(lines: Lines, name: str) -> float | None:
    """The median of the rounds."""
    values = [line[name] for line in lines if line.get(name) is not None]
    return measures.median(values) if values else None


def points(lines: Lines) -> Lines:
    """The places on a system's curve: medians of the rounds, and the recall of all their queries."""
    found = []
    for place in unique(json.dumps([line.get("point"), line.get("below")]) for line in lines):
        own = [line for line in lines if json.dumps([line.get("point"), line.get("below")]) == place]
        asked = sum(line["queries"] for line in own)
        shares = {name: measures.median([line[name] for line in own]) for name in ("p50", "p95", "p99")}
        recall = sum(line["recall"] * line["queries"] for line in own) / asked
        found.append({"point": own[0].get("point"), "below": own[0].get("below"), "queries": asked, "recall": recall, **shares})
    return found


def number(value: float | None, digits: int = 3) -> str:
    """With so many digits that mean something."""
    if value is None:
        return ""
    if value == 0 or value >= 10**digits:
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return f"{float(text):f}".rstrip("0").rstrip(".") if "e" in text else text


def knob(value: Any) -> str:
    """A place on a curve, for a person."""
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def table(head: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    if not rows:
        return "Nothing was measured.\n"
    lines = [head, ["---"] * len(head), *rows]
    return "".join("|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|\n" for cells in lines)


def group(system: str) -> int:
    """The colour of a system."""
    name = system.partition(",")[0]
    return GROUPS.index(name) if name in GROUPS else len(GROUPS) - 1


def curves(lines: Lines, **wanted: Any) -> dict[str, Lines]:
    """The points of each system at one place."""
    found = of(lines, "search", **wanted)
    return {
        system: points([line for line in found if line["system"] == system])
        for system in unique(line["system"] for line in found)
    }


def equal_recall(found: dict[str, Lines]) -> str:
    """The table that matters. The fastest of a column is bold, whoever it is."""
    cells = {system: [measures.latency_at(own, wanted) for wanted in RECALLS] for system, own in found.items()}
    best = [min((own[column]["p50"] for own in cells.values() if own[column]), default=None) for column in range(len(RECALLS))]
    ours = cells.get(OURS, [None] * len(RECALLS))[RATIO]
    rows = []
    for system, own in cells.items():
        shown = []
        for point, fastest in zip(own, best, strict=True):
            text = reached(point) if point else "not reached"
            shown.append(f"**{text}**" if point and point["p50"] == fastest else text)
        ratio = number(own[RATIO]["p50"] / ours["p50"], 2) if own[RATIO] and ours else ""
        rows.append([system, *shown, ratio, f"{max(point['recall'] for point in found[system]):.4f}"])
    head = ["system", *(f"recall {wanted}" for wanted in RECALLS), f"at {RECALLS[RATIO]}, to {OURS}", "highest recall"]
    return table(head, rows)


def in_short(lines: Lines) -> str:
    """The table that README.md of the repository shows: each library once or twice, as it is best known."""
    found = {system: own for system, own in curves(lines, axis="recall").items() if system in (OURS, "fafcas, scan", *IN_SHORT)}
    rows = []
    for system, own in found.items():
        build = next(iter(of(lines, "build", axis="recall", system=system)), {"seconds": 0.0})
        memory = middle(of(lines, "memory", axis="recall", system=system), "peak")
        times = [measures.latency_at(own, wanted) for wanted in (0.99, 0.999)]
        shown = [number(point["p50"], 2) if point else "never" for point in times]
        rows.append([system, *shown, number(build["seconds"] if build["seconds"] > 1e-4 else None, 2), number(memory, 2)])
    return table(["system", "ms at recall 0.99", "at 0.999", "build, s", "memory, MB"], rows)


def reached(point: dict[str, Any]) -> str:
    """Its time, and its knob if it has one."""
    return number(point["p50"]) + ("" if point["point"] is None else f" ({knob(point['point'])})")


def all_points(found: dict[str, Lines]) -> str:
    """Every point of every curve."""
    rows = []
    for system, own in found.items():
        rows += [
            [
                system,
                knob(point["point"]),
                f"{point['recall']:.4f}",
                number(point["p50"]),
                number(point["p95"]),
                number(point["p99"]),
                str(point["queries"]),
            ]
            for point in own
        ]
    return table(["system", "knob", "recall", "p50, ms", "p95, ms", "p99, ms", "queries"], rows)


def costs(lines: Lines, **wanted: Any) -> str:
    """Building, disk, memory, and the first query."""
    rows = []
    for line in of(lines, "build", **wanted):
        own = {kind: of(lines, kind, system=line["system"], **wanted) for kind in ("memory", "first", "cold")}
        peak = middle(own["memory"], "peak")
        rows.append(
            [
                line["system"],
                number(line["seconds"] if line["seconds"] > 1e-4 else None),
                number(line["bytes"] / 1e6),
                number(line["peak"]),
                number(peak),
            ]
            + [
                number(None if peak is None else 1000 * peak / line["rows"]),
                number(middle(own["first"], "ms")),
                number(middle(own["cold"], "ms")),
            ]
        )
    head = [
        "system",
        "build, s",
        "disk, MB",
        "memory to build, MB",
        "to search, MB",
        "MB per 1,000 vectors",
        "first query, ms",
        "from a cold disk, ms",
    ]
    return table(head, rows)


def middle_of(lines: Lines, axis: str) -> Lines:
    """The searches of an axis, and those of the main part where it is a place on that axis."""
    found = of(lines, "search", axis=axis)
    sizes, names = {line["rows"] for line in found}, {line["system"] for line in found}
    main = [line for line in of(lines, "search", axis="recall") if line["system"] in names]
    return found + [line for line in main if axis == "rows" or line["rows"] in sizes]


def along(lines: Lines, axis: str) -> str:
    """A system and the places of an axis: the fastest point of recall 0.99, or the best there is, with its recall."""
    found = middle_of(lines, axis)
    values = sorted(unique(line[axis] for line in found))
    rows = []
    for system in unique(line["system"] for line in found):
        cells = []
        for value in values:
            own = points([line for line in found if line["system"] == system and line[axis] == value])
            point = good(own)
            cells.append(f"{number(point['p50'])} at {point['recall']:.3f}" if point else "")
        rows.append([system, *cells])
    return table(["system", *(f"{value:,}" for value in values)], rows)


def good(own: Lines) -> dict[str, Any] | None:
    """The fastest point of recall 0.99, else that of the highest recall."""
    return measures.latency_at(own, 0.99) or max(own, key=lambda point: point["recall"], default=None)


def of_rows(lines: Lines, axis: str) -> str:
    """How many rows there are, as the long form and the short one differ."""
    sizes = unique(line["rows"] for line in lines if line.get("axis") == axis and line["kind"] != "missing")
    return f"{', '.join(f'{rows:,}' for rows in sizes)} rows.\n\n" if sizes else ""


def filters(lines: Lines) -> str:
    """A system and the share of rows that pass."""
    found = of(lines, "search", axis="filter")
    shares = sorted(unique(line["below"] for line in found), reverse=True)
    rows = []
    for system in unique(line["system"] for line in found):
        own = {point["below"]: point for point in points([line for line in found if line["system"] == system])}
        rows.append(
            [system, *(f"{number(own[share]['p50'])} at {own[share]['recall']:.3f}" if share in own else "" for share in shares)]
        )
    return table(["system", *(f"{share / 10:g} %" for share in shares)], rows)


def connections(lines: Lines) -> str:
    """Searches a second, and the slowest of a hundred."""
    rows = [
        [line["system"], f"{line['connections']:,}", number(line["rate"]), number(line["p50"]), number(line["p99"])]
        for line in of(lines, "connections")
    ]
    return table(["system", "connections", "searches a second", "p50, ms", "p99, ms"], rows)


def batch(lines: Lines) -> str:
    """Many queries in one call."""
    found = of(lines, "batch")
    rows = [
        [system, number(middle([line for line in found if line["system"] == system], "ms"))]
        for system in unique(line["system"] for line in found)
    ]
    return table(["system", "ms a query"], rows)


def operations(lines: Lines) -> list[tuple[str, str]]:
    """What only fafcas is measured in."""
    inserts = of(lines, "inserts")
    ways = unique((line["way"], line["writers"]) for line in inserts)
    rate = {(line["way"], line["writers"], line["indexed"]): line["rate"] for line in inserts}
    rows = [
        [way, str(writers), number(rate.get((way, writers, False))), number(rate.get((way, writers, True)))]
        + [
            number(rate[way, writers, True] / rate[way, writers, False], 2)
            if {(way, writers, True), (way, writers, False)} <= rate.keys()
            else ""
        ]
        for way, writers in ways
    ]
    others = [
        ("Inserts, rows a second (WAL, synchronous normal)", table(["way", "writers", "no index", "index", "share"], rows)),
        (
            "Deletes and their space",
            table(
                ["step", "s", "file, MB", "search, p50 ms"],
                [
                    [line["step"], number(line["seconds"]), number(line["bytes"] / 1e6, 4), number(line["p50"])]
                    for line in of(lines, "deletes")
                ],
            ),
        ),
        (
            "Edges: the ten nearest of every row, by `vec_topk_many`",
            table(
                ["rows", "s", "rows a second"],
                [[f"{line['count']:,}", number(line["seconds"]), number(line["rate"])] for line in of(lines, "edges")],
            ),
        ),
        (
            "Ingest of the kit, by `queries/ingest.sql`",
            table(
                ["characters a note", "notes a second"],
                [[f"{line['length']:,}", number(line["rate"])] for line in of(lines, "kit")],
            ),
        ),
        (
            "Memory over the life of a process",
            growth(of(lines, "profile"))
            + table(
                ["after", "resident, MB", "s"],
                [
                    [line["stage"], number(line.get("resident"), 4) or line.get("why", ""), number(line.get("seconds"))]
                    for line in of(lines, "profile")
                ],
            ),
        ),
    ]
    return others


def growth(stages: Lines) -> str:
    """How much more is resident after the last stage, which is only more searches, than after the stage before it."""
    resident = [line["resident"] for line in stages if "resident" in line]
    return f"The last 3,000 searches made it grow by {resident[-1] - resident[-2]:.1f} MB.\n\n" if len(resident) > 1 else ""


def settings(lines: Lines) -> str:
    """Of each system, as it was built on the main axis."""
    packages = of(lines, "machine")[-1]["packages"]
    versions = "; ".join(f"{name} {version}" for name, version in packages.items())
    rows = [[line["system"], f"`{line['settings'].replace('|', '')}`"] for line in of(lines, "build", axis="recall")]
    return f"Versions: {versions}.\n\n" + table(["system", "settings"], rows)


def runs(lines: Lines) -> str:
    """When each run began that something here is from."""
    rows = []
    for machine in of(lines, "machine"):
        axes = unique(line["axis"] for line in lines if line["run"] == machine["run"] and line["kind"] not in ("machine", "end", "missing"))
        if axes:
            form = "full" if machine["long"] else "short"
            rows.append([machine["date"], form, machine["packages"].get("fafcas", ""), str(machine["load"]), ", ".join(axes)])
    return table(["began, UTC", "form", "commit", "load", "what is from it"], rows)


def missing(lines: Lines) -> str:
    """Everything that was left out, and why."""
    found = [
        [line.get("system", str(line.get("value", ""))), f"{line.get('axis', '')} {line.get('value', '')}".strip(), line["why"]]
        for line in of(lines, "missing")
    ]
    unlike = unique(tuple(row) for row in found)
    return table(["system", "part", "why"], [list(row) for row in unlike]) if unlike else "Nothing.\n"


def page(lines: Lines, kernels: str, pictures: Iterable[str]) -> str:
    """The whole record. It shows the pictures that there are."""
    shown = {name: f"![{name.removesuffix('.svg').capitalize()}]({name})\n\n" for name in pictures}
    machines = of(lines, "machine")
    main = next(iter(of(lines, "build", axis="recall")), None)
    machine = next((own for own in machines if main and own["run"] == main["run"]), machines[-1])
    forms = unique("`make bench-full`" if own["long"] else "`make bench`" for own in machines)
    found = curves(lines, axis="recall")
    size = f"{main['rows']:,} x {main['dimensions']} of the set `{main['set']}`" if main else "nothing"
    parts = [
        f"# fafcas beside other vector searches: {' and '.join(forms)}",
        f"{machine['date']} UTC. {machine['cpu']}, {machine['cores']} cores, {machine['memory']} GB, load {machine['load']} at the start; Linux {machine['kernel']}, "
        f"{machine['compiler']}, Python {machine['python']}. Main part: {size}, k = 10. `benches/README.md` says how all of it is measured. "
        "Drawn from `results.jsonl` by `make bench-report`.",
        "## In short\n\nMedian in ms of the fastest measured setting that reaches the recall, one core, warm. Memory is that of searching.\n\n" + in_short(lines),
        "## Latency at equal recall\n\nMedian in ms of the fastest measured point that reaches the recall, with its knob; one core, warm, but for what says two threads. "
        "The fastest of a column is bold.\n\n" + shown.get("recall.svg", "") + equal_recall(found),
        "## Building, disk, memory, first query\n\n"
        + shown.get("build.svg", "")
        + shown.get("memory.svg", "")
        + costs(lines, axis="recall"),
        "## Rows\n\nMedian in ms and recall, at the fastest point of recall 0.99, or the best.\n\n"
        + shown.get("rows.svg", "")
        + along(lines, "rows"),
        "## Dimensions\n\n" + of_rows(lines, "dimensions") + along(lines, "dimensions"),
        "## k\n\n" + of_rows(lines, "k") + along(lines, "k"),
        "## Filters\n\nMedian in ms and recall, by the share of rows that pass. " + of_rows(lines, "filter") + filters(lines),
        "## Connections\n\nThreads of one process, a connection each, all cores. "
        + of_rows(lines, "connections")
        + shown.get("connections.svg", "")
        + connections(lines),
        "## 450 queries in one call\n\n" + of_rows(lines, "batch") + batch(lines),
        *(f"## {title}\n\n{text}" for title, text in operations(lines)),
        *(["## Kernels: `cargo bench --bench kernels`\n\n```text\n" + kernels.strip() + "\n```"] if kernels else []),
        "## All points\n\n" + all_points(found),
        "## Settings\n\n" + settings(lines),
        "## Runs\n\n" + runs(lines),
        "## Left out\n\n" + missing(lines),
    ]
    for corpus in unique(line["value"] for line in of(lines, "search", axis="corpus")):
        rows = of(lines, "search", axis="corpus", value=corpus)[0]["rows"]
        parts.insert(5, f"## {rows:,} texts of the set `{corpus}`\n\n" + equal_recall(curves(lines, axis="corpus", value=corpus)) + "\n" + costs(lines, axis="corpus", value=corpus))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def dashes(systems: list[str]) -> dict[str, int]:
    """Systems of one colour differ in their dashes."""
    seen: dict[int, int] = {}
    found = {}
    for system in systems:
        found[system] = seen.get(group(system), 0)
        seen[group(system)] = found[system] + 1
    return found


def draw(lines: Lines) -> dict[str, str]:
    """The pictures that there are results for."""
    makers: dict[str, Callable[[Lines], str | None]] = {
        "recall.svg": draw_recall, "build.svg": draw_build, "memory.svg": draw_memory, "rows.svg": draw_rows, "connections.svg": draw_connections,
    }  # fmt: skip
    return {name: picture for name, maker in makers.items() if (picture := maker(lines))}


def front(own: Lines) -> Lines:
    """The places of a curve that are worth their time: none of the others is as fast and finds as much. All count as the edge beyond it."""
    best: Lines = []
    for point in sorted(own, key=lambda point: (point["p50"], -point["recall"])):
        if not best or min(point["recall"], 1 - EDGE) > best[-1]["recall"]:
            best.append(point)
    return best


def draw_recall(lines: Lines) -> str | None:
    """Latency against recall. The scale of recall is that of its misses."""
    found = {
        system: [point for point in front(own) if point["recall"] >= 0.8] for system, own in curves(lines, axis="recall").items()
    }
    dash = dashes(list(found))
    drawn = [
        plots.Line(
            system,
            [(1 / max(EDGE, 1 - point["recall"]), point["p50"]) for point in own],
            group(system),
            dash[system],
            system.startswith("fafcas"),
        )
        for system, own in found.items()
        if own
    ]
    if not drawn:
        return None
    across = plots.Axis(
        "recall of the ten nearest; only places that no faster one beats",
        [(5, "0.8"), (10, "0.9"), (20, "0.95"), (100, "0.99"), (1000, "0.999"), (1 / EDGE, "0.9999 to 1")],
    )
    up = plots.Axis("median, ms", plots.powers([place[1] for line in drawn for place in line.places]))
    return plots.curves("Latency at equal recall: right and down is better", across, up, drawn)


def draw_build(lines: Lines) -> str | None:
    """Seconds to build."""
    rows = [
        (line["system"], max(line["seconds"], 0.001), group(line["system"]))
        for line in of(lines, "build", axis="recall")
        if line["system"] != "fafcas, scan"
    ]
    return plots.bars("Time to build", "seconds", rows) if rows else None


def draw_memory(lines: Lines) -> str | None:
    """Memory of a process that searches."""
    found = of(lines, "memory", axis="recall")
    peaks = {
        system: middle([line for line in found if line["system"] == system], "peak")
        for system in unique(line["system"] for line in found)
    }
    rows = [(system, max(peak, 0.1), group(system)) for system, peak in peaks.items() if peak is not None]
    return (
        plots.bars("Memory of a process that searches", "MB above what it had before it opened the file", rows) if rows else None
    )


def draw_rows(lines: Lines) -> str | None:
    """Latency against the number of rows, those of the main part among them."""
    found = middle_of(lines, "rows")
    names = unique(line["system"] for line in found)
    dash, drawn = dashes(names), []
    for system in names:
        places = []
        for rows in sorted(unique(line["rows"] for line in found if line["system"] == system)):
            point = good(points([line for line in found if line["system"] == system and line["rows"] == rows]))
            if point:
                places.append((float(rows), point["p50"]))
        drawn.append(plots.Line(system, places, group(system), dash[system], system.startswith("fafcas")))
    if not drawn:
        return None
    every = [place for line in drawn for place in line.places]
    across = plots.Axis("rows", plots.powers([place[0] for place in every]))
    return plots.curves(
        "Latency against rows, at recall 0.99 or the best",
        across,
        plots.Axis("median, ms", plots.powers([place[1] for place in every])),
        drawn,
    )


def draw_connections(lines: Lines) -> str | None:
    """Throughput against connections."""
    found = of(lines, "connections")
    drawn = [
        plots.Line(
            system,
            [(line["connections"], line["rate"]) for line in found if line["system"] == system],
            group(system),
            0,
            system.startswith("fafcas"),
        )
        for system in unique(line["system"] for line in found)
    ]
    if not drawn:
        return None
    every = [place for line in drawn for place in line.places]
    across = plots.Axis("connections", plots.powers([place[0] for place in every]))
    return plots.curves(
        "Searches a second", across, plots.Axis("searches a second", plots.powers([place[1] for place in every])), drawn
    )


def main(results: Path, folder: Path) -> None:
    """Writes the page and the pictures, and puts what they were drawn from beside them."""
    lines = read(results)
    folder.mkdir(parents=True, exist_ok=True)
    kernels = results.with_name("kernels.txt")
    pictures = draw(lines)
    text = page(lines, kernels.read_text(encoding="utf-8") if kernels.exists() else "", pictures)
    for name, content in {"README.md": text, **pictures}.items():
        (folder / name).write_text(content, encoding="utf-8")
    for file, name in ((results, "results.jsonl"), (kernels, "kernels.txt")):
        if file.exists() and file.resolve() != (folder / name).resolve():
            shutil.copyfile(file, folder / name)
    print(f"record in {folder / 'README.md'}")
