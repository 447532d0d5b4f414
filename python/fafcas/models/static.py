"""A static model distilled from a BERT encoder: one vector for each token, which need no runtime to be added up.

Each token of the vocabulary is embedded alone, between the two special tokens. Its vector is what the encoder says of the
token, and twice what it says of the first special token, which has seen it. The mean is taken away, 256 principal directions
are kept, rare directions are raised a little, and frequent tokens count less (SIF; a token's rank in the vocabulary stands for
its frequency). benches/record/static.md has what else was tried.

All is computed in f64 and stored in eight bits, so that every machine rounds to the same file. The layout is that of the
package model2vec: each row of `embeddings` has its scale and its weight in `weights`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

DIMENSIONS = 256
# How much of what is said of the first special token is added.
SHARE = 2
# Directions are divided by their deviation to this power.
RAISED = 0.25
# The smaller, the less frequent tokens count.
SIF = 3e-5
MAX_LENGTH = 512
GREATEST = 127
TOKENS_AT_ONCE = 256

# Constants of Abramowitz and Stegun 7.1.26, which is within 1.5e-7 of the error function.
ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
ERF_SCALE = 0.3275911


class Encoder:
    """Runs a BERT encoder on short rows of tokens without padding."""

    def __init__(self, weights: dict[str, Any], config: dict[str, Any]) -> None:
        self.weights = {name: array.astype(np.float64) for name, array in weights.items()}
        self.heads, self.layers = config["num_attention_heads"], config["num_hidden_layers"]
        self.epsilon = config["layer_norm_eps"]

    def linear(self, x: Any, name: str) -> Any:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def layer_norm(self, x: Any, name: str) -> Any:
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.epsilon)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attention(self, x: Any, rows: int, name: str) -> Any:
        size = x.shape[1] // self.heads

        def heads(part: str) -> Any:
            values = self.linear(x, f"{name}.self.{part}")
            return values.reshape(rows, -1, self.heads, size).transpose(0, 2, 1, 3)

        query, key, values = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 1, 3, 2) / size**0.5
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ values).transpose(0, 2, 1, 3).reshape(x.shape)
        return self.linear(mixed, f"{name}.output.dense")

    def run(self, ids: Any) -> Any:
        """The last hidden states: rows x tokens x dimensions."""
        parts = ("word", "token_type", "position")
        words, kinds, places = (self.weights[f"embeddings.{part}_embeddings.weight"] for part in parts)
        total = words[ids] + kinds[0] + places[: ids.shape[1]]
        x = self.layer_norm(total, "embeddings.LayerNorm").reshape(ids.size, -1)
        for number in range(self.layers):
            name = f"encoder.layer.{number}"
            attended = self.attention(x, len(ids), f"{name}.attention") + x
            x = self.layer_norm(attended, f"{name}.attention.output.LayerNorm")
            inner = gelu(self.linear(x, f"{name}.intermediate.dense"))
            x = self.layer_norm(self.linear(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
        return x.reshape(*ids.shape, -1)


def gelu(x: Any) -> Any:
    size = np.abs(x) / 2**0.5
    step = 1 / (1 + ERF_SCALE * size)
    total = np.zeros_like(x)
    for constant in reversed(ERF):
        total = (total + constant) * step
    share = 1 - total * np.exp(-size * size)
    return 0.5 * x * (1 + np.copysign(share, x))


def token_vectors(weights: dict[str, Any], config: dict[str, Any], first: int, last: int) -> Any:
    """What the encoder says of each token that stands alone between `first` and `last`."""
    encoder, count = Encoder(weights, config), config["vocab_size"]
    vectors = np.empty((count, config["hidden_size"]))
    for start in range(0, count, TOKENS_AT_ONCE):
        ids = np.arange(start, min(start + TOKENS_AT_ONCE, count))
        states = encoder.run(np.stack([np.full_like(ids, first), ids, np.full_like(ids, last)], axis=1))
        vectors[ids] = states[:, 1] + SHARE * states[:, 0]
    return vectors


def principal(vectors: Any) -> Any:
    """The principal directions, each with the sign that makes its greatest value positive."""
    centred = vectors - vectors.mean(axis=0)
    values, directions = np.linalg.eigh(centred.T @ centred / (len(vectors) - 1))
    values, directions = values[::-1][:DIMENSIONS], directions[:, ::-1][:, :DIMENSIONS]
    found = centred @ directions / values ** (RAISED / 2)
    return found * np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])


def frequency_weights(count: int) -> Any:
    """Less for the first tokens of a vocabulary that is sorted by how frequent they are, by Zipf's law."""
    shares = 1 / np.arange(2, count + 2)
    return SIF / (SIF + shares / shares.sum())


def distill(weights: dict[str, Any], config: dict[str, Any], first: int, last: int) -> dict[str, bytes]:
    """The files of the static model, but for the tokenizer, which is the encoder's."""
    rows = principal(token_vectors(weights, config, first, last))
    scales = np.abs(rows).max(axis=1) / GREATEST
    values = np.rint(rows / scales[:, None]).astype(np.int8)
    factors = (scales * frequency_weights(len(rows))).astype(np.float32)
    settings = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "hidden_dim": DIMENSIONS,
        "max_length": MAX_LENGTH,
        "normalize": True,
        "embedding_dtype": "int8",
    }
    tensors = [("embeddings", "I8", values), ("weights", "F32", factors)]
    return {"config.json": json.dumps(settings, indent=4).encode() + b"\n", "model.safetensors": safetensors(tensors)}


def safetensors(tensors: Iterable[tuple[str, str, Any]]) -> bytes:
    """Length of a JSON header, the header, the bytes it points into."""
    header, values = {}, b""
    for name, kind, array in tensors:
        stop = len(values) + array.nbytes
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(values), stop]}
        values += array.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + values
