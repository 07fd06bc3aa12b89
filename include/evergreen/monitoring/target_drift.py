"""Drift of the target: whether the labels of a window, once they are mature, moved from those that its version was trained on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from include.evergreen.config import Catalog
from include.evergreen.config.metrics import TARGET_DRIFT
from include.evergreen.features.columns import TARGET, key_columns, keys_of
from include.evergreen.features.labels import join_labels
from include.evergreen.monitoring.figures import Figure
from include.evergreen.monitoring.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from include.evergreen.monitoring.profiles import Profile
    from include.evergreen.monitoring.verdicts import Verdict
    from include.evergreen.scoring.predictions import PredictionSet


def judge_target(catalog: Catalog, window: Window) -> Verdict | None:
    """Judge the labels of the days whose performance is measured together, as the prediction is judged; a class is a category.

    Passes on `DataError` where rows must be read, and cannot be.

    :param catalog: what is declared now
    :param window: what is monitored
    :returns: the verdict on the one column ``target``; None while the labels of the window's last day are not mature, or where the
        reference has no labels
    """
    from include.evergreen.monitoring.profiles import profile_partition
    from include.evergreen.monitoring.verdicts import Limits, judge

    if not window.labels[window.scored.partition].is_mature:
        return None
    mature = [day for day in window.labelled_days if window.labels[day.partition].is_mature]
    profiles = window.target_profiles
    if profiles.reference.columns[TARGET].lost.sum() == profiles.reference.rows:
        return None

    def made(day: PredictionSet) -> Profile:
        return profile_partition(profiles.reference, str(day.partition), _labels(catalog, window, day))

    first, *others = (profiles.day(day, partial(made, day), window.labels[day.partition].digest or "") for day in mature)
    limits = window.model.monitor
    return judge(profiles.reference, first.merge(*others), Limits(limits.numeric_threshold, limits.categorical_threshold))


def _labels(catalog: Catalog, window: Window, day: PredictionSet) -> pa.Table:
    """The labels that are known, of the rows that were scored."""
    import pyarrow as pa

    names = catalog.dataset(window.model.rows).keys
    keys = keys_of(day.frame(key_columns(names)), names)
    labels = join_labels(catalog, window.model, keys, window.labels[day.partition], window.cache)
    known = labels.dropna()
    return pa.table({TARGET: pa.array(known) if window.model.task == "multiclass" else pa.array(known.to_numpy(dtype="float64"))})


def target_figures(verdict: Verdict | None) -> list[Figure]:
    """Take what is observed from a verdict.

    :param verdict: from `judge_target`
    :returns: the figure, over how many labels are known; empty where nothing is said
    """
    effect = verdict.columns[TARGET].effect if verdict else None
    return [Figure(TARGET_DRIFT, effect, verdict.rows)] if verdict and effect is not None else []


def target_in_words(verdict: Verdict | None) -> str:
    """Tell people when the target drifted.

    :param verdict: from `judge_target`
    :returns: empty when it did not, or nothing is said
    """
    if not verdict or not verdict.drifted:
        return ""
    column = verdict.columns[TARGET]
    return f"the target drifted: {column.effect:.3g} (p {column.p_value:.1g})"
