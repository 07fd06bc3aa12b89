from __future__ import annotations

import importlib
import inspect
import io
import json
import operator
import os
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.datasets import fetch_openml, load_svmlight_file
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVR
from sklearn.tree._tree import Tree
from sklearn.utils import all_estimators

from include.evergreen.state.mlflow_store import MODEL_FILE, ArtifactError, folder_digest, load_model
from include.evergreen.state.model_types import BASES, UntrustedTypesError, types_to_trust

RUN_WHEN_REBUILT = {
    "base.BaseEstimator.__setstate__",  # compares release numbers, and takes the attributes
    "ensemble._hist_gradient_boosting.predictor.TreePredictor.__setstate__",  # takes the attributes, and casts the nodes to this machine
    "isotonic.IsotonicRegression.__setstate__",  # takes the attributes, and makes the interpolation of them
    "utils._bunch.Bunch.__setstate__",  # does nothing
    "linear_model._passive_aggressive.PassiveAggressiveClassifier.__new__",  # warns that it is deprecated
    "linear_model._passive_aggressive.PassiveAggressiveRegressor.__new__",  # likewise
}


class Own(BaseEstimator):
    """A team's own: an estimator, and none of scikit-learn's."""


class Deed:
    """What a pickle would do when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


class Called:
    """skops rebuilds it by a call of its class: a file may name another in its stead."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Called, ()


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (os.system, "system"),
        (partial(os.system, "true"), "functools.partial"),
        (operator.methodcaller("system", "true"), "operator.methodcaller"),
        (Deed(), "Deed"),
        (Ridge().fit, "sklearn.linear_model._ridge.Ridge.fit"),
        (eval, "builtins.eval"),
        (importlib.import_module, "importlib.import_module"),
        (fetch_openml, "sklearn.datasets._openml.fetch_openml"),
        (load_svmlight_file, "sklearn.datasets._svmlight_format_io.load_svmlight_file"),
        (np.load, "numpy.load"),
        (FunctionTransformer(func=os.system), "system"),
        (SVR(kernel=os.getenv), "os.getenv"),
        (Own(), "Own"),
        (Own, "Own"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_could_run_code_of_a_files_choosing_is_refused_by_its_name(thing: Any, name: str) -> None:
    with pytest.raises(UntrustedTypesError, match=name):
        types_to_trust(skops.io.dumps([thing]), [])


@pytest.mark.parametrize("type_", [Tree, RBF, Ridge], ids=lambda type_: type_.__name__)
def test_a_class_is_no_value_that_others_could_call(type_: type) -> None:
    """A fitted tree may be rebuilt; the class itself, as an attribute, would be called with what the file says."""
    with pytest.raises(UntrustedTypesError, match=type_.__name__):
        types_to_trust(skops.io.dumps(FunctionTransformer(func=type_)), [])


def test_a_trusted_class_is_rebuilt_in_its_own_way_alone() -> None:
    file = skops.io.dumps(RBF())
    assert types_to_trust(file, []) == ["sklearn.gaussian_process.kernels.RBF"]
    for way in ("ConstructorFromReduceNode", "ListNode", "DictNode", "TreeNode", "TypeNode", "FunctionNode", "NdArrayNode", "SetNode"):
        with pytest.raises((UntrustedTypesError, KeyError, ValueError, AttributeError, TypeError)):
            types_to_trust(_changed(file, __loader__=way), [])
    called = skops.io.dumps(Called())
    with pytest.raises(UntrustedTypesError, match="RBF"):
        types_to_trust(_changed(called, __module__=RBF.__module__, __class__="RBF"), [])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.callback._scoring_monitor", "ScoringMonitor"),  # opens a listener when it is rebuilt
        ("sklearn.utils.parallel", "Parallel"),
        ("sklearn.utils.parallel", "_FuncWrapper"),
        ("sklearn.metrics._scorer", "_Scorer"),
        ("sklearn.tests.test_base", "MyEstimator"),
        ("sklearn.externals._packaging.version", "Version"),
        ("sklearn.datasets._base", "Path"),  # only imported there
        ("sklearn.nowhere", "Ridge"),
        ("sklearnish.tree", "Tree"),
        ("", "sklearn.tree._tree.Tree"),
    ],
)
def test_a_class_that_is_no_part_of_a_fitted_estimator_is_refused(module: str, name: str) -> None:
    with pytest.raises(UntrustedTypesError):
        types_to_trust(_changed(skops.io.dumps(RBF()), __module__=module, __class__=name), [])


def test_a_file_that_would_run_a_command_is_not_loaded_and_runs_none(tmp_path: Path) -> None:
    done = tmp_path / "done"
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(skops.io.dumps(FunctionTransformer(func=partial(os.system, f"touch {done}"))))
    with pytest.raises(ArtifactError, match=r"it holds functools.partial, .*system, untrusted types. Allow them by name"):
        load_model(folder.as_uri(), folder_digest(folder))
    assert not done.exists()


def test_what_a_model_names_is_trusted_and_nothing_beside_it() -> None:
    file = skops.io.dumps([Own(), os.system])
    own = f"{__name__}.Own"
    with pytest.raises(UntrustedTypesError) as refused:
        types_to_trust(file, [own])
    assert refused.value.names == [f"{os.system.__module__}.system"]
    assert types_to_trust(skops.io.dumps([Own()]), [own]) == [own]


def test_types_of_scikit_learns_own_need_no_name() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    fitted = HistGradientBoostingRegressor(max_iter=2).fit(rows, rows[:, 0])
    file = skops.io.dumps(fitted)
    trusted = types_to_trust(file, [])
    assert trusted == ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
    assert np.array_equal(skops.io.loads(file, trusted=trusted).predict(rows), fitted.predict(rows))


def test_each_base_is_there_and_what_its_classes_run_when_they_are_rebuilt_is_known() -> None:
    """With another release of scikit-learn: read what is new here, and judge it (docs/decisions/trusted-types.md)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        all_estimators()  # imports all of it
    run = set()
    for path in BASES:
        module, _, name = path.rpartition(".")
        for type_ in _with_subclasses(getattr(importlib.import_module(module), name)):
            if type_.__module__.startswith("sklearn.") and ".tests." not in type_.__module__:
                run |= {
                    f"{type_.__module__.removeprefix('sklearn.')}.{type_.__qualname__}.{method}"
                    for method in ("__new__", "__setstate__")
                    if inspect.isfunction(vars(type_).get(method))  # those of compiled classes take arrays and numbers
                }
    assert run == RUN_WHEN_REBUILT


def _with_subclasses(type_: type) -> Iterator[type]:
    yield type_
    for below in type_.__subclasses__():
        yield from _with_subclasses(below)


def _changed(file: bytes, **values: str) -> bytes:
    """A skops file whose outermost object is described otherwise."""
    changed = io.BytesIO()
    with ZipFile(io.BytesIO(file)) as old, ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, json.dumps({**json.loads(content), **values}) if name == "schema.json" else content)
    return changed.getvalue()
