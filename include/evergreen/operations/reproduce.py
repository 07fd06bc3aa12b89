"""Reproduces a version: retrains it from its record alone, and compares its predictions bit for bit with the artifact's.

Nothing is written: no run, no record, no file. What the record says of data, recipe, parameters and environment is taken
from there; where it differs from what is found now, the ingredient is named.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.columns import PARTITION, features_of
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.operations.progress import Progress, no_progress
from include.evergreen.operations.verification import SnapshotRecord, Verifier, recorded_snapshots
from include.evergreen.registry import champions
from include.evergreen.registry.versions import refuse_changed
from include.evergreen.serving.inference import one_thread
from include.evergreen.state import mlflow_store, storage
from include.evergreen.state.database.tables import snapshots
from include.evergreen.training.candidate import Candidate, find_candidate
from include.evergreen.training.environment import differences, environment
from include.evergreen.training.fit_job import split_by_time
from include.evergreen.training.fitting import learn
from include.evergreen.training.pipeline import Chosen, declared, predict
from include.evergreen.training.recipes import FEATURES, Recipe, build_recipe, find_recipe, restore_config, trained_edition
from include.evergreen.training.snapshot import SnapshotCache, parts_path
from include.evergreen.training.training_frame import training_days, training_frame

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

LONGEST_LIST = 5


@dataclass(frozen=True)
class PredictionDifference:
    """The registered artifact's predictions and the new fit's on the same rows; ``largest`` is the greatest distance of two."""

    rows_of: str  # the holdout, or the rows that it was fitted on
    rows: int
    differing: int
    largest: float


@dataclass(frozen=True)
class Reproduction:
    """What came of training a version again.

    ``changed``: a message for each ingredient that is not what the record says. ``frame`` says how the features that were computed
    anew differ from those kept ('' when they do not).
    """

    model: str
    version: int
    semver: str
    as_of: Partition
    compared: list[PredictionDifference]
    changed: list[str]
    frame: str
    is_source_whole: bool
    seconds: float

    @property
    def is_same_model(self) -> bool:
        """Whether every prediction is the same, bit for bit."""
        return all(difference.differing == 0 for difference in self.compared)

    @property
    def is_identical(self) -> bool:
        """The same model, from the same features, from sources that are all as they were."""
        return self.is_same_model and not self.frame and self.is_source_whole


def reproduce(catalog: Catalog, model: str, version: int, progress: Progress = no_progress) -> Reproduction:
    """Train a registered version again from its record, and compare its predictions with the artifact's.

    :param catalog: what is declared now; the recipe of the version goes before it, where it was kept
    :param model: its name, as in ``include/models``
    :param version: the number of the registered version; `ConfigError` for an unknown one
    :param progress: is told the step, how much of it is done, and of how much
    :returns: the differences of the predictions, and of the ingredients that explain them
    :raises DataError: when rows of its snapshot were erased, its kept recipe was changed, or its artifact or its frame and all that
        it was made of is lost: then there is nothing to compare, or nothing to train from
    """
    began = time.monotonic()
    registered = champions.version_number(model, version)
    if registered.irreproducible_because:
        raise DataError(f"{model} version {version} cannot be trained again: {registered.irreproducible_because}")
    refuse_changed(registered.run_key)
    candidate = find_candidate(registered.run_key)
    ingredients = _Ingredients(candidate)
    recipe = _recipe(catalog, candidate, ingredients)
    config = restore_config(catalog, recipe)
    artifact = mlflow_store.load_model(candidate.artifact_uri, candidate.artifact_digest, config.train.trusted_types)
    snapshot, kept = _source(candidate, recipe, ingredients, progress)
    rebuilt = _rebuilt(catalog, config, recipe, snapshot, ingredients, progress)
    frame = kept if kept is not None else rebuilt
    if frame is None:
        raise DataError(
            f"{model} version {version} cannot be trained again: neither the training frame nor what it was made of is whole.\n"
            + "\n".join(f"- {message}" for message in ingredients.changed)
        )
    ingredients.compare_environment()
    progress("fitting", 0, 1)
    fitted = learn(
        config, split_by_time(config, frame if rebuilt is None else rebuilt, candidate.holdout_first)[0], _chosen(config, candidate)
    )
    progress("fitting", 1, 1)
    fit_rows, holdout = split_by_time(config, frame, candidate.holdout_first)
    compared = [_compare(config, artifact, fitted, rows_of, rows) for rows_of, rows in (("holdout", holdout), ("fit rows", fit_rows))]
    frame_difference = "" if kept is None or rebuilt is None else _frame_difference(kept, rebuilt)
    if frame_difference and any(difference.differing for difference in compared):
        again = learn(config, fit_rows, _chosen(config, candidate))
        if _compare(config, artifact, again, "holdout", holdout).differing == 0:
            frame_difference += "; fitted on the features that were kept, the model is the same, so they alone make the difference"
    return Reproduction(
        model=model,
        version=version,
        semver=registered.semver,
        as_of=registered.as_of,
        compared=compared,
        changed=ingredients.changed,
        frame=frame_difference,
        is_source_whole=ingredients.is_source_whole,
        seconds=time.monotonic() - began,
    )


@dataclass
class _Ingredients:
    """What is found not to be as the record of ``candidate`` says."""

    candidate: Candidate
    changed: list[str] = field(default_factory=list)
    is_source_whole: bool = True

    def source(self, message: str) -> None:
        self.changed.append(message)
        self.is_source_whole = False

    def compare_environment(self) -> None:
        recorded = self.candidate.facts.get("environment")
        if recorded is None:
            self.changed.append("environment: an older release trained it, and did not record its own; nothing can be compared")
        else:
            self.changed += differences(recorded, environment())


def _recipe(catalog: Catalog, candidate: Candidate, ingredients: _Ingredients) -> Recipe:
    """As it was kept; of an older release, which kept none, as it is declared now, if that is the same."""
    edition = trained_edition(candidate)
    if kept := find_recipe(candidate.recipe_digest):
        return replace(kept, edition=edition)
    now = replace(build_recipe(catalog, catalog.model(candidate.model)), edition=edition)
    if now.digest != candidate.recipe_digest:
        ingredients.source(
            f"recipe: an older release trained it, and kept none; what is declared now has digest {now.digest[:12]}, and "
            f"{candidate.recipe_digest[:12]} was recorded"
        )
    return now


def _source(
    candidate: Candidate, recipe: Recipe, ingredients: _Ingredients, progress: Progress
) -> tuple[SnapshotRecord, pd.DataFrame | None]:
    """The snapshot, verified, and its frame if that is as it was."""
    [snapshot] = recorded_snapshots(snapshots.c.digest == candidate.snapshot_digest)
    differing = Verifier().verify(snapshot, progress).differing
    for part in differing:
        ingredients.source(f"snapshot: {part.name} is {part.state}: {part.message}")
    wrong = {part.name for part in differing}
    if "parts" in wrong:
        return snapshot, None  # the frame's own digest is not known then
    parts = json.loads(storage.read_bytes(parts_path(snapshot.model, snapshot.digest)))
    held = dict(recipe.modules)
    if parts["features"] != recipe.document[FEATURES] or any(held.get(name) != text for name, text in parts.get("modules", {}).items()):
        ingredients.source("features.py: the snapshot was taken with another text of it, or of a module beside it, than the recipe holds")
    return snapshot, None if "frame" in wrong else storage.read_frame(snapshot.frame_path)


def _rebuilt(
    catalog: Catalog, config: ModelConfig, recipe: Recipe, snapshot: SnapshotRecord, ingredients: _Ingredients, progress: Progress
) -> pd.DataFrame | None:
    """The training frame, computed anew from the snapshot's members by the version's own features.py."""
    cache = SnapshotCache(snapshot, config)
    days = training_days(config, snapshot.as_of, snapshot.window)
    try:
        built = training_frame(catalog, config, days, cache, recipe.code, progress=partial(progress, "computing features"))
    except (DataError, ConfigError) as error:
        ingredients.source(f"features: they cannot be computed again: {error}")
        return None
    if not built.days:
        ingredients.source("features: no day of the snapshot has rows, inputs and labels any more")
        return None
    return built.rows


def _chosen(config: ModelConfig, candidate: Candidate) -> Chosen:
    """What was fitted: as recorded, so that nothing is tuned again; as declared, of an older release."""
    parameters = candidate.facts.get("parameters")
    return Chosen(candidate.facts["estimator"], dict(parameters)) if parameters is not None else declared(config)


def _compare(config: ModelConfig, artifact: Pipeline, fitted: Pipeline, rows_of: str, rows: pd.DataFrame) -> PredictionDifference:
    import numpy as np

    features = features_of(rows, config.feature_names)
    with one_thread():
        then, now = (np.ascontiguousarray(predict(pipeline, config, features), dtype=float) for pipeline in (artifact, fitted))
    if then.shape != now.shape:  # one knows other classes than the other
        return PredictionDifference(rows_of, len(rows), len(rows), 1.0)
    differing = (then.view(np.int64) != now.view(np.int64)).reshape(len(rows), -1).any(axis=1)
    return PredictionDifference(rows_of, len(rows), int(differing.sum()), float(np.abs(then - now).max()) if differing.any() else 0.0)


def _frame_difference(kept: pd.DataFrame, rebuilt: pd.DataFrame) -> str:
    """How the frame that was computed anew differs from the kept one, without quoting a value; '' when it does not."""
    if frame_digest(kept) == frame_digest(rebuilt):
        return ""
    if list(kept.columns) != list(rebuilt.columns):
        return f"the features computed anew have the columns {', '.join(rebuilt.columns)}; kept were {', '.join(kept.columns)}"
    if len(kept) != len(rebuilt):
        days = sorted(set(kept[PARTITION]) ^ set(rebuilt[PARTITION]))[:LONGEST_LIST]
        there = f"; days in one of the two alone: {', '.join(days)}" if days else ""
        return f"the features computed anew are of {len(rebuilt)} rows; kept were {len(kept)}{there}"
    names = [name for name in kept.columns if frame_digest(kept[[name]]) != frame_digest(rebuilt[[name]])]
    told = [f"{name} ({_rows_apart(kept[name], rebuilt[name])} rows)" for name in names]
    return f"the features computed anew differ from those kept in {', '.join(told) or 'the types of columns'}"


def _rows_apart(kept: pd.Series, rebuilt: pd.Series) -> int:
    return int((~((kept == rebuilt).fillna(False) | (kept.isna() & rebuilt.isna()))).sum())
