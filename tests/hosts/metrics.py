"""What `metrics.sql` prints, read by the parser of the package prometheus-client: two processes print, and their histograms are
added up.

Called with the library: the test. Called with the library and a number: one of the processes, which searches so often.
"""

import subprocess
import sys
from pathlib import Path

import apsw
from prometheus_client.parser import text_string_to_metric_families

QUERY = Path(__file__).resolve().parents[2] / "sql/queries/metrics.sql"
ODD = 'it\'s "odd" \\ 50%s\nname'
TYPES = {
    "fafcas_search_seconds": "summary",
    "fafcas_search_duration_seconds": "histogram",
    "fafcas_errors": "counter",
    "fafcas_pending_rows": "gauge",
}


def measure(library: str, searches: int) -> None:
    """Searches so often, fails once, and prints the metrics."""
    db = apsw.Connection(":memory:")
    db.enable_load_extension(True)
    db.load_extension(library)
    name = '"' + ODD.replace('"', '""') + '"'
    db.execute(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, v); INSERT INTO {name} VALUES (1, '[1,2]'), (2, '[3,4]')")
    for _ in range(searches):
        assert len(db.execute("SELECT id FROM vec_topk(?, 'v', '[1,1]', 2)", [name]).fetchall()) == 2
    try:
        db.execute("SELECT id FROM vec_topk(?, 'v', '[1,1,1]', 2)", [name]).fetchall()
    except apsw.SQLError:
        pass
    else:
        raise AssertionError("a query of another length was answered")
    for (line,) in db.execute(QUERY.read_text()):
        print(line)


def printed(library: str, searches: int) -> str:
    """What such a process prints."""
    command = [sys.executable, __file__, library, str(searches)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def check(library: str) -> None:
    """Reads both texts, and adds their buckets up."""
    below: dict[float, float] = {}
    errors = count = 0.0
    for searches in (3, 5):
        families = {family.name: family for family in text_string_to_metric_families(printed(library, searches))}
        for name, kind in TYPES.items():
            assert families[name].type == kind, (name, families[name].type)
        assert all(family.documentation for family in families.values())
        samples = [sample for family in families.values() for sample in family.samples]
        assert all(sample.labels["column"] == "v" and sample.labels["source"] == f"main.{ODD}" for sample in samples), samples
        rising = 0.0
        for sample in families["fafcas_search_duration_seconds"].samples:
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                assert sample.value >= rising, sample
                rising = sample.value
                below[bound] = below.get(bound, 0) + sample.value
            elif sample.name.endswith("_count"):
                count += sample.value
                assert sample.value == rising == searches, sample
        errors += sum(s.value for s in families["fafcas_errors"].samples if s.labels["kind"] == "mistake")
    assert len(below) == 21 and below[float("inf")] == count == 8, below
    assert [below[bound] for bound in sorted(below)] == sorted(below.values()), below
    assert errors == 2, errors


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        check(sys.argv[1])
