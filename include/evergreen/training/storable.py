"""Whether a fitted pipeline can be stored in a form that loads without running code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.silent_import import import_quietly
from include.evergreen.state.model_types import UntrustedTypesError, types_to_trust

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def stored(model: ModelConfig, pipeline: Pipeline) -> tuple[bytes, list[str]]:
    """Write a fitted pipeline as skops does.

    :param model: the model, whose ``train.trusted_types`` may allow more types
    :param pipeline: the fitted pipeline
    :returns: the file's bytes, and the types that loading it must trust
    :raises ConfigError: when skops cannot write it, or what it holds may not be loaded
    """
    skops_io = import_quietly("skops.io")
    try:
        file = skops_io.dumps(pipeline)
    except Exception as error:  # whatever an object that is not made for it makes skops raise
        raise ConfigError(
            f"{model.name}: skops, which stores models without code, cannot store the estimator: {error}. Choose another."
        ) from error
    try:
        return file, types_to_trust(file, model.train.trusted_types)
    except UntrustedTypesError as error:
        names = ", ".join(error.names)
        raise ConfigError(
            f"{model.name}: the estimator cannot be stored in a form that loads without running code: it holds {names}. "
            f"Choose another estimator (docs/guides/estimators.md), or, if you trust the code of these types, name them: "
            f"train.trusted_types: [{names}]."
        ) from error
