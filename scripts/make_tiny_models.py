"""Makes tests/data/tiny: ONNX models of a few hundred bytes and their tokenizer, right ones and wrong ones.

A token's vector is its row of a table of 12 x 4, and tokens do not see each other, so a test can work out by hand what a
text's vector must be. Run it again after a change here; its output is committed. Needs numpy.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from fafcas.models.onnx_file import Graph

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiny"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "blue", "##ish", ".", "a", "b", "##b"]
ROWS = np.array([[row, row % 3, row % 2, 1] for row in range(len(WORDS))], np.float32)
OPSET = 12


def graph(rows=ROWS, inputs=("input_ids", "attention_mask"), kind="int64", output="last_hidden_state", step=None):
    """A table look-up; `step` is an operator over the tokens that comes after it."""
    made = Graph("tiny")
    for name in inputs:
        made.input(name, kind, ["batch", "seq"])
    table = made.constant("table", rows)
    if step is None:
        made.node(output, "Gather", table, inputs[0])
        made.output(output, "float32", ["batch", "seq", rows.shape[1]])
    else:
        made.node(output, step, made.node("tokens", "Gather", table, inputs[0]), axes=[1], keepdims=0)
        made.output(output, "float32", ["batch", rows.shape[1]])
    return made.file(OPSET)


def any_id():
    """Has no table, so that it goes with every tokenizer: a token's vector is its id."""
    made = Graph("tiny")
    for name in ("input_ids", "attention_mask"):
        made.input(name, "int64", ["batch", "seq"])
    ids = made.node("ids", "Cast", "input_ids", to=1)
    made.node("last_hidden_state", "Unsqueeze", ids, axes=[2])
    made.output("last_hidden_state", "float32", ["batch", "seq", 1])
    return made.file(OPSET)


MODELS = {
    "any_id": any_id(),
    "tokens": graph(),
    "pairs": graph(inputs=("input_ids", "attention_mask", "token_type_ids")),
    "pooled": graph(output="sentence_embedding", step="ReduceMax"),
    "flat": graph(step="ReduceMax"),
    "pixels": graph(inputs=("pixels",)),
    "int32": graph(kind="int32"),
    "logits": graph(output="logits"),
    "short_table": graph(rows=ROWS[:-1]),
    "zeros": graph(rows=ROWS * 0),
    "not_a_number": graph(rows=ROWS * np.float32("nan")),
}

TOKENIZER = {
    "version": "1.0",
    # Both are to be overridden: they belong to whoever wrote the file.
    "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    "padding": {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    },
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
    "decoder": None,
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {word: number for number, word in enumerate(WORDS)},
    },
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in MODELS.items():
        (FOLDER / f"{name}.onnx").write_bytes(content)
    (FOLDER / "tokenizer.json").write_text(json.dumps(TOKENIZER, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
