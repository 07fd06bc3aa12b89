"""Problems of declared figures: in rules, monitoring and the gate."""

from __future__ import annotations

from collections.abc import Iterator

from include.evergreen.config.datasets import DatasetConfig
from include.evergreen.config.document import Key
from include.evergreen.config.gate import AbsoluteCriterion, BaselineCriterion, ChampionCriterion, Criterion, SlicesCriterion
from include.evergreen.config.metrics import (
    ESTIMATED,
    LABEL_SHARE,
    METRICS,
    PERFORMANCE,
    Metric,
    Sliced,
    metrics_of,
    missing_metric,
    observation_names,
    observation_range,
    parse_sliced,
)
from include.evergreen.config.models import ModelConfig
from include.evergreen.config.monitoring import Rule
from include.evergreen.config.wording import listed, unknown


def rule_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    """Find rules that watch what is never observed, or a bound that is never passed.

    :param model: as it is declared
    :yields: the key, and what is wrong with it
    """
    for index, rule in enumerate(model.retrain.rules):
        if rule.metric == LABEL_SHARE:
            text = f"{LABEL_SHARE} says how many labels have come, and no training brings more; choose another metric"
            yield ("retrain", "rules", index, "metric"), text
            continue
        if sliced := parse_sliced(model, rule.metric):
            if problem := _slice_problem(model, sliced):
                yield ("retrain", "rules", index, "metric"), problem
                continue
        elif rule.metric not in (names := observation_names(model)):
            lacks = rule.metric.startswith("performance.") and rule.metric.partition(".")[2] in METRICS[model.task]
            text = unknown(f"observation of a {model.task}", rule.metric, names)
            yield ("retrain", "rules", index, "metric"), missing_metric(model, rule.metric.partition(".")[2]) if lacks else text
            continue
        yield from ((("retrain", "rules", index, key), text) for key, text in _rule_bound_problems(model, rule))


def _rule_bound_problems(model: ModelConfig, rule: Rule) -> Iterator[tuple[str, str]]:
    """A bound that can never be passed, or that nothing is known to make it of."""
    lowest, highest = observation_range(model, rule.metric)
    key, bound = ("below" if rule.above is None else "above"), rule.declared_bound
    if rule.relative_to == "promotion":
        group, _, name = rule.metric.partition(".")
        metric = metrics_of(model).get(name) if f"{group}." in (PERFORMANCE, ESTIMATED) else None
        if metric is None:
            yield "relative_to", f"{rule.metric} has no figure at promotion; choose a metric of performance or estimated, or {key}: learned"
        elif metric.better == "zero":
            yield "relative_to", f"{name} is about 0, of which a share says nothing; give {key} as a figure, or {key}: learned"
        elif bound is not None and bound <= 0:
            yield key, f"{bound:g} is a share of the figure at promotion; give one above 0, such as {0.95 if key == 'below' else 1.2:g}"
        return
    if bound is not None and key == "above" and bound >= highest:
        yield key, f"{bound:g} can never be passed: {rule.metric} is at most {highest:g}"
    if bound is not None and key == "below" and bound <= lowest:
        yield key, f"{bound:g} can never be passed: {rule.metric} is at least {lowest:g}"


def _slice_problem(model: ModelConfig, sliced: Sliced) -> str:
    """Why a rule about one slice would never see a figure; empty when it may."""
    if sliced.metric not in metrics_of(model):
        return missing_metric(model, sliced.metric)
    if sliced.feature not in model.monitor.slices:
        wanted = ", ".join([*model.monitor.slices, sliced.feature])
        return f"performance is not observed by {sliced.feature}; add it: monitor.slices: [{wanted}]"
    return ""


def monitor_problems(model: ModelConfig) -> Iterator[tuple[Key, str]]:
    """Find slices by which performance cannot be observed.

    :param model: as it is declared
    :yields: the key, and what is wrong with it
    """
    features = {feature.name: feature for feature in model.features}
    categorical = [feature.name for feature in model.features if feature.kind == "categorical" and not feature.personal]
    for index, name in enumerate(model.monitor.slices):
        key: Key = ("monitor", "slices", index)
        if name not in features:
            yield key, unknown("feature", name, categorical)
        elif features[name].personal:
            yield key, f"{name} is personal, and its values would be names of observations; allowed: {listed(categorical)}"
        elif name not in categorical:
            yield key, f"{name} is numeric, and no two rows may have the same value; allowed: {listed(categorical)}"


