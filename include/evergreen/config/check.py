"""Validates all declarations: every file by itself, then the references between files."""

from __future__ import annotations

import ast
import datetime as dt
import importlib
import keyword
from collections.abc import Iterator

from include.evergreen.config.catalog import Catalog
from include.evergreen.config.check_figures import gate_problems, monitor_problems, rule_problems
from include.evergreen.config.check_labels import target_problems
from include.evergreen.config.check_times import dataset_time_problems, holdout_warnings, input_problems, training_time_problems
from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.document import Key
from include.evergreen.config.gate import ENOUGH_DAYS, BehaviourCriterion
from include.evergreen.config.loader import describe, shown_path
from include.evergreen.config.metrics import METRICS, metrics_of, missing_metric
from include.evergreen.config.models import ModelConfig
from include.evergreen.config.wording import did_you_mean, listed, unknown
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.span import Span

READS_SPANS = ("window", "trailing", "latest", "lookup")  # of the reader


def check_catalog(catalog: Catalog) -> list[str]:
    """Check every declaration by itself, and then what they say of each other.

    :param catalog: what is declared now
    :returns: ``file:line: key: what is wrong`` for each problem, datasets first, then models, each by name; empty when all is sound
    """
    problems = _undeclared_folders(catalog)
    known = catalog.dataset_names()
    datasets: dict[str, DatasetConfig] = {}
    for name in known:
        try:
            datasets[name] = catalog.dataset(name)
            problems += describe(catalog.dataset_path(name), list(_of_dataset(datasets[name])))
        except ConfigError as error:
            problems += str(error).splitlines()
    for dataset in datasets.values():
        problems += describe(catalog.dataset_path(dataset.name), list(_reference_problems(dataset, known, datasets)))
    for name in catalog.model_names():
        try:
            problems += describe(catalog.model_path(name), list(_of_model(catalog.model(name), known, datasets)))
        except ConfigError as error:
            problems += str(error).splitlines()
        problems += _features_problems(catalog, name)
        problems += _checks_problems(catalog, name)
    return list(dict.fromkeys(problems))  # a model that takes features from a dataset's columns repeats what is wrong with that


def catalog_warnings(catalog: Catalog) -> list[str]:
    """Say what is sound and yet worth a thought. Raises `ConfigError` for a model whose file is wrong: see `check_catalog` first.

    :param catalog: what is declared now, without problems
    :returns: a line for each warning, in the form of the problems, by model
    """
    warnings = []
    for name in catalog.model_names():
        model = catalog.model(name)
        warnings += describe(catalog.model_path(name), list(holdout_warnings(model)))
        warnings += describe(catalog.model_path(name), list(_rollout_warnings(catalog, model)))
    return warnings


def _undeclared_folders(catalog: Catalog) -> list[str]:
    """Folders that someone may take for a dataset or a model, and that nothing reads."""
    problems = []
    for kind, names in (("dataset", catalog.dataset_names()), ("model", catalog.model_names())):
        for folder in sorted((catalog.root / f"{kind}s").glob("*/")):
            if folder.name not in names and not folder.name.startswith((".", "_")):
                problems.append(f"{shown_path(folder)}: has no {kind}.yaml; add one, or remove the folder")
    return problems


def _of_dataset(dataset: DatasetConfig) -> Iterator[tuple[Key, str]]:
    columns = [column.name for column in dataset.columns]
    ours = {column.source_name: column.name for column in dataset.columns}
    for index, expectation in enumerate(dataset.expectations):
        for key in ("column", "column_A", "column_B", "column_list"):
            named = expectation.arguments.get(key)
            for column in named if isinstance(named, list) else [named]:
                if column in ours and column not in columns:
                    text = f"{column!r} is what the source calls {ours[column]}; write {ours[column]}, its name here"
                    yield ("expectations", index, "arguments", key), text
                elif column is not None and column not in columns:
                    yield ("expectations", index, "arguments", key), unknown("column", column, columns)
    yield from dataset_time_problems(dataset)


