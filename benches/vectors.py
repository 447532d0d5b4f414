"""Vectors to measure with, as raw little-endian f32, one after the other; the last 500 are meant as queries.

    python benches/vectors.py made ROWS DIMENSIONS OUT      behave like embeddings of sentences: a spectrum that falls off, 2,000 loose
                                                            clusters, unit length
    python benches/vectors.py KIND FILE DIMENSIONS OUT      from real ones, of KIND:
        128         the first 128 numbers of each, at unit length
        768, 1536   two or four different ones, one after the other, at unit length
        mean        all of them moved far to one side, and not of unit length any more
        duplicates  each four times
        clusters    a hundred of them, and the rest close around these

`scripts/fetch_wordnet.py` makes texts whose embeddings are such real ones. Needs numpy.
"""

import sys

import numpy

QUERIES = 500


def unit(vectors):
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def pieces(rows, dimensions):
    """Such vectors, 50,000 at a time."""
    random = numpy.random.default_rng(7)
    spectrum = (1 + numpy.arange(dimensions)) ** -0.4
    basis = numpy.linalg.qr(random.standard_normal((dimensions, dimensions)))[0]
    centres = random.standard_normal((2000, dimensions)) * spectrum
    for start in range(0, rows, 50_000):
        count = min(50_000, rows - start)
        near = centres[random.integers(0, 2000, count)] + random.standard_normal((count, dimensions)) * spectrum
        yield unit(near @ basis).astype("<f4")


def made(rows, dimensions, out):
    with open(out, "wb") as file:
        for piece in pieces(rows, dimensions):
            file.write(piece.tobytes())


def together(vectors, times):
    """Base with base and queries with queries, each with others."""
    random = numpy.random.default_rng(3)
    parts = [vectors[:-QUERIES], vectors[-QUERIES:]]
    return numpy.concatenate([numpy.hstack([part[random.permutation(len(part))] for _ in range(times)]) for part in parts])


def changed(kind, vectors):
    random = numpy.random.default_rng(5)
    base, queries = vectors[:-QUERIES], vectors[-QUERIES:]
    match kind:
        case "128":
            return unit(vectors[:, :128])
        case "768" | "1536":
            return unit(together(vectors, int(kind) // vectors.shape[1]))
        case "mean":
            return vectors + 3 * unit(random.standard_normal((1, vectors.shape[1])))
        case "duplicates":
            return numpy.concatenate([numpy.tile(base[: len(base) // 4], (4, 1)), queries])
        case "clusters":
            near = base[random.integers(0, 100, len(vectors))]
            return unit(near + random.standard_normal(vectors.shape) * 0.2 / vectors.shape[1] ** 0.5)
    raise SystemExit(f"no such kind: {kind}")


def main(kind, source, dimensions, out):
    if kind == "made":
        return made(int(source), int(dimensions), out)
    vectors = numpy.fromfile(source, "<f4").reshape(-1, int(dimensions))
    changed(kind, vectors).astype("<f4").tofile(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
