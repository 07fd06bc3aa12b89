"""The gate's evidence: the holdout and each version's predictions on it, computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import TARGET, error_text
from include.evergreen.features.reader import PARTITION_COLUMN
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.gates.bootstrap import Units, replicates, statistic
from include.evergreen.gates.holdout import column_of_rows, own_features
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.registry.versions import ChangedRecordError
from include.evergreen.serving.inference import one_thread
from include.evergreen.state import mlflow_store
from include.evergreen.training.candidate import Candidate
from include.evergreen.training.metrics import measure, measure_one
from include.evergreen.training.pipeline import predict
from include.evergreen.training.recipes import Recipe, recipe_of_version
from include.evergreen.training.snapshot import Snapshot, find_snapshot
from include.evergreen.training.train import split_by_time

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(eq=False)
class Scored:
    """One version's predictions on some rows. ``units`` say what is resampled, ``seed`` how: with the same of both, in pairs."""

    model: ModelConfig
    labels: np.ndarray
    predicted: np.ndarray
    units: Units
    resamples: int
    seed: int
    _drawn: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Every metric of the model's task that the rows define."""
        return measure(self.model, self.labels, self.predicted)

    def value(self, metric: str) -> float | None:
        """One metric alone: of many slices, all of them would take longer than everything else."""
        return measure_one(metric, self.labels, self.predicted)

    def replicates(self, metric: str) -> np.ndarray:
        """The metric on each resample."""
        if metric not in self._drawn:
            measured = statistic(metric, self.units, self.labels, self.predicted)
            self._drawn[metric] = replicates([measured], self.units, resamples=self.resamples, seed=self.seed)[0]
        return self._drawn[metric]

    def among(self, chosen: np.ndarray) -> Scored:
        """The same on the ``chosen`` rows alone (a mask)."""
        return Scored(self.model, self.labels[chosen], self.predicted[chosen], self.units.among(chosen), self.resamples, self.seed)

    def predicting(self, predicted: np.ndarray) -> Scored:
        """Other predictions, one float a row, on the same rows: resampled as these, and so in pairs."""
        return Scored(self.model, self.labels, predicted, self.units, self.resamples, self.seed)


@dataclass(eq=False)
class Evidence:
    """``model`` is what the candidate was trained as, ``frame`` the snapshot's, ``champion`` its predictions on the same rows, if any.

    ``is_champion_broken`` says that there is a champion that should be compared, and that cannot be computed.
    """

    catalog: Catalog
    model: ModelConfig
    judged: Candidate
    snapshot: Snapshot
    pipeline: Pipeline
    fit_rows: pd.DataFrame
    holdout: pd.DataFrame
    candidate: Scored
    champion: Scored | None
    why_no_champion: str
    is_champion_broken: bool = False

    @property
    def features(self) -> pd.DataFrame:
        """The holdout's features, as the candidate takes them."""
        return self.holdout[self.model.feature_names]

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """What the candidate predicts for some rows, one float each. Raises `DataError` when one is no number."""
        return _predictions(self.model, self.pipeline, features, f"the candidate {self.judged.run_key[:12]}")

    def column(self, name: str) -> pd.Series:
        """A feature, or a column of the rows' dataset as each day knew it, for the rows of the holdout.

        Raises `DataError` when there is no such column, or rows are gone.

        :param name: the feature or the column
        :returns: its values, with the index of the holdout
        :raises ConfigError: when it is personal, as its values must not stand in a decision
        """
        feature = next((feature for feature in self.model.features if feature.name == name), None)
        if name in self.catalog.dataset(self.model.rows).personal_columns or (feature and feature.personal):
            raise ConfigError(f"{self.model.name}: {name!r} is personal, and slices are named by its values. Choose another column.")
        if feature:
            return self.holdout[name]
        return column_of_rows(self.catalog, self.model, self.snapshot.as_of, self.holdout, name)


def gather(catalog: Catalog, model: ModelConfig, judged: Candidate, champion: RegisteredVersion | None) -> Evidence:
    """Load the artifacts and score the holdout with each: of what is stored, not of what training said.

    :param catalog: what is declared now
    :param model: the model as it is declared now, whose gate says what is resampled
    :param judged: the candidate
    :param champion: the version to compare it with, if there is one
    :returns: the evidence, without the champion's predictions where they could not be compared
    :raises DataError: when the holdout has no rows; and also when an artifact was changed, or predictions are no numbers
    :raises Exception: what of the champion is worth a retry, or that its record was changed
    """
    snapshot = find_snapshot(judged.snapshot_digest)
    recipe = recipe_of_version(catalog, model, judged)
    config = recipe.config(model)
    fit_rows, holdout = split_by_time(config, snapshot.frame())
    if not len(holdout):
        raise DataError(f"{model.name} as of {judged.as_of}: the holdout has no rows, so there is nothing to judge by. Train again.")
    pipeline = mlflow_store.load_model(judged.artifact_uri, judged.artifact_digest, config.train.trusted_types)
    days = holdout[PARTITION_COLUMN].to_numpy().astype(str)
    units = Units.days(days) if model.gate.resample == "days" else Units.rows(len(holdout))
    predicted = _predictions(config, pipeline, holdout, f"the candidate {judged.run_key[:12]}")
    labels = holdout[TARGET].to_numpy(dtype="float64")
    scored = Scored(config, labels, predicted, units, model.gate.resamples, seed=int(judged.run_key[:12], 16))
    others, why_none, is_broken = None, "there is no champion yet", False
    if champion:
        try:
            others, why_none = _champion_on(catalog, model, champion, judged, recipe, snapshot, holdout, scored)
        except Exception as error:  # else nothing could ever take the place of a champion that cannot score
            if isinstance(error, TransientError | MemoryError | ChangedRecordError):
                raise
            cause = error_text(catalog, model, error)
            is_broken, why_none = True, f"there is no champion that can be computed (version {champion.version}: {cause})"
    return Evidence(catalog, config, judged, snapshot, pipeline, fit_rows, holdout, scored, others, why_none, is_broken)


def _champion_on(
    catalog: Catalog,
    model: ModelConfig,
    champion: RegisteredVersion,
    judged: Candidate,
    recipe: Recipe,
    snapshot: Snapshot,
    holdout: pd.DataFrame,
    scored: Scored,
) -> tuple[Scored | None, str]:
    """The champion's predictions on the rows of ``scored``, by its own recipe; or why it is no measure of the candidate."""
    theirs = recipe_of_version(catalog, model, champion)
    config = theirs.config(model)
    if (config.target, config.rows) != (model.target, model.rows):
        return None, f"there is no champion with this target (version {champion.version} has another)"
    if champion.as_of > judged.as_of:  # it may have been fitted on this very holdout
        return None, f"there is no champion trained on data as old (it is as of {champion.as_of})"
    same = theirs.features_digest == recipe.features_digest
    own = holdout if same else own_features(catalog, model, theirs, snapshot.as_of, holdout)
    pipeline = mlflow_store.load_model(champion.artifact_uri, champion.artifact_digest, config.train.trusted_types)
    return scored.predicting(_predictions(config, pipeline, own, f"version {champion.version}")), ""


def _predictions(model: ModelConfig, pipeline: Pipeline, rows: pd.DataFrame, who: str) -> np.ndarray:
    with one_thread():
        predicted = predict(pipeline, model, rows[model.feature_names])
    if wrong := int((~np.isfinite(predicted)).sum()):
        raise DataError(
            f"{model.name}: {wrong} of the {len(predicted)} predictions of {who} on the holdout are no numbers, so it is not judged."
        )
    return predicted
