"""Makes tests/data/static: static models of a few rows as the package model2vec writes them, and the vectors it makes of texts.

    pip install model2vec==0.10.0
    python scripts/make_tiny_static.py                             writes tests/data/static
    python scripts/make_tiny_static.py LIBRARY FOLDER FILE         compares vectors of the model in FOLDER: those of the library
                                                                   and of the package, for each line of FILE

Run it again after a change here; its output is committed. The comparison also needs apsw.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from model2vec import StaticModel
from tokenizers import Tokenizer

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "static"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "blue", "##ish", ".", "a", "b", "##b"]
TEXTS = [
    "red",
    "red green.",
    "blueish Red green a",
    "green unheard of green",
    "ab abb  b\n.",
    "red " * 9,
    "green red blue red green red blue red green red",
    "unheardofandlongerthananytextthatisread red",
    "a . b . a . b . a . b . a . b",
    "[CLS] red [SEP]",
]


def tokenizer(model):
    return {
        "version": "1.0",
        # Both are to be overridden.
        "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {
            "strategy": {"Fixed": 9},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": WORDS[0],
        },
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": None,
        "model": model,
    }


WORD_PIECE = tokenizer(
    {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {word: number for number, word in enumerate(WORDS)},
    }
)
# Its unknown token is known by its number, not by its name.
UNIGRAM = tokenizer({"type": "Unigram", "unk_id": 1, "vocab": [[word, -1 - number] for number, word in enumerate(WORDS)]})
UNIGRAM["post_processor"] = None
BYTE_PAIRS = tokenizer(
    {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "vocab": {letter: number for number, letter in enumerate([*"abdegln.r", "re", "red", "ab"])},
        "merges": ["r e", "re d", "a b"],
    }
)
BYTE_PAIRS["post_processor"] = None

RANDOM = np.random.default_rng(14)
ROWS = RANDOM.normal(size=(len(WORDS), 5))
INT8 = np.rint(ROWS * 40).astype(np.int8)
WEIGHTS = RANDOM.uniform(0.1, 2, len(WORDS))
MAPPING = np.array([number % 7 for number in range(len(WORDS))])

# Name: tokenizer, vectors, weights, mapping, max_length.
MODELS = {
    "f32": (WORD_PIECE, ROWS.astype(np.float32), None, None, 512),
    "f16": (WORD_PIECE, ROWS.astype(np.float16), None, None, 512),
    "int8": (WORD_PIECE, INT8, None, None, 512),
    "short": (WORD_PIECE, ROWS.astype(np.float32), None, None, 4),
    "endless": (WORD_PIECE, ROWS.astype(np.float32), None, None, None),
    "weighed": (WORD_PIECE, INT8, WEIGHTS, None, 512),
    "mapped": (WORD_PIECE, ROWS[:7].astype(np.float32), WEIGHTS.astype(np.float32), MAPPING.astype(np.int64), 512),
    "mapped_int32": (WORD_PIECE, ROWS[:7].astype(np.float16), None, MAPPING.astype(np.int32), 512),
    "unigram": (UNIGRAM, ROWS.astype(np.float32), None, None, 6),
    "byte_pairs": (BYTE_PAIRS, ROWS.astype(np.float32), None, None, 6),
}


def make(name, parts, vectors, weights, mapping, max_length):
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    options = {"normalize": True, "weights": weights, "token_mapping": mapping, "max_length": max_length}
    folder = FOLDER / name
    StaticModel(vectors, tokenizer, {"model_type": "model2vec"}, **options).save_pretrained(folder)
    for file in ("README.md", "modules.json"):
        (folder / file).unlink(missing_ok=True)
    # As whoever made the model may have left it.
    (folder / "tokenizer.json").write_text(json.dumps(parts), encoding="utf-8")
    return StaticModel.from_pretrained(folder).encode(TEXTS).astype(float).tolist()


def compare(library, folder, file):
    import apsw

    texts = Path(file).read_text(encoding="utf-8").splitlines()
    connection = apsw.Connection(":memory:")
    connection.enable_load_extension(True)
    connection.load_extension(library)
    name = Path(folder).name
    ours = np.array([np.frombuffer(connection.execute("SELECT embed(?, ?)", (text, name)).get, "<f4") for text in texts])
    theirs = StaticModel.from_pretrained(folder).encode(texts).astype(np.float64)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True) + 1e-32
    known = theirs.any(axis=1)
    cosines = (ours * theirs).sum(axis=1)[known]
    print(f"{len(texts)} texts, {(~known).sum()} of them without a known token; least cosine of the others {cosines.min():.7f}")


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    expected = {name: make(name, *parts) for name, parts in MODELS.items()}
    text = json.dumps({"texts": TEXTS, "vectors": expected}, indent=1)
    (FOLDER / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    compare(*sys.argv[1:]) if sys.argv[1:] else main()
