"""What is computed from hits and times. Only the standard library, so that a record can be drawn where nothing is installed."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

# How much less than the k-th exact score still counts: sums of f32 round in another order.
ROUNDING = 1e-6


def percentile(values: Sequence[float], share: float) -> float:
    """Between the two values on either side, in proportion, as NumPy does by itself."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    return percentile(values, 0.5)


def recall(scores: Iterable[Iterable[float]], bars: Sequence[float], k: int) -> float:
    """The share of k rows found whose exact score is at least the k-th exact score, over all queries.

    A row with the same score as the k-th is as good an answer, whichever of the two a search names.
    """
    found = [min(k, sum(score >= bar - ROUNDING for score in own)) for own, bar in zip(scores, bars, strict=True)]
    return sum(found) / (k * len(found))


def latency_at(points: Iterable[dict[str, Any]], wanted: float) -> dict[str, Any] | None:
    """The fastest point that was measured to reach a recall; nothing is read off between points."""
    return min((point for point in points if point["recall"] >= wanted), key=lambda point: point["p50"], default=None)
