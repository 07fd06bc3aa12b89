"""The verdict on a monitored window: whether its features and predictions drifted from what their version was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.config.metrics import drift_name
from include.evergreen.features.columns import PARTITION, PREDICTION, feature_column

if TYPE_CHECKING:
    from typing import Any

    import pyarrow as pa

    from include.evergreen.monitoring.profiles import Profile
    from include.evergreen.monitoring.verdicts import ColumnVerdict, Verdict


def judge_drift(model: ModelConfig, reference: Profile, current: Profile) -> Verdict:
    """Judge a window by the model's limits.

    :param model: whose limits they are
    :param reference: from `reference_profile`
    :param current: of the partitions of the window, counted on that reference
    :returns: the verdict, by column
    """
    from include.evergreen.monitoring.verdicts import Limits, judge

    return judge(reference, current, Limits(numeric=model.monitor.numeric_threshold, categorical=model.monitor.categorical_threshold))


def reference_profile(model: ModelConfig, rows: pa.Table) -> Profile:
    """Profile what a version was trained on.

    :param model: whose declared features are compared, but for personal ones, and ``prediction``
    :param rows: the sample of what the version was trained on, with its predictions and, in ``partition``, the day of each row
    :returns: the profile, on whose bins and cells partitions are counted
    """
    from include.evergreen.monitoring.profiles import profile_reference

    partitions = rows[PARTITION].to_pylist() if PARTITION in rows.column_names else [""] * len(rows)
    return profile_reference(rows, [str(partition) for partition in partitions], compared_kinds(model))


def compared_kinds(model: ModelConfig) -> dict[str, Any]:
    """Say which columns of stored rows are compared, and of what kind each is.

    :param model: whose declared features they are
    :returns: ``prediction``, which people look for first, and the features that are not personal, as declared
    """
    return {PREDICTION: "numeric", **{feature_column(each.name): each.kind for each in model.features if not each.personal}}


def drift_figures(model: ModelConfig, verdict: Verdict) -> list[tuple[str, float]]:
    """Take what is observed from a verdict.

    :param model: whose features it is about
    :param verdict: from `judge_drift`
    :returns: names of observations with their values: the share of features that drifted, and the effect on the prediction and on each
        feature; none of what nothing is said on
    """
    names = {feature_column(feature.name): drift_name(feature.name) for feature in model.features if not feature.personal}
    share, prediction = verdict.share(names), verdict.columns[PREDICTION].effect
    figures = [("drift.share", share), ("prediction_drift.score", prediction)]
    figures += [(name, verdict.columns[column].effect) for column, name in names.items()]
    return [(name, value) for name, value in figures if value is not None]


def in_words(verdict: Verdict) -> str:
    """Tell people a verdict in one sentence.

    :param verdict: from `judge_drift`
    :returns: which columns drifted, the worst first, with effect and p-value; or that none did, or why nothing is said
    """
    if not any(column.effect is not None for column in verdict.columns.values()):
        return f"nothing is said on drift: not enough rows ({verdict.rows})"
    if not verdict.drifted:
        return "no column drifted"
    return "drifted: " + ", ".join(f"{column.column} {_effect(column)}" for column in verdict.drifted)


def as_detail(verdict: Verdict) -> dict[str, dict[str, Any]]:
    """Write a verdict down, to be kept beside the observations.

    :param verdict: from `judge_drift`
    :returns: by column: the state, and where anything is said, the effect, its p-value and what it is of; in plain types
    """
    return {
        column.column: {"state": column.state}
        | ({"effect": column.effect, "p_value": column.p_value, "aspect": column.aspect} if column.effect is not None else {})
        for column in verdict.columns.values()
    }


def _effect(column: ColumnVerdict) -> str:
    of = " of missing values" if column.aspect == "missing" else ""
    sure = f"p {column.p_value:.1g}" if column.p_value else "p below 1e-300"
    return f"{column.effect:.3g}{of} ({sure})"
