"""The verdict on a monitored window: whether its features and predictions drifted from what their version was trained on."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from include.evergreen.config import ModelConfig
from include.evergreen.config.metrics import MULTIVARIATE, drift_name
from include.evergreen.features.columns import PARTITION, PREDICTION, feature_column

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pyarrow as pa

    from include.evergreen.monitoring.profiles import Kind, Profile
    from include.evergreen.monitoring.verdicts import ColumnVerdict, MultivariateVerdict, Verdict


def judge_drift(model: ModelConfig, reference: Profile, current: Profile) -> Verdict:
    """Judge a window by the model's limits, each column and all together.

    :param model: whose limits they are
    :param reference: from `reference_profile`
    :param current: of the partitions of the window, counted on that reference
    :returns: the verdict, by column
    """
    from include.evergreen.monitoring.verdicts import LEAST_ROWS, Limits, judge, judge_together

    limits, together = model.monitor, None
    if limits.multivariate_threshold is not None and current.rows >= LEAST_ROWS:
        together = judge_together(reference, current, limits.multivariate_threshold)
    return replace(judge(reference, current, Limits(limits.numeric_threshold, limits.categorical_threshold)), together=together)


def reference_profile(rows: pa.Table, kinds: Mapping[str, Kind]) -> Profile:
    """Profile what a version was trained on.

    :param rows: the sample of what the version was trained on and, in ``partition``, the day of each row
    :param kinds: the columns to count, in order, and of what kind each is
    :returns: the profile, on whose bins and cells partitions are counted
    """
    from include.evergreen.monitoring.profiles import profile_reference

    partitions = rows[PARTITION].to_pylist() if PARTITION in rows.column_names else [""] * len(rows)
    return profile_reference(rows, [str(partition) for partition in partitions], kinds)


def compared_kinds(model: ModelConfig) -> dict[str, Kind]:
    """Say which columns of stored rows are compared, and of what kind each is.

    :param model: whose declared features they are
    :returns: ``prediction``, which people look for first, and the features that are not personal, as declared
    """
    of_prediction: Kind = "categorical" if model.task == "multiclass" else "numeric"
    return {PREDICTION: of_prediction, **{feature_column(each.name): each.kind for each in model.features if not each.personal}}


def drift_figures(model: ModelConfig, verdict: Verdict) -> list[tuple[str, float]]:
    """Take what is observed from a verdict.

    :param model: whose features it is about
    :param verdict: from `judge_drift`
    :returns: names of observations with their values: the share of features that drifted, how well the window is told by all columns
        together (.5 where chance explains it), and the effect on the prediction and on each feature; none of what nothing is said on
    """
    names = {feature_column(feature.name): drift_name(feature.name) for feature in model.features if not feature.personal}
    share, prediction = verdict.share(names), verdict.columns[PREDICTION].effect
    figures = [("drift.share", share), (MULTIVARIATE, _beyond_chance(verdict.together)), ("prediction_drift.score", prediction)]
    figures += [(name, verdict.columns[column].effect) for column, name in names.items()]
    return [(name, value) for name, value in figures if value is not None]


def in_words(verdict: Verdict) -> str:
    """Tell people a verdict in one sentence.

    :param verdict: from `judge_drift`
    :returns: which columns drifted, ranked, with effect and p-value, and whether all together did; or that none did, or why nothing is said
    """
    if not any(column.effect is not None for column in verdict.columns.values()):
        return f"nothing is said on drift: not enough rows ({verdict.rows})"
    alone = "drifted: " + ", ".join(f"{column.column} {_effect(column)}" for column in verdict.drifted)
    if len(verdict.drifted) > 1:
        alone += f", ranked by {verdict.ranking}"
    together = verdict.together
    if together is None or together.state != "drifted":
        return alone if verdict.drifted else "no column drifted"
    told = f"the columns together drifted: AUC {together.auc:.3f} (p {together.p_value:.1g}), most by {', '.join(together.telling)}"
    return f"{alone}; {told}" if verdict.drifted else f"no column drifted alone; {told}"


def as_detail(verdict: Verdict, target: Verdict | None = None) -> dict[str, Any]:
    """Write a verdict down, to be kept beside the observations.

    :param verdict: from `judge_drift`
    :param target: from `judge_target`
    :returns: in plain types: ``drift``, by column: the state, and where anything is said, the effect, its p-value and what it is of;
        ``multivariate``, likewise of all columns together, where it was asked for; and ``ranked_by``, in which order people are told
    """
    columns = [*verdict.columns.values(), *(target.columns.values() if target else ())]
    together = {"multivariate": {name: value for name, value in asdict(verdict.together).items() if value}} if verdict.together else {}
    return {
        "drift": {
            column.column: {"state": column.state}
            | ({"effect": column.effect, "p_value": column.p_value, "aspect": column.aspect} if column.effect is not None else {})
            for column in columns
        },
        "ranked_by": verdict.ranking,
        **together,
    }


def _beyond_chance(together: MultivariateVerdict | None) -> float | None:
    if together is None or together.auc is None:
        return None
    return together.auc if together.state == "drifted" else 0.5


def _effect(column: ColumnVerdict) -> str:
    of = " of missing values" if column.aspect == "missing" else ""
    sure = f"p {column.p_value:.1g}" if column.p_value else "p below 1e-300"
    return f"{column.effect:.3g}{of} ({sure})"
