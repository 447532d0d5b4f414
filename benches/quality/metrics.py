"""How good a list of answers is: the places of the expected rows, turned into the measures that are usual, with intervals.

A question's places are those of its expected rows in what a search gave, from 1 on, in order; rows that it did not give have
none. Only the first ten places count.
"""

import math

import numpy

DEPTH = 10
DRAWS = 1000
SEED = 11


def places(found, expected):
    return [place for place, row in enumerate(found[:DEPTH], 1) if row in expected]


def hit(found, expected, depth):
    """1 if any of the expected rows is among the first."""
    return float(any(place <= depth for place in places(found, expected)))


def reciprocal_rank(found, expected):
    """One over the place of the first expected row."""
    return 1 / min(places(found, expected), default=math.inf)


def ndcg(found, expected):
    """The gain of each expected row falls with the logarithm of its place; 1 is what the best possible list gains."""
    best = sum(gain(place) for place in range(1, min(len(expected), DEPTH) + 1))
    return sum(map(gain, places(found, expected))) / best


def gain(place):
    return 1 / math.log2(1 + place)


def all_found(found, expected):
    """1 if all of the expected rows are among the first ten."""
    return float(len(places(found, expected)) == len(expected))


MEASURES = {
    "hit@1": lambda found, expected: hit(found, expected, 1),
    "hit@10": lambda found, expected: hit(found, expected, DEPTH),
    "MRR@10": reciprocal_rank,
    "nDCG@10": ndcg,
    "all@10": all_found,
}


def resampled(values):
    """The mean of as many questions drawn with replacement, a thousand times; the same draws for each series of a length."""
    values = numpy.asarray(values, float)
    drawn = numpy.random.default_rng(SEED).integers(0, len(values), (DRAWS, len(values)))
    return values[drawn].mean(axis=1)


def interval(values):
    """What nineteen in twenty resampled means lie between."""
    low, high = numpy.percentile(resampled(values), (2.5, 97.5))
    return float(low), float(high)


def difference(values, others):
    """The middle and the interval of how much better the first are than the second, question by question."""
    low, middle, high = numpy.percentile(resampled(numpy.subtract(values, others)), (2.5, 50, 97.5))
    return float(middle), float(low), float(high)


def refused(scores, threshold):
    """The share of scores below it: these questions are told that nothing was found."""
    return float(numpy.mean(numpy.asarray(scores) < threshold))


def separating(answerable, unanswerable):
    """The threshold with the least mean of both error rates: answerable questions refused and unanswerable ones answered."""
    return min(thresholds(answerable, unanswerable), key=lambda at: errors(answerable, unanswerable, at))


def errors(answerable, unanswerable, threshold):
    return (refused(answerable, threshold) + 1 - refused(unanswerable, threshold)) / 2


def thresholds(answerable, unanswerable):
    """Everything that makes a difference: between each score and the next. A search that gave nothing scored -inf."""
    scores = sorted({*answerable, *unanswerable} - {-math.inf})
    return [(low + high) / 2 for low, high in zip(scores, scores[1:])] or [0.0]


def keeping(answerable, share):
    """The greatest threshold, of the answerable questions' own scores, that refuses at most this share of them."""
    ordered = sorted(answerable)
    return ordered[int(share * len(ordered))]


def apart(answerable, unanswerable):
    """How likely an answerable question scores more than an unanswerable one; 0.5 is chance. (The area under the ROC curve.)"""
    pairs = numpy.subtract.outer(finite(answerable), finite(unanswerable))
    return float(numpy.mean((pairs > 0) + 0.5 * (pairs == 0)))


def finite(scores):
    return numpy.maximum(numpy.asarray(scores, float), -1e9)


def by_halves(answerable, unanswerable):
    """The mean error with thresholds that were chosen on other questions: on one half, seen on the other, both ways."""
    halves = [(answerable[start::2], unanswerable[start::2]) for start in (0, 1)]
    return sum(errors(*seen, separating(*chosen)) for seen, chosen in (halves, halves[::-1])) / 2
