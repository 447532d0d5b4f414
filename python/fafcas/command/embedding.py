"""What a command sees to before it embeds anything: ONNX Runtime is named, and the model is there."""

from __future__ import annotations

import warnings

from .._load import _prepare_embedding
from .output import said


def prepare_embedding() -> None:
    """Where the model cannot be fetched, that is said, and embed() may still find another."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _prepare_embedding()
    for warning in told:
        said(str(warning.message))
