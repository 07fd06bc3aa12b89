"""The gate's evidence: the holdout and each version's predictions on it, computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import error_text
from include.evergreen.features.class_columns import class_frame
from include.evergreen.features.columns import PARTITION, TARGET, feature_column, features_of
from include.evergreen.foundation.errors import ConfigError, DataError, TransientError
from include.evergreen.foundation.grain import Partition
from include.evergreen.gates.bootstrap import MIN_UNITS, Units
from include.evergreen.gates.comparators import Comparator, find_comparators
from include.evergreen.gates.holdout import column_of_rows, own_features
from include.evergreen.gates.scored import NoComparisonError, Rival, Scored
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.registry.versions import ChangedRecordError
from include.evergreen.serving.inference import classes_of, one_thread
from include.evergreen.state import mlflow_store
from include.evergreen.training.candidate import Candidate, find_candidate
from include.evergreen.training.fit_job import split_by_time
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import predict
from include.evergreen.training.recipes import Recipe, recipe_of_version
from include.evergreen.training.snapshot import Snapshot, find_snapshot

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(eq=False)
class Evidence:
    """``model`` is what the candidate was trained as; ``champion`` is there when it can be compared with the candidate.

    ``comparators`` are there, by metric, when there is a champion. ``is_champion_broken`` says that there is one that should be
    compared, and that cannot be computed.
    """

    catalog: Catalog
    model: ModelConfig
    judged: Candidate
    snapshot: Snapshot
    pipeline: Pipeline
    fit_rows: pd.DataFrame
    holdout: pd.DataFrame
    candidate: Scored
    champion: Rival | None
    why_no_champion: str
    comparators: dict[str, Comparator] = field(default_factory=dict)
    is_champion_broken: bool = False

    @property
    def features(self) -> pd.DataFrame:
        """The holdout's features, as the candidate takes them."""
        return features_of(self.holdout, self.model.feature_names)

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Let the candidate predict for some rows. Raises `DataError` when one of the predictions is no number.

        :param features: rows with the declared features; other columns are left aside
        :returns: as `serving.inference.predicted`
        """
        return _predictions(self.model, self.pipeline, features, f"the candidate {self.judged.run_key[:12]}")

    def chances(self, features: pd.DataFrame) -> np.ndarray | pd.DataFrame:
        """Let the candidate predict for some rows, as a team's own checks read it. Raises as `predict`.

        :param features: rows with the declared features; other columns are left aside
        :returns: one float a row, as `predict`; of several classes a frame of their probabilities, with a column for each class
        """
        predicted = self.predict(features)
        if self.model.task != "multiclass":
            return predicted
        classes = classes_of(self.pipeline)
        return class_frame(predicted, classes, classes).set_index(features.index)

    def column(self, name: str, *, allow_personal: bool = False) -> pd.Series:
        """A feature, or a column of the rows' dataset as each day knew it, for the rows of the holdout.

        Raises `DataError` when there is no such column, or rows are gone.

        :param name: the feature or the column
        :param allow_personal: it may be personal; whoever asks lets no value of few rows stand in a decision
        :returns: its values, with the index of the holdout
        :raises ConfigError: when it is personal, as its values must not stand in a decision
        """
        feature = next((feature for feature in self.model.features if feature.name == name), None)
        is_personal = name in self.catalog.dataset(self.model.rows).personal_columns or (feature and feature.personal)
        if is_personal and not allow_personal:
            raise ConfigError(
                f"{self.model.name}: {name!r} is personal, and slices are named by its values. Choose another column, or set "
                f"allow_personal: true."
            )
        if feature:
            return self.holdout[feature_column(name)]
        return column_of_rows(self.catalog, self.model, self.snapshot, self.holdout, name)


def gather(catalog: Catalog, model: ModelConfig, judged: Candidate, champion: RegisteredVersion | None) -> Evidence:
    """Load the artifacts and score the holdout with each: of what is stored, not of what training said.

    :param catalog: what is declared now
    :param model: the model as it is declared now, whose gate says what is resampled
    :param judged: the candidate to judge
    :param champion: the version to compare it with, if there is one
    :returns: the evidence, without the champion's predictions where they could not be compared
    :raises DataError: when the holdout has no rows; and also when an artifact was changed, or predictions are no numbers
    :raises ChangedRecordError: when a record of the champion was changed in the database
    :raises TransientError: when a store is out of reach for now
    :raises MemoryError: when there is not enough memory
    """
    snapshot = find_snapshot(judged.snapshot_digest)
    recipe = recipe_of_version(catalog, model, judged)
    config = recipe.config(model)
    fit_rows, holdout = split_by_time(config, snapshot.frame(), judged.holdout_first)
    if not len(holdout):
        raise DataError(f"{model.name} as of {judged.as_of}: the holdout has no rows, so there is nothing to judge by. Train again.")
    pipeline = mlflow_store.load_model(judged.artifact_uri, judged.artifact_digest, config.train.trusted_types)
    days = holdout[PARTITION].to_numpy().astype(str)
    units = Units.days(days) if model.gate.resample == "days" else Units.rows(len(holdout))
    predicted = _predictions(config, pipeline, features_of(holdout, config.feature_names), f"the candidate {judged.run_key[:12]}")
    measures = Measures.trained(config, judged.facts, recipe.modules).among(holdout[TARGET])
    labels = measures.labels(holdout[TARGET])
    scored = Scored(measures, labels, predicted, units, model.gate.resamples, seed=int(judged.run_key[:12], 16))
    others, why_none, is_broken, comparators = None, "there is no champion yet", False, {}
    if champion:
        compare = partial(_rival, catalog, model, scored=scored, holdout=holdout, snapshot=snapshot, recipe=recipe)
        try:
            others = compare(champion)
        except NoComparisonError as error:
            why_none = f"there is no champion {error}"
        except (TransientError, MemoryError, ChangedRecordError):
            raise
        except Exception as error:  # else nothing could ever take the place of a champion that cannot be computed
            cause = error_text(catalog, model, error)
            is_broken, why_none = True, f"there is no champion that can be computed (version {champion.version}: {cause})"
        comparators = find_comparators(model.gate, champion, compare)
    return Evidence(catalog, config, judged, snapshot, pipeline, fit_rows, holdout, scored, others, why_none, comparators, is_broken)


def first_unfitted_day(version: RegisteredVersion) -> Partition:
    """Find the day from which on a version was fitted on nothing, so that it can be judged from there.

    :param version: the registered version, whose candidate must be recorded
    :returns: the first day of its holdout; its as_of where its training, by an older release, did not record that
    """
    first = find_candidate(version.run_key).facts.get("holdout_first")
    return Partition(first) if first else version.as_of


def _rival(
    catalog: Catalog,
    model: ModelConfig,
    version: RegisteredVersion,
    scored: Scored,
    holdout: pd.DataFrame,
    snapshot: Snapshot,
    recipe: Recipe,
) -> Rival:
    """The predictions of ``version`` on the rows of ``scored``, by its own recipe; ``recipe`` is the candidate's.

    :raises NoComparisonError: when it has another target, or was fitted on too many of the days
    """
    theirs = recipe_of_version(catalog, model, version)
    config = theirs.config(model)
    if config.asks_the_same != model.asks_the_same:
        raise NoComparisonError(f"with this target (version {version.version} has another)")
    days = holdout[PARTITION].to_numpy().astype(str)
    first = str(first_unfitted_day(version))
    rows = days >= first
    whole, left = len(np.unique(days)), len(np.unique(days[rows]))
    if left < (needed := min(MIN_UNITS, whole)):
        raise NoComparisonError(
            f"that was not fitted on the holdout (version {version.version} was fitted on days before {first}, which leaves {left} of its "
            f"{whole} days; {needed} are needed)"
        )
    same = theirs.features_digest == recipe.features_digest
    own = features_of(holdout, config.feature_names) if same else own_features(catalog, model, theirs, snapshot, holdout)
    pipeline = mlflow_store.load_model(version.artifact_uri, version.artifact_digest, config.train.trusted_types)
    predicted = _predictions(config, pipeline, own, f"version {version.version}")
    measures = Measures.trained(config, find_candidate(version.run_key).facts)
    numbered = scored.measures.as_other(measures).numbered(predicted, measures.classes)
    return Rival(version.version, scored.predicting(numbered, as_other=measures), rows, None if rows.all() else first)


def _predictions(model: ModelConfig, pipeline: Pipeline, features: pd.DataFrame, who: str) -> np.ndarray:
    with one_thread():
        predicted = predict(pipeline, model, features[model.feature_names])
    if wrong := int((~np.isfinite(predicted)).reshape(len(predicted), -1).any(axis=1).sum()):
        raise DataError(
            f"{model.name}: {wrong} of the {len(predicted)} predictions of {who} on the holdout are no numbers, so it is not judged."
        )
    return predicted
