"""What a command sees to before it embeds anything: ONNX Runtime is named, and the model is there."""

from __future__ import annotations

import warnings

import apsw

from .. import loadable_path
from .._load import _prepare_embedding
from ..kit.database import Refused, load
from ..models.fetch import DEFAULT_MODEL


def prepare_embedding(model: str = DEFAULT_MODEL) -> None:
    """That the default model could not be fetched does no harm where the one that is wanted is there."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _prepare_embedding()
    if told and not is_there(model):
        raise Refused(str(told[0].message))


def is_there(model: str) -> bool:
    connection = apsw.Connection(":memory:")
    load(connection, loadable_path())
    return bool(connection.execute("SELECT 1 FROM fafcas_models WHERE name = ?", (model,)).fetchall())
