"""What the short form must not fall below. The floors are kept with the code, for the default model."""

import json
from pathlib import Path

FILE = Path(__file__).with_name("floors.json")
MODEL = "all-MiniLM-L6-v2"
GUARDED = ("vectors", "hybrid")

# Below what was seen, and as much as one question that falls from the first place to the second: processors differ in the last
# digits of a vector, and two rows that are nearly level change places.
SLACK = 0.01


def measured(groups):
    """MRR@10 by group and guarded way."""
    return {group.name: {way: group.mean(way, "MRR@10") for way in GUARDED} for group in groups}


def below(floors, seen):
    """A sentence for each value that is too low."""
    for name in sorted(seen):
        for way, value in seen[name].items():
            floor = floors.get(name, {}).get(way)
            if floor is None:
                yield f"{name}, {way}: expected a floor in {FILE.name}, found none for MRR@10 of {value:.3f}"
            elif value < floor:
                yield f"{name}, {way}: expected MRR@10 of at least {floor}, not {value:.3f}"


def read():
    return json.loads(FILE.read_text(encoding="utf-8"))


def write(groups):
    """New floors, a little below what was seen."""
    floors = {group.name: {way: floor(group, way) for way in GUARDED} for group in groups}
    FILE.write_text(json.dumps(floors, indent=2) + "\n", encoding="utf-8")


def floor(group, way):
    return round(max(group.mean(way, "MRR@10") - 0.5 / len(group) - SLACK, 0), 3)
