"""The measures of benches/peers against naive ones, and its record of a small file of results."""

import json
import random
import sys
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parents[2] / "benches" / "peers"))

import measures  # noqa: E402
import record  # noqa: E402

MACHINE = {
    "kind": "machine", "run": 1, "long": False, "date": "2026-01-02 03:04", "cpu": "a CPU", "cores": 2, "memory": 8, "kernel": "6.1",
    "compiler": "rustc", "python": "3.11", "load": 0.1, "packages": {"fafcas": "abc", "hnswlib": "0.8.0"},
}  # fmt: skip
MAIN = {"axis": "recall", "value": 1000, "set": "wordnet", "rows": 1000, "dimensions": 384}


def results(run=1, faster=1.0):
    """Two systems, one with a knob of two places, in two rounds; and a third that failed."""
    lines = [{**MACHINE, "run": run}]
    for system, points in (
        ("fafcas, index, 1 thread", [(None, 0.3, 1.0)]),
        ("hnswlib", [(10, 0.1, 0.92), (64, 0.25 * faster, 0.995)]),
    ):
        place = {**MAIN, "run": run, "system": system}
        lines.append(
            {**place, "kind": "build", "seconds": 2.5, "peak": 10.0, "bytes": 3_000_000, "settings": f"{system} as it is"}
        )
        for number in (0, 1):
            lines.append({**place, "kind": "first", "round": number, "ms": 20.0 + number})
            lines.append({**place, "kind": "cold", "round": number, "ms": 40.0 + number})
            lines.append({**place, "kind": "memory", "round": number, "peak": 8.0, "resident": 7.0})
            for point, ms, recall in points:
                times = {"p50": ms + number * 0.02, "p95": 2 * ms, "p99": 3 * ms}
                lines.append(
                    {
                        **place,
                        "kind": "search",
                        "round": number,
                        "point": point,
                        "k": 10,
                        "queries": 100,
                        "recall": recall,
                        **times,
                    }
                )
    lines.append({**MAIN, "run": run, "system": "Chroma", "kind": "missing", "why": "build: no such file"})
    lines.append(
        {
            **MAIN,
            "axis": "operation",
            "value": "inserts",
            "run": run,
            "kind": "inserts",
            "way": "one by one",
            "writers": 1,
            "indexed": False,
            "rate": 1000.0,
        }
    )
    lines.append(
        {
            **MAIN,
            "axis": "operation",
            "value": "inserts",
            "run": run,
            "kind": "inserts",
            "way": "one by one",
            "writers": 1,
            "indexed": True,
            "rate": 800.0,
        }
    )
    for stage, resident in (("thousandth search", 40.0), ("four thousandth search", 40.5)):
        place = {**MAIN, "axis": "operation", "value": "profile", "run": run}
        lines.append({**place, "kind": "profile", "stage": stage, "seconds": 1.0, "resident": resident})
    return lines


def drawn(lines, folder):
    """The files of a record, by name."""
    file = Path(folder) / "given.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    target = Path(folder) / "record"
    record.main(file, target)
    return {own.name: own.read_text(encoding="utf-8") for own in sorted(target.iterdir())}


class Measures(unittest.TestCase):
    def test_percentiles_are_between_neighbours(self):
        self.assertEqual(3, measures.percentile([3], 0.99))
        self.assertEqual(1.5, measures.percentile([2, 1], 0.5))
        self.assertAlmostEqual(98.01, measures.percentile(range(100), 0.99))
        self.assertAlmostEqual(94.05, measures.percentile(range(100), 0.95))

    def test_a_median_has_as_many_below_as_above(self):
        rng = random.Random(5)
        for count in range(1, 40):
            values = [rng.random() for _ in range(count)]
            middle = measures.median(values)
            self.assertEqual(sum(value < middle for value in values), sum(value > middle for value in values))
            self.assertEqual((min(values), max(values)), (measures.percentile(values, 0), measures.percentile(values, 1)))

    def test_recall_is_that_of_sets_where_no_scores_are_equal(self):
        rng = random.Random(7)
        for _ in range(50):
            scores = [[rng.random() for _ in range(60)] for _ in range(4)]
            found = [rng.sample(range(60), 10) for _ in range(4)]
            best = [sorted(range(60), key=lambda row, own=own: -own[row])[:10] for own in scores]
            naive = sum(len(set(a) & set(b)) for a, b in zip(found, best, strict=True)) / 40
            bars = [own[rows[-1]] for own, rows in zip(scores, best, strict=True)]
            mine = measures.recall([[own[row] for row in rows] for own, rows in zip(scores, found, strict=True)], bars, 10)
            self.assertAlmostEqual(naive, mine)

    def test_rows_as_near_as_the_last_count_alike_and_more_than_k_do_not(self):
        self.assertEqual(1, measures.recall([[0.9, 0.5]], [0.5], 2))
        self.assertEqual(0.5, measures.recall([[0.9, 0.499]], [0.5], 2))
        self.assertEqual(1, measures.recall([[0.9, 0.5, 0.5, 0.5]], [0.5], 2))
        self.assertEqual(0, measures.recall([[]], [0.5], 2))

    def test_latency_at_a_recall_is_a_point_that_was_measured(self):
        points = [{"recall": 0.9, "p50": 1.0}, {"recall": 0.95, "p50": 0.8}, {"recall": 0.999, "p50": 3.0}]
        self.assertEqual([0.8, 0.8, 3.0], [measures.latency_at(points, wanted)["p50"] for wanted in (0.5, 0.95, 0.99)])
        self.assertIsNone(measures.latency_at(points, 1.0))