def _reference_problems(dataset: DatasetConfig, known: list[str], datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    """A reference to what is not there would never be evaluated, and nobody would see it fail."""
    types = {column.name: column.type for column in dataset.columns}
    for index, reference in enumerate(dataset.references):
        if reference.dataset not in known:
            yield ("references", index, "dataset"), unknown("dataset", reference.dataset, known)
        elif reference.dataset in datasets:  # else its own file is wrong, and says so
            there = {column.name: column.type for column in datasets[reference.dataset].columns}
            grains = dataset.grain, datasets[reference.dataset].grain
            if grains[0] != grains[1]:
                text = (
                    f"the partitions of {reference.dataset} are {grains[1].noun}s and those of this dataset {grains[0].noun}s, so nothing "
                    f"would be found in it; name a dataset of the same grain"
                )
                yield ("references", index, "dataset"), text
            key = "to" if reference.to else "columns"
            for column, other in zip(reference.columns, reference.to or reference.columns, strict=True):
                if other not in there:
                    yield ("references", index, key), unknown(f"column of {reference.dataset}", other, list(there))
                elif types[column] != there[other]:
                    text = f"{column} is a {types[column]} and {other} of {reference.dataset} a {there[other]}; both must be of one type"
                    yield ("references", index, key), text


def _of_model(model: ModelConfig, known: list[str], datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    yield from input_problems(model, known, datasets)
    yield from target_problems(model, known, datasets)
    yield from _personal_problems(model, datasets)
    yield from _own_metric_problems(model)
    yield from _train_problems(model)
    if model.rows in datasets:
        yield from training_time_problems(model)
        yield from _rollout_problems(model, datasets[model.rows])
    yield from gate_problems(model, datasets)
    yield from monitor_problems(model)
    yield from rule_problems(model)


def _rollout_problems(model: ModelConfig, rows: DatasetConfig) -> Iterator[tuple[Key, str]]:
    """A roll-out that could never be decided, or never divide the rows."""
    rollout, unit = model.rollout, model.grain.noun
    if not rollout.steps:
        return
    if model.gate.against_champion is None:
        text = (
            f"{rollout.strategy} compares with the champion, and no criterion of the gate says by which metric and margin; add one of "
            f"kind champion to gate.criteria"
        )
        yield ("rollout", "strategy"), text
    if rollout.partitions == 1 and model.gate.resample == "days":
        text = (
            f"1 does not show how {unit}s differ, so nothing would ever be decided; use {ENOUGH_DAYS} or more, or gate.resample: rows if "
            f"the rows of {model.grain.a_partition} are independent"
        )
        yield ("rollout", "partitions"), text
    if max(rollout.steps) and not rows.keys:
        yield ("rollout", "strategy"), f"{rollout.strategy} divides the rows by their keys, and {rows.name} has none; declare its keys"


def _rollout_warnings(catalog: Catalog, model: ModelConfig) -> Iterator[tuple[Key, str]]:
    """What a roll-out decides by is little, or comes long after it was scored."""
    rollout, grain = model.rollout, model.grain
    if not rollout.steps:
        return
    unit, count = grain.noun, rollout.partitions
    if count < ENOUGH_DAYS and model.gate.resample == "days":
        text = f"{count} {unit}s are few to show how {unit}s differ, so only large differences are seen; {ENOUGH_DAYS} or more are better"
        yield ("rollout", "partitions"), text
    first = grain.on(catalog.dataset(model.rows).schedule.start)
    last = grain.shift(first, count - 1)
    target = catalog.dataset(model.target.dataset)
    wait = target.known_from(model.labels.partitions(last)[1]) - grain.end(last)
    if wait > grain.end(last) - grain.start(first):
        whole = len(rollout.steps) * (grain.end(last) - grain.start(first) + wait)
        text = (
            f"the labels of {grain.a_partition} come {_in_days(wait)} after it, so that each step of {count} {unit}s is decided so much "
            f"later: a "
            f"whole roll-out takes about {_in_days(whole)}"
        )
        yield ("rollout", "partitions"), text


def _in_days(length: dt.timedelta) -> str:
    return f"{length / dt.timedelta(days=1):.3g} days"


def _train_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    train = model.train
    for index, choice in enumerate(train.choices):
        key: Key = ("train", "estimators", index, "estimator") if train.estimators else ("train", "estimator")
        if not _is_import_path(choice.estimator):
            yield key, f"{choice.estimator!r} is not an import path, such as sklearn.linear_model.Ridge"
        elif train.run_in != "docker" and (problem := _import_problem(choice.estimator)):  # a container has libraries of its own
            yield key, f"{choice.estimator!r} {problem}"
    for index, name in enumerate(train.trusted_types):
        if not _is_import_path(name):
            yield ("train", "trusted_types", index), f"{name!r} is not an import path, such as lightgbm.sklearn.LGBMClassifier"
    if train.tune is not None and train.tune.metric is not None:
        metric = metrics_of(model).get(train.tune.metric)
        if metric is None:
            yield ("train", "tune", "metric"), missing_metric(model, train.tune.metric)
        elif metric.is_of_decisions and model.metrics.learned_threshold is not None:
            others = [other.name for other in metrics_of(model).values() if not other.is_of_decisions]
            text = f"{metric.name} depends on the decision threshold, which is learned after tuning; allowed: {listed(others)}"
            yield ("train", "tune", "metric"), f"{text}, or declare metrics.decision_threshold"
    if train.weights is not None and train.weights.classes is not None and model.task == "regression":
        yield ("train", "weights", "classes"), f"is for classification, and this is a {model.task}; remove it"
    numeric = [feature.name for feature in model.features if feature.kind == "numeric"]
    if train.weights is not None and train.weights.feature not in (None, *numeric):
        yield ("train", "weights", "feature"), unknown("numeric feature", train.weights.feature, numeric)


def _own_metric_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    ours = {name for metrics in METRICS.values() for name in metrics}
    for index, own in enumerate(model.metrics.own):
        if own.name in ours:
            yield ("metrics", "own", index, "name"), f"{own.name!r} is one of ours; give your metric another name"
        if not _is_import_path(own.function):
            yield ("metrics", "own", index, "function"), f"{own.function!r} is not an import path, such as profit.per_row"


def _personal_problems(model: ModelConfig, datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    """A feature that bears the name of a personal column is taken to carry its values."""
    sources = {model_input.dataset for model_input in model.inputs} & datasets.keys()
    for index, feature in enumerate(model.features):
        owners = sorted(name for name in sources if feature.name in datasets[name].personal_columns)
        if owners and not feature.personal:
            text = (
                f"{feature.name!r} is a personal column of {owners[0]}; set personal: true, so that no report shows its values, "
                f"or leave the feature out"
            )
            yield ("features", index, "name"), text


def _features_problems(catalog: Catalog, name: str) -> list[str]:
    path = catalog.features_path(name)
    if not path.is_file():
        return [f"{shown_path(path)}: there is no such file; model {name!r} needs it to compute its features, write it"]
    try:
        tree = ast.parse(path.read_bytes(), path)
        compile(tree, path, "exec")
    except (SyntaxError, ValueError) as error:  # ValueError: of null bytes, on some versions of Python
        line = getattr(error, "lineno", None) or 1
        return [f"{shown_path(path)}:{line}: {getattr(error, 'msg', error)}; correct the file"]
    return [f"{shown_path(path)}:{line}: {text}" for line, text in _older_calls(tree)]


def _older_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls of the reader that say a number of days, as kept recipes may and new ones do not."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr not in READS_SPANS:
            continue
        named = [(f"{keyword.arg}=", keyword.value) for keyword in call.keywords if keyword.arg in ("days", "span")]
        placed = [("", call.args[1])] if call.func.attr == "window" and len(call.args) > 1 else []
        for name, value in named + placed:
            number = value.value if isinstance(value, ast.Constant) else None
            if name == "days=" or isinstance(number, int):
                said = f"{Span(number, 'day')}" if isinstance(number, int) else "60 days"
                yield value.lineno, f"{name}{ast.unparse(value)} is now span: write span={said!r}"


def _checks_problems(catalog: Catalog, name: str) -> list[str]:
    """A behaviour criterion without a checks.py would never be evaluated; checks that no criterion asks for, never tried."""
    path = catalog.model_path(name).with_name("checks.py")
    try:
        asked = any(isinstance(criterion, BehaviourCriterion) for criterion in catalog.model(name).gate.criteria)
    except ConfigError:
        return []  # its own file is wrong, and says so
    if asked and not path.is_file():
        return [f"{shown_path(path)}: there is no such file; the behaviour criterion of model {name!r} needs it, write it"]
    if path.is_file() and not asked:
        return [f"{shown_path(path)}: is never tried; add {{kind: behaviour}} to gate.criteria of model {name!r}, or remove the file"]
    return []


def _is_import_path(text: str) -> bool:
    parts = text.split(".")
    return len(parts) > 1 and all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


def _import_problem(path: str) -> str | None:
    """Why no estimator can be made from an import path in this environment, if so."""
    module, _, name = path.rpartition(".")
    try:
        found = importlib.import_module(module)
    except Exception as error:  # a library may raise anything at its import
        return f"cannot be imported here ({error}); install it, or give the import path of an estimator that is"
    if not hasattr(found, name):
        return f"cannot be imported here: {module} has no {name!r}; {did_you_mean(name, dir(found))}give the path of a class in it"
    if not callable(factory := getattr(found, name)):
        return f"is a {type(factory).__name__}, and no class or function that makes an estimator"
    return None
