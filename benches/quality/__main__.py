"""How good searches are: by vectors, by words, by reciprocal ranks of both, and by sql/queries/hybrid.sql as it is.

    python benches/quality LIBRARY MODEL full      all tasks, and a dated section in benches/record/quality.md
    python benches/quality LIBRARY MODEL short     the sample and a small task, which must reach floors.json
    python benches/quality LIBRARY MODEL floors    as short, and sets the floors a little below what it saw
    python benches/quality LIBRARY MODEL spread    how far the cosines of the model lie apart, in the tasks of the short form

`make quality` and `make quality-short` run it. Needs numpy and apsw, and models where FAFCAS_MODEL_DIR says. metrics.py says what is
measured, tasks.py what is asked. The full form keeps its vectors in target/quality, so that only the first run of a model has
to embed; the short one embeds each time, as it is to notice changes there, too.
"""

import datetime
import subprocess
import sys
import time
from pathlib import Path

import apsw
import floors
import numpy
from report import groups_of, overview, recorded, section, unanswered
from searches import Searches
from tasks import full_tasks, short_tasks
from texts import Missing
from vectors import Vectors, progress

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "target" / "quality"
RECORD = ROOT / "benches" / "record" / "quality.md"


def measured(makers, library, vectors):
    """Name and groups of each task, and why others were left out."""
    done, left_out = [], []
    for make in makers:
        try:
            task = make()
        except Missing as error:
            left_out.append(str(error))
            progress(f"left out: {error}")
            continue
        done.append((task.name, measure(task, library, vectors)))
    return done, left_out


def measure(task, library, vectors):
    start = time.perf_counter()
    documents = vectors.documents([embedded(one) for one in task.documents])
    asked = vectors.questions([question.text for question in task.questions])
    searches = Searches(library, vectors.model, task.documents, documents)
    vector_of = {question.text: vector for question, vector in zip(task.questions, asked, strict=True)}
    groups = groups_of(task, lambda question: searches.ask(question.text, vector_of[question.text]))
    progress(f"{task.name}: {', '.join(groups)}: {time.perf_counter() - start:.0f} s")
    return groups


def embedded(document):
    """As the view `stale` of the schema has it, but for texts without a title."""
    return f"{document.title}. {document.text}" if document.title else document.text


def heading(vectors):
    commit = git("rev-parse", "--short", "HEAD") + ("*" if git("status", "--porcelain", "--untracked-files=no") else "")
    today = datetime.date.today()
    return f"{today.day} {today:%B %Y}, {vectors.model}, commit {commit}"


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def conditions(vectors, seconds):
    version = vectors.connection.execute("SELECT vec_version()").get
    model = f"Model {vectors.fingerprint[:12]}, questions by `{vectors.question}`"
    return f"{version}, SQLite {apsw.sqlite_lib_version()}. {model}. {seconds:.0f} s, of which vectors that were kept took none."


def full(library, vectors):
    start = time.perf_counter()
    tasks, left_out = measured(full_tasks(CACHE), library, vectors)
    text = f"{conditions(vectors, time.perf_counter() - start)}\n\n{section(tasks, left_out)}"
    RECORD.write_text(recorded(RECORD.read_text(encoding="utf-8"), heading(vectors), text), encoding="utf-8")
    print(text)


def short(library, vectors, set_floors=False):
    tasks, left_out = measured(short_tasks(CACHE), library, vectors)
    ranked = [group for _, groups in tasks for kind, group in groups.items() if kind != "none"]
    print(overview(ranked), *unanswered(tasks), sep="\n\n")
    if set_floors and not left_out:
        floors.write(ranked)
    elif vectors.model == floors.MODEL and (faults := list(floors.below(floors.read(), floors.measured(ranked)))):
        raise SystemExit("\n".join(faults))


def spread(vectors):
    """The standard deviation of the cosines of a question with all texts. Those of its own are too few to count."""
    found = []
    for make in short_tasks(CACHE):
        task = make()
        rows = matrix(vectors.documents([embedded(one) for one in task.documents]))
        asked = matrix(vectors.questions([question.text for question in task.questions]))
        found.append(float((asked @ rows.T).std(axis=1).mean()))
        print(f"{task.name}: {found[-1]:.4f}")
    print(f"mean: {sum(found) / len(found):.4f}")


def matrix(vectors):
    return numpy.stack([numpy.frombuffer(vector, numpy.float32) for vector in vectors])


def main(library, model, form):
    CACHE.mkdir(parents=True, exist_ok=True)
    vectors = Vectors(CACHE / "vectors.db" if form in ("full", "spread") else None, library, model)
    match form:
        case "full":
            full(library, vectors)
        case "short" | "floors":
            short(library, vectors, form == "floors")
        case "spread":
            spread(vectors)
        case _:
            raise SystemExit(f"expected full, short, floors or spread, not {form}")


if __name__ == "__main__":
    main(*sys.argv[1:])