def gate_problems(model: ModelConfig, datasets: dict[str, DatasetConfig]) -> Iterator[tuple[Key, str]]:
    """Find criteria that could never be evaluated, or never be failed.

    :param model: as it is declared
    :param datasets: those whose own files are sound
    :yields: the key, and what is wrong with it
    """
    for index, criterion in enumerate(model.gate.criteria):
        key: Key = ("gate", "criteria", index)
        metric = getattr(criterion, "metric", None)
        if metric is not None and metric not in metrics_of(model):
            yield (*key, "metric"), missing_metric(model, metric)
        elif metric is not None:
            for name, text in _bound_problems(criterion, metrics_of(model)[metric]):
                yield (*key, name), text
        if isinstance(criterion, SlicesCriterion):
            for name, text in _slices_problems(criterion, model, datasets):
                yield (*key, name), text


def _bound_problems(criterion: Criterion, metric: Metric) -> Iterator[tuple[str, str]]:
    """A bound that no candidate could meet would reject them all, and each rejection would look like its own fault."""
    (lowest, highest), name = metric.range, metric.judged_name
    if metric.better == "zero":
        lowest = 0
    if isinstance(criterion, AbsoluteCriterion | SlicesCriterion):
        if criterion.at_least is not None and metric.better == "zero":
            yield "at_least", f"{metric.name} is best at 0, and this asks for a large one; give at_most, which bounds its size"
        elif criterion.at_least is not None and criterion.at_least > highest:
            yield "at_least", f"{criterion.at_least:g} can never be met: {name} is at most {highest:g}"
        if criterion.at_most is not None and criterion.at_most < lowest:
            yield "at_most", f"{criterion.at_most:g} can never be met: {name} is at least {lowest:g}"
    must_be_better = isinstance(criterion, BaselineCriterion) or (isinstance(criterion, ChampionCriterion) and criterion.must == "better")
    if isinstance(criterion, BaselineCriterion) and not metric.baseline:
        best = {"recall": "calling every row positive has a recall of 1", "bias": "the mean of what was fitted on has next to none"}
        told = best.get(metric.name, "calling every row so has a recall of 1")
        yield "metric", f"{metric.name} is no measure against a constant: {told}; choose another metric"
    elif isinstance(criterion, BaselineCriterion) and metric.name in ("auc", "auc_ovr") and criterion.margin >= 0.5:
        yield "margin", f"{criterion.margin:g} can never be met: the {metric.name} of a constant is 0.5, and the best is 1"
    elif must_be_better and (margin := getattr(criterion, "margin", 0.0)) >= highest - lowest:
        yield "margin", f"{margin:g} can never be met: {name} is from {lowest:g} to {highest:g}"


def _slices_problems(criterion: SlicesCriterion, model: ModelConfig, datasets: dict[str, DatasetConfig]) -> Iterator[tuple[str, str]]:
    """Slices are named by their values, which decisions, cards and the ledger keep for ever: so not by a person's without a word."""
    if criterion.judge in ("disparate_impact", "equal_opportunity") and model.task != "classification":
        text = f"{criterion.judge} is for classification, and this is a {model.task}; allowed: worst, difference"
        yield "judge", f"{text}, such as of metric: recall:CLASS" if model.task == "multiclass" else text
    features = {feature.name: feature.personal for feature in model.features}
    columns = {column.name: column.personal for column in datasets[model.rows].columns} if model.rows in datasets else {}
    is_personal = features.get(criterion.by) or columns.get(criterion.by)
    if is_personal and model.rows in datasets and datasets[model.rows].keys == (criterion.by,):
        text = f"{criterion.by!r} is personal and the key of {model.rows}, so its values name persons and not groups; choose another column"
        yield "by", text
    elif is_personal and not criterion.allow_personal:
        text = (
            f"{criterion.by!r} is personal, and the names of slices are kept for ever; choose a column that is not, or set "
            f"allow_personal: true, which shows no group of fewer than smallest_group rows"
        )
        yield "by", text
    elif criterion.allow_personal and columns and not is_personal:
        yield "allow_personal", f"{criterion.by!r} is not personal; remove it, or set personal: true where the column is declared"
    elif columns and criterion.by not in {**features, **columns}:
        allowed = [name for name, personal in {**columns, **features}.items() if not personal]
        yield "by", unknown(f"feature or column of {model.rows}", criterion.by, allowed)
