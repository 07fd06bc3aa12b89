"""Which types a model's file may hold: judged by one rule, before anything is made of the file. (docs/decisions/trusted-types.md)

skops rebuilds objects from names of classes and functions. It knows many of scikit-learn's by itself, and asks about the others.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final
from zipfile import ZipFile

from include.evergreen.foundation.errors import EvergreenError
from include.evergreen.foundation.silent_import import import_quietly

PLAIN: Final = ("numpy.dtype",)  # data without behaviour
BASES: Final[dict[str, str]] = {
    "sklearn.base.BaseEstimator": "ObjectNode",
    "sklearn.calibration._CalibratedClassifier": "ObjectNode",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": "ObjectNode",
    "sklearn.gaussian_process.kernels.Kernel": "ObjectNode",
    "sklearn._loss.loss.BaseLoss": "ObjectNode",
    "sklearn.metrics._dist_metrics.DistanceMetric": "ObjectNode",
    "sklearn.neighbors._ball_tree.BinaryTree64": "ObjectNode",
    "sklearn.neighbors._kd_tree.BinaryTree64": "ObjectNode",
    "sklearn.neural_network._stochastic_optimizers.BaseOptimizer": "ObjectNode",
    "sklearn.tree._tree.Tree": "TreeNode",
    "sklearn.utils._bunch.Bunch": "DictNode",
}
"""A class of scikit-learn whose subclasses may be loaded -> the one way in which skops may rebuild them: from their attributes
(``ObjectNode``), by the constructor of ``Tree`` (``TreeNode``), or from items (``DictNode``); never by a call that the file chooses."""
NOT_SCIKIT_LEARNS_OWN: Final = {"conftest", "externals", "tests"}  # parts of module names: others' code, and code that is no library


class UntrustedTypesError(EvergreenError):
    """A file holds types that may not be loaded.

    :param message: for people
    :param names: the types' full names
    """

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names = list(names)


def types_to_trust(file: bytes, named: Sequence[str]) -> list[str]:
    """Judge the types that a skops file holds and skops does not know by itself. Nothing of the file is made.

    :param file: the file's bytes
    :param named: full names of more types that may be loaded, in any way: the model's ``train.trusted_types``
    :returns: the names that skops needs to be told to load the file, in alphabetical order
    :raises UntrustedTypesError: for types that are neither named nor scikit-learn's own data structures
    """
    unknown = import_quietly("skops.io").get_untrusted_types(data=file)
    judged = [name for name in unknown if name not in PLAIN and name not in named]
    if judged:
        ways: dict[str, set[str]] = {}
        with ZipFile(io.BytesIO(file)) as archive:
            for name, way in _nodes(json.loads(archive.read("schema.json"))):
                ways.setdefault(name, set()).add(way)
        if refused := [name for name in judged if not _is_trusted(name, ways.get(name, set()))]:
            raise UntrustedTypesError(f"it holds {', '.join(refused)}", refused)
    return list(unknown)


def _is_trusted(name: str, ways: set[str]) -> bool:
    """Whether a name is that of a class of scikit-learn under one of `BASES`, and is used in that base's way alone."""
    judged = _class(name)
    return judged is not None and any(ways == {way} and issubclass(judged, base) for path, way in BASES.items() if (base := _class(path)))


def _class(path: str) -> type | None:
    """The class that scikit-learn defines by this full name; None for a function, for what is only imported there, and others' code."""
    module, _, name = path.rpartition(".")
    parts = module.split(".")
    if parts[0] != "sklearn" or not NOT_SCIKIT_LEARNS_OWN.isdisjoint(parts):
        return None
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return found if isinstance(found, type) and (found.__module__, found.__qualname__) == (module, name) else None


def _nodes(state: Any) -> Iterator[tuple[str, str]]:
    """Each place in skops' description of a file that names a type: the full name, and the way in which it is used."""
    if isinstance(state, dict):
        if "__loader__" in state:
            yield f"{state.get('__module__')}.{state.get('__class__')}", str(state["__loader__"])
        for value in state.values():
            yield from _nodes(value)
    elif isinstance(state, list):
        for value in state:
            yield from _nodes(value)
