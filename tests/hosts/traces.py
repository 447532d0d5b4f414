"""`examples/traces.py` with the SDK of OpenTelemetry, and its exporter that keeps spans in memory. Called with the library."""

import sys
from pathlib import Path

import apsw
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import traces  # noqa: E402


def main(library: str) -> None:
    """Two searches, of which one fails, become two spans with stages."""
    db = apsw.Connection(":memory:")
    db.enable_load_extension(True)
    db.load_extension(library)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, '[1,2]'), (2, '[3,4]')")
    db.execute("SELECT fafcas_config('trace', 100)").fetchall()
    assert len(db.execute("SELECT id FROM vec_topk('t', 'v', '[1,1]', 2)").fetchall()) == 2
    try:
        db.execute("SELECT id FROM vec_topk('t', 'v', '[1,1,1]', 2)").fetchall()
    except apsw.SQLError:
        pass

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("fafcas")
    assert traces.report(db, tracer) == 2
    assert traces.report(db, tracer) == 0, "each search is told once"
    provider.shutdown()

    spans = exporter.get_finished_spans()
    good, bad = sorted((span for span in spans if span.parent is None), key=lambda span: span.start_time)
    assert good.name == bad.name == "vec_topk"
    assert good.attributes["fafcas.rows"] == 2 and good.attributes["fafcas.k"] == 2, good.attributes
    assert good.attributes["db.collection.name"] == "t" and good.attributes["fafcas.path"] == "scan", good.attributes
    assert good.status.is_ok and not bad.status.is_ok, (good.status, bad.status)
    assert "dimensions as in" in bad.status.description, bad.status.description
    for parent in (good, bad):
        below = [span for span in spans if span.parent and span.parent.span_id == parent.context.span_id]
        assert {span.name for span in below} >= {"planning", "sweeping"}, below
        assert all(parent.start_time <= span.start_time <= span.end_time <= parent.end_time + 1000 for span in below), below


main(sys.argv[1])
