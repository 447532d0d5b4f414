"""What was measured, as Markdown: tables by task and kind of question, and the record with a dated section for each run."""

import math
import re
from dataclasses import dataclass, field

import metrics
import numpy

WAYS = ("vectors", "words", "RRF", "hybrid")
SHOWN = ("hit@1", "hit@10", "MRR@10", "nDCG@10")
# Reciprocal ranks do not tell how good a match is.
SCORED = ("vectors", "words", "hybrid")
NOTHING = -math.inf


@dataclass
class Group:
    """The questions of one kind in one task: by way and measure a value for each, and by way the first answer's score."""

    name: str
    texts: int
    values: dict = field(default_factory=dict)
    scores: dict = field(default_factory=dict)

    def add(self, question, answers):
        for way, rows in answers.items():
            self.scores.setdefault(way, []).append(rows[0][1] if rows else NOTHING)
            found = [row for row, _ in rows]
            for name, measure in metrics.MEASURES.items() if question.expected else ():
                self.values.setdefault((way, name), []).append(measure(found, question.expected))

    def __len__(self):
        return len(next(iter(self.scores.values())))

    def mean(self, way, name):
        return float(numpy.mean(self.values[way, name]))

    def better(self):
        """Of vectors and words."""
        return max(("vectors", "words"), key=lambda way: self.mean(way, "MRR@10"))


def groups_of(task, ask):
    """The task's questions by kind, in the order in which the kinds appear."""
    groups = {}
    for question in task.questions:
        group = groups.setdefault(question.kind, Group(f"{task.name}: {question.kind}", len(task.documents)))
        group.add(question, ask(question))
    return groups


def overview(groups):
    """MRR@10 by way, and how much better hybrid is than the better of vectors and words."""
    rows = [(group.name, len(group), *(f"{group.mean(way, 'MRR@10'):.3f}" for way in WAYS), beside(group)) for group in groups]
    return table(("task: kind", "questions", *WAYS, "hybrid less the better of vectors and words"), rows)


def beside(group):
    middle, low, high = metrics.difference(group.values["hybrid", "MRR@10"], group.values[group.better(), "MRR@10"])
    return f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"


def details(groups):
    rows = [row for group in groups for row in detail(group)]
    return table(("task: kind", "texts", "way", *SHOWN, "MRR@10, 95 %", "all@10"), rows)


def detail(group):
    for way in WAYS:
        shown = [f"{group.mean(way, name):.3f}" for name in SHOWN]
        low, high = metrics.interval(group.values[way, "MRR@10"])
        both = f"{group.mean(way, 'all@10'):.3f}" if group.name.endswith(": two") else ""
        yield (group.name, group.texts, way, *shown, f"[{low:.3f}, {high:.3f}]", both)


def distributions(task, answerable, unanswerable):
    """The first answer's score: for a hundred questions in order, that of the 5th, 25th, and so on."""
    for way in SCORED:
        for name, scores in (("with answer", answerable[way]), ("without", unanswerable[way])):
            points = numpy.percentile(scores, (5, 25, 50, 75, 95), method="higher")
            yield (task, way, name, len(scores), *map(number, points))


def separations(task, answerable, unanswerable):
    for way in SCORED:
        with_answer, without = answerable[way], unanswerable[way]
        for name, at in (("separates best", metrics.separating(with_answer, without)), ("refuses 5 %", metrics.keeping(with_answer, 0.05))):
            refused, answered = metrics.refused(with_answer, at), 1 - metrics.refused(without, at)
            seen = f"{metrics.by_halves(with_answer, without):.3f}" if name == "separates best" else ""
            apart = f"{metrics.apart(with_answer, without):.3f}"
            yield (task, way, apart, name, number(at), f"{refused:.3f}", f"{answered:.3f}", f"{(refused + answered) / 2:.3f}", seen)


def number(score):
    return "nothing" if score == NOTHING else f"{score:.4g}"


def unanswered(tasks):
    """Both tables about questions without an answer, of the tasks that have such."""
    pairs = [(task, pooled(groups, lambda kind: kind != "none"), groups["none"].scores) for task, groups in tasks if "none" in groups]
    shares = table(
        ("task", "way", "questions", "number", "5 %", "25 %", "50 %", "75 %", "95 %"),
        [row for pair in pairs for row in distributions(*pair)],
    )
    limits = table(
        ("task", "way", "told apart", "threshold that", "is", "refused, with answer", "answered, without", "mean error", "by halves"),
        [row for pair in pairs for row in separations(*pair)],
    )
    return shares, limits


def pooled(groups, wanted):
    chosen = [group.scores for kind, group in groups.items() if wanted(kind)]
    return {way: [score for scores in chosen for score in scores[way]] for way in SCORED}


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def section(tasks, left_out):
    """The text under a dated heading."""
    ranked = [group for _, groups in tasks for kind, group in groups.items() if kind != "none"]
    shares, limits = unanswered(tasks)
    parts = ["MRR@10:", overview(ranked), "All measures:", details(ranked)]
    parts += ["Questions without an answer, the score of the first row:", shares, limits]
    return "\n\n".join(parts + [f"Left out: {reason}" for reason in left_out])


def recorded(record, heading, text):
    """The record with this section before the others; one of the same heading is replaced."""
    start = re.search(r"^## ", record, re.MULTILINE)
    head, rest = (record[: start.start()], record[start.start() :]) if start else (record.rstrip() + "\n\n", "")
    others = [part for part in re.split(r"(?=^## )", rest, flags=re.MULTILINE) if part and not part.startswith(f"## {heading}\n")]
    return head + "\n\n".join(part.strip() for part in [f"## {heading}\n\n{text}", *others]) + "\n"