class Record(unittest.TestCase):
    def test_the_same_results_make_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            self.assertEqual(drawn(results(), one), drawn(results(), other))

    def test_it_can_be_drawn_again_from_what_lies_beside_it(self):
        with tempfile.TemporaryDirectory() as folder:
            first = drawn(results(), folder)
            record.main(Path(folder) / "record" / "results.jsonl", Path(folder) / "record")
            self.assertEqual(
                first, {own.name: own.read_text(encoding="utf-8") for own in sorted((Path(folder) / "record").iterdir())}
            )

    def test_the_tables_have_what_was_measured(self):
        with tempfile.TemporaryDirectory() as folder:
            page = drawn(results(), folder)["README.md"]
        for line in [
            "| fafcas, index, 1 thread | 0.31 | 0.31 | 0.31 | **0.31** | 1 | 1.0000 |",
            "| hnswlib | **0.11 (10)** | **0.26 (64)** | **0.26 (64)** | not reached | 0.84 | 0.9950 |",
            "| hnswlib | 0.26 | never | 2.5 | 8 |",
            "| hnswlib | 2.5 | 3 | 10 | 8 | 8 | 20.5 | 40.5 |",
            "| hnswlib | 64 | 0.9950 | 0.26 | 0.5 | 0.75 | 200 |",
            "| one by one | 1 | 1,000 | 800 | 0.8 |",
            "| hnswlib | `hnswlib as it is` |",
            "| Chroma | recall 1000 | build: no such file |",
            "fafcas abc; hnswlib 0.8.0",
            "The last 3,000 searches made it grow by 0.5 MB.",
            "![Recall](recall.svg)",
        ]:
            self.assertIn(line, page)

    def test_a_later_run_of_a_part_takes_its_place(self):
        later = [line for line in results(run=2, faster=0.5) if line.get("system") == "hnswlib"]
        with tempfile.TemporaryDirectory() as folder:
            page = drawn(results() + later, folder)["README.md"]
        self.assertIn("| hnswlib | **0.11 (10)** | 0.135 (64)".replace("0.135 (64)", "**0.135 (64)**"), page)
        self.assertIn("| fafcas, index, 1 thread | 0.31 |", page)

    def test_of_two_sizes_the_record_has_the_larger_one_if_as_much_was_measured_at_it(self):
        larger = [{**line, "run": 2, "rows": 2000, "value": 2000} for line in results() if line.get("axis") == "recall"]
        fewer = [line for line in larger if line["system"] != "hnswlib"]
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("Main part: 2,000 x 384", drawn(results() + larger, folder)["README.md"])
        with tempfile.TemporaryDirectory() as folder:
            page = drawn(results() + fewer, folder)["README.md"]
        self.assertIn("Main part: 1,000 x 384", page)
        self.assertNotIn("| fafcas, index, 1 thread | | 1.0000 | 0.31 | 0.6 | 0.9 | 400 |", page)

    def test_what_a_run_had_no_time_for_is_not_left_out_once_a_later_one_did_it(self):
        late = {**MAIN, "axis": "batch", "value": "450 queries", "run": 1, "system": "all", "kind": "missing", "why": "no time"}
        done = {**late, "run": 2, "system": "hnswlib", "kind": "done", "part": "batch"}
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("no time", drawn([*results(), late], folder)["README.md"])
        with tempfile.TemporaryDirectory() as folder:
            self.assertNotIn("no time", drawn([*results(), late, done], folder)["README.md"])

    def test_another_corpus_has_its_own_table(self):
        other = [
            {**line, "run": 2, "axis": "corpus", "set": "manuals", "value": "manuals", "rows": 3000}
            for line in results()
            if line.get("axis") == "recall"
        ]
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("## 3,000 texts of the set `manuals`", drawn(results() + other, folder)["README.md"])

    def test_pictures_are_whole_and_have_both_themes(self):
        with tempfile.TemporaryDirectory() as folder:
            files = drawn(results(), folder)
        pictures = {name: text for name, text in files.items() if name.endswith(".svg")}
        self.assertEqual(["build.svg", "memory.svg", "recall.svg"], sorted(pictures))
        for name, text in pictures.items():
            ElementTree.fromstring(text)
            self.assertIn("prefers-color-scheme:dark", text, name)
            self.assertIn("hnswlib", text, name)

    def test_a_curve_is_drawn_through_the_places_that_no_faster_one_beats(self):
        places = [(0.9, 2.0), (0.95, 1.0), (0.99, 3.0), (0.98, 4.0), (0.99995, 5.0), (1.0, 6.0)]
        own = [{"recall": recall, "p50": ms} for recall, ms in places]
        self.assertEqual([0.95, 0.99, 0.99995], [point["recall"] for point in record.front(own)])

    def test_results_that_have_only_a_machine_make_a_record_that_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            page = drawn([MACHINE], folder)["README.md"]
        self.assertIn("Nothing was measured.", page)
        self.assertNotIn(".svg", page)


if __name__ == "__main__":
    unittest.main()
