"""The gate's criteria, one function for each kind: evidence in, verdict out. `slices` and `behaviour` have their own modules."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from include.evergreen.config.gate import (
    AbsoluteCriterion,
    BaselineCriterion,
    CalibrationCriterion,
    ChampionCriterion,
    SizeCriterion,
    SpeedCriterion,
    StabilityCriterion,
)
from include.evergreen.config.metrics import Metric
from include.evergreen.features.columns import TARGET
from include.evergreen.gates.bootstrap import OfSums, interval, replicates, student_interval, surely_better
from include.evergreen.gates.comparators import Comparator
from include.evergreen.gates.evidence import Evidence
from include.evergreen.gates.scored import Rival, Scored
from include.evergreen.serving.likeliest import decided, likeliest, values
from include.evergreen.state import mlflow_store
from include.evergreen.training.fit_job import fit_chosen
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import Chosen
from include.evergreen.training.train import read_chosen

Verdict = Literal["passed", "failed", "not_applicable", "not_evaluated"]
SHOWN_CONFIDENCE = 0.975  # of each end of an interval that nothing is judged by: 95% in all
MILLISECONDS, MEGABYTE = 1e3, 1e6
SEED = "random_state"  # the parameter of every estimator that has a seed
NO_COMPARATOR = Comparator(0)


@dataclass(frozen=True)
class CriterionResult:
    """The outcome of one criterion; ``message`` is the sentence that people read.

    ``value``, ``interval`` and ``threshold`` are in one unit: the metric's, or of a comparison, the difference of the metric.
    """

    kind: str
    metric: str
    value: float | None
    threshold: float | None
    verdict: Verdict
    message: str
    interval: tuple[float, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """Write the result as a decision keeps it.

        :returns: a JSON document with the fields by name
        """
        return asdict(self)


def judge_absolute(criterion: AbsoluteCriterion, evidence: Evidence) -> CriterionResult:
    """Judge a metric by a fixed threshold; the interval shows its uncertainty, and decides nothing.

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate and its holdout
    :returns: the metric against the threshold; not evaluated where the holdout does not define the metric
    """
    bound = criterion.at_least if criterion.at_least is not None else criterion.at_most
    assert bound is not None
    value = evidence.candidate.value(criterion.metric)
    if value is None:
        return unmeasured(evidence.candidate, criterion.kind, criterion.metric, bound)
    at_least = criterion.at_least is not None
    metric = evidence.candidate.measures.metric(criterion.metric)
    passed = value >= bound if at_least else metric.judged(value) <= bound
    between = metric_interval(evidence.candidate, criterion.metric)
    message = (
        f"{criterion.metric} is {value:.4f}{interval_text(between, 'interval 95%')}; "
        f"{'its size' if metric.better == 'zero' else 'it'} must be {'at least' if at_least else 'at most'} {bound:g}"
    )
    return CriterionResult(criterion.kind, criterion.metric, value, bound, verdict(passed), message, between)


def judge_against_champion(criterion: ChampionCriterion, evidence: Evidence) -> CriterionResult:
    """Judge non-inferiority (or superiority) to the champion: the one-sided bound of the paired difference against the margin.

    Where an earlier champion is surely better than this one, it is compared with that (see `comparators`).

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate and its holdout, and the predictions of the champion and of its comparators where they can be compared
    :returns: candidate minus champion, against the margin with its sign, in the metric's unit; not applicable where there is nothing to
        compare with, not evaluated on a single day or where the rows do not define the metric; the details name the next comparator
    """
    metric = criterion.metric
    comparator = evidence.comparators.get(metric, NO_COMPARATOR) if criterion.must == "not_worse" else NO_COMPARATOR
    carried = {"comparator": comparator.version, "passed_over": list(comparator.passed_over)} if comparator.version else {}
    rival = evidence.champion or comparator.rival
    if rival is None:
        message = f"{evidence.why_no_champion} to compare {metric} with"
        return CriterionResult(criterion.kind, metric, None, None, "not_applicable", message, None, carried)
    whose, told = "the champion's", ""
    if evidence.champion is None:
        whose, told = f"that of version {rival.version}, its comparator,", f"; {evidence.why_no_champion}"
    elif comparator.rival is not None:
        champion_has, comparator_has, is_better, is_worse = _standing(criterion, evidence.champion, comparator.rival)
        told = f"; the comparator, version {comparator.version}, has {comparator_has:.4f}"
        if is_better:
            rival, told = comparator.rival, ""
            whose = f"that of version {rival.version}, an earlier champion that is better than this one ({champion_has:.4f}),"
        carried |= {"comparator_has": comparator_has, "champion_has": champion_has}
        if is_worse:
            carried["comparator"] = evidence.champion.version
    since = f", from {rival.since} on, as it was fitted on days before," if rival.since else ""
    result = compare_versions(criterion, evidence.candidate.among(rival.rows), rival.among(rival.rows), f"{whose} on the same rows{since}")
    details = {**result.details, **({"compared_with": rival.version} | carried if carried else {})}
    return replace(result, message=result.message + told, details=details)


def compare_versions(
    criterion: ChampionCriterion, version: Scored, other: Scored, whose: str, *, is_one_of_many: bool = False
) -> CriterionResult:
    """Judge non-inferiority (or superiority) of one version's predictions to another's, by the bound of the difference.

    :param criterion: says by which metric, margin and confidence
    :param version: the predictions that are judged
    :param other: what they are compared with: of the same rows, and so in pairs, or of other rows of the same days
    :param whose: what the other's figure is called, such as ``the champion's``
    :param is_one_of_many: the confidence is shared out among so many looks that resamples have no such quantile: by Student's interval
    :returns: version minus other, against the margin with its sign, in the metric's unit; not evaluated on a single day or where the rows
        do not define the metric
    """
    margin = criterion.margin if criterion.must == "better" else -criterion.margin
    asked = f"better by more than {criterion.margin:g}" if criterion.must == "better" else f"worse by no more than {criterion.margin:g}"
    return _compared(criterion, version, other, whose, margin, asked, is_one_of_many=is_one_of_many)


def _standing(criterion: ChampionCriterion, champion: Rival, comparator: Rival) -> tuple[float, float, bool, bool]:
    """Champion's and comparator's figure on the same rows, and whether the comparator is surely better, and surely worse."""
    rows = champion.rows & comparator.rows
    ours, theirs = champion.among(rows), comparator.among(rows)
    metric = ours.measures.metric(criterion.metric)
    champion_has, comparator_has = (math.nan if (value := scored.value(metric.name)) is None else value for scored in (ours, theirs))
    gained = metric.sign * (metric.judged(theirs.replicates(metric.name)) - metric.judged(ours.replicates(metric.name)))
    low, high = surely_better(gained, ours.units.count, confidence=criterion.confidence) or (-math.inf, math.inf)
    return champion_has, comparator_has, low > 0, high < 0


def judge_against_baseline(criterion: BaselineCriterion, evidence: Evidence) -> CriterionResult:
    """Judge superiority to the constant that is best for every row.

    That is, of the rows that were fitted on, the share of positive ones for a metric of chances, or of each of several classes; for one of
    decisions, to call all rows positive or none, whichever is better there; for a regression the median, the mean or the declared quantile
    of the target, as `Metric.baseline` says.

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate, its holdout and the rows that it was fitted on
    :returns: candidate minus constant, against the margin with its sign, in the metric's unit; not evaluated on a single day or where
        the rows do not define the metric
    """
    measures = evidence.candidate.measures
    if measures.model.task == "multiclass":
        counts = np.bincount(measures.labels(evidence.fit_rows[TARGET]).astype("int64"), minlength=len(measures.classes))
        shares = counts[: len(measures.classes)] / len(evidence.fit_rows)
        constant = np.repeat(likeliest(shares[None, :]), len(evidence.candidate.labels), axis=0)
        most = int(shares.argmax())
        answer, name = float(shares[most]), f"a constant (the shares of the classes, of which {measures.classes[most]} has the most,"
    else:
        answer, name = _constant(measures, measures.metric(criterion.metric), evidence.fit_rows[TARGET].to_numpy(dtype="float64"))
        constant = np.full(len(evidence.candidate.labels), answer)
    baseline = evidence.candidate.predicting(constant)
    who = f"that of {name} among those fitted on)"
    asked = f"better by more than {criterion.margin:g}"
    result = _compared(criterion, evidence.candidate, baseline, who, criterion.margin, asked)
    return CriterionResult(**{**result.__dict__, "details": {**result.details, "answer": answer}})


def _constant(measures: Measures, metric: Metric, target: np.ndarray) -> tuple[float, str]:
    """The answer that is given for every row, and what it is, up to the words "among those fitted on"."""
    if metric.baseline == "decision":
        labels = [(measures.measure_one(metric.name, target, np.full(len(target), answer)), answer) for answer in (1.0, 0.0)]
        defined = [(metric.sign * value, answer) for value, answer in labels if value is not None]
        answer = max(defined)[1] if defined else 1.0
        return answer, f"calling {'every' if answer else 'no'} row positive (the better of the two"
    if metric.baseline == "quantile":
        quantile = measures.model.metrics.quantile or 0.5
        answer = float(np.quantile(target, quantile))
        return answer, f"a constant {answer:.4f} (the {quantile:g} quantile"
    answer = float(np.median(target)) if metric.baseline == "median" else float(target.mean())
    of_classes = "share of positive rows" if measures.model.task == "classification" else metric.baseline
    return answer, f"a constant {answer:.4f} (the {of_classes}"


def _compared(
    criterion: ChampionCriterion | BaselineCriterion,
    candidate: Scored,
    other: Scored,
    whose: str,
    margin: float,
    asked: str,
    *,
    is_one_of_many: bool = False,
) -> CriterionResult:
    """``margin``: the gain that the one-sided bound must exceed (superiority); negative: the loss that is allowed (non-inferiority)."""
    kind, confidence = criterion.kind, criterion.confidence
    what = candidate.measures.metric(criterion.metric)
    metric, sign = what.judged_name, what.sign
    value, theirs = candidate.value(what.name), other.value(what.name)
    if value is None or theirs is None:
        return unmeasured(candidate, kind, what.name, sign * margin)
    value, theirs = float(what.judged(value)), float(what.judged(theirs))
    if candidate.units.count == 1:
        message = (
            f"{metric} is {value:.4f}, {whose} {theirs:.4f}, which is not judged: one day does not show how days differ. Set "
            f"train.holdout to 5 or more, or gate.resample: rows if the rows of a day are independent"
        )
        return CriterionResult(kind, what.name, value - theirs, sign * margin, "not_evaluated", message)
    drawn = what.judged(candidate.replicates(what.name)) - what.judged(other.replicates(what.name))
    if is_one_of_many:
        between = student_interval(value - theirs, drawn, candidate.units.count, confidence=confidence)
    else:
        judged_by = surely_better if margin >= 0 else interval
        between = judged_by(drawn, candidate.units.count, confidence=confidence)
    if between is None:
        return unmeasured(candidate, kind, what.name, sign * margin)
    gain_at_worst = between[0] if sign > 0 else -between[1]
    passed = gain_at_worst > margin if margin >= 0 else gain_at_worst >= margin
    difference = value - theirs
    message = (
        f"{metric} is {value:.4f}, {whose} {theirs:.4f}: a difference of {difference:+.4f}, with a one-sided "
        f"{confidence:.0%} bound of {sign * gain_at_worst:+.4f} (resampled by {candidate.units.word}); it must be {asked}"
    )
    details = {"candidate": value, "other": theirs}
    return CriterionResult(kind, what.name, difference, sign * margin, verdict(passed), message, between, details)


def judge_calibration(criterion: CalibrationCriterion, evidence: Evidence) -> CriterionResult:
    """Judge the expected calibration error: over bins of equally many rows, the mean of |mean prediction - mean label|.

    It is that of Naeini, Cooper & Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015, for the
    positive class; of a regression, the same difference; of several classes that of how likely the likeliest one is, and of how often it
    is the right one (C. Guo et al., "On Calibration of Modern Neural Networks", 2017).

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate and its holdout
    :returns: the error against the most that is allowed, as a probability, or in the target's unit; the details have each bin that has
        rows: mean prediction and label, interval and rows
    """
    from scipy import stats

    scored = evidence.candidate
    if evidence.model.task == "multiclass":
        is_right = (decided(scored.predicted) == scored.labels).astype("float64")
        scored = replace(scored, labels=is_right, predicted=values(scored.predicted)[:, 0], _drawn={})
    edges = np.unique(np.quantile(scored.predicted, np.linspace(0, 1, criterion.bins + 1)[1:-1]))
    bins = np.searchsorted(edges, scored.predicted, side="right")
    columns: list[np.ndarray] = []
    reliability: list[dict[str, Any]] = []
    for number in range(len(edges) + 1):
        chosen = bins == number
        rows = int(chosen.sum())
        columns.append(np.where(chosen, scored.predicted - scored.labels, 0.0))
        if not rows:
            continue
        labels = scored.labels[chosen]
        observed = float(labels.mean())
        if evidence.model.task != "regression":
            low, high = share_interval(labels)
        else:
            spread = float(labels.std(ddof=1)) / math.sqrt(rows) * float(stats.t.ppf(SHOWN_CONFIDENCE, rows - 1)) if rows > 1 else 0.0
            low, high = observed - spread, observed + spread
        predicted = float(scored.predicted[chosen].mean())
        reliability.append({"predicted": predicted, "observed": observed, "rows": rows, "interval": [low, high]})
    value = sum(point["rows"] * abs(point["predicted"] - point["observed"]) for point in reliability) / len(bins)
    error = OfSums(scored.units, columns, lambda sums: np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1])
    drawn = replicates([error], scored.units, resamples=scored.resamples, seed=scored.seed)[0]
    between = interval(drawn, scored.units.count, confidence=SHOWN_CONFIDENCE)
    metric = "calibration_error"
    message = (
        f"predictions are off by {value:.4f} on average over {len(reliability)} bins{interval_text(between, 'resamples 95%')}; "
        f"at most {criterion.at_most:g} is allowed"
    )
    return CriterionResult(
        criterion.kind, metric, value, criterion.at_most, verdict(value <= criterion.at_most), message, between, {"bins": reliability}
    )


def judge_speed(criterion: SpeedCriterion, evidence: Evidence) -> CriterionResult:
    """Judge how long predictions take: the median of some runs over the holdout, after one that does not count; in one thread, here.

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate and its holdout
    :returns: milliseconds for 1,000 rows, against the most that is allowed; the interval is the quickest and the slowest run
    """
    features, taken = evidence.features, []
    evidence.predict(features)
    for _ in range(criterion.repeats):
        began = time.perf_counter()
        evidence.predict(features)
        taken.append((time.perf_counter() - began) * MILLISECONDS / len(features) * 1000)
    value = float(np.median(taken))
    between = (min(taken), max(taken))
    message = (
        f"1,000 rows take {value:.2f} ms ({between[0]:.2f} to {between[1]:.2f} in {criterion.repeats} runs of {len(features)} rows); "
        f"at most {criterion.at_most:g} ms is allowed"
    )
    metric = "milliseconds_per_1000_rows"
    return CriterionResult(criterion.kind, metric, value, criterion.at_most, verdict(value <= criterion.at_most), message, between)


def judge_size(criterion: SizeCriterion, evidence: Evidence) -> CriterionResult:
    """Judge the artifact's size as it is stored. Raises what `mlflow_store.artifact_bytes` does.

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate, whose stored artifact is measured
    :returns: megabytes (10^6 bytes), against the most that is allowed
    """
    value = mlflow_store.artifact_bytes(evidence.judged.artifact_uri, evidence.judged.artifact_digest) / MEGABYTE
    message = f"the artifact has {value:.3f} MB; at most {criterion.at_most:g} MB is allowed"
    return CriterionResult(criterion.kind, "megabytes", value, criterion.at_most, verdict(value <= criterion.at_most), message)


def judge_stability(criterion: StabilityCriterion, evidence: Evidence) -> CriterionResult:
    """Judge the spread of a metric over fits that differ in the seed alone; the estimator and parameters are those that were chosen.

    A ``random_state`` among these, at any depth, is left open in the other fits.

    :param criterion: the criterion as model.yaml declares it
    :param evidence: the candidate, its holdout and the rows that it was fitted on, which are fitted on again for each other seed
    :returns: the largest value minus the smallest, in the metric's unit, against the most that is allowed; not evaluated where a fit gives
        no metric; the details have the metric by seed
    """
    model, chosen = evidence.model, read_chosen(evidence.judged, evidence.model)
    open_to_seeds = Chosen(chosen.estimator, _without_seeds(chosen.parameters))
    own = chosen.parameters.get(SEED)
    values = {model.train.seed if own is None else own: evidence.candidate.value(criterion.metric)}
    used = {model.train.seed, *_seeds(chosen.parameters)}
    others = (seed for seed in itertools.count(model.train.seed + 1) if seed not in used)
    for seed in itertools.islice(others, criterion.seeds - 1):
        other = model.model_copy(update={"train": model.train.model_copy(update={"seed": seed})})
        fitted = fit_chosen(other, evidence.fit_rows, evidence.holdout, open_to_seeds, evidence.candidate.measures)
        values[seed] = fitted.metrics.get(criterion.metric)
    measured = [value for value in values.values() if value is not None]
    if len(measured) < len(values):
        return unmeasured(evidence.candidate, criterion.kind, criterion.metric, criterion.max_spread)
    low, high = min(measured), max(measured)
    same = "; no seed changes it: the estimator is deterministic" if low == high else ""
    message = (
        f"over {len(values)} seeds {criterion.metric} is {low:.4f} to {high:.4f}, a spread of {high - low:.4f}{same}; "
        f"at most {criterion.max_spread:g} is allowed"
    )
    details = {"seeds": {str(seed): value for seed, value in values.items()}}
    passed = verdict(high - low <= criterion.max_spread)
    return CriterionResult(criterion.kind, criterion.metric, high - low, criterion.max_spread, passed, message, None, details)


def _seeds(parameters: Any) -> Iterator[Any]:
    """Every ``random_state`` in parameters, those of estimators within included."""
    if isinstance(parameters, dict):
        yield from (value for name, value in parameters.items() if name == SEED)
        yield from itertools.chain.from_iterable(map(_seeds, parameters.values()))
    elif isinstance(parameters, list | tuple):
        yield from itertools.chain.from_iterable(map(_seeds, parameters))


def _without_seeds(parameters: Any) -> Any:
    if isinstance(parameters, dict):
        return {name: _without_seeds(value) for name, value in parameters.items() if name != SEED}
    return [_without_seeds(value) for value in parameters] if isinstance(parameters, list | tuple) else parameters


def share_interval(labels: np.ndarray) -> tuple[float, float]:
    """The interval of a share, at 95%, by which a reader sees how far to trust it.

    Wilson's score interval (E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927).

    :param labels: 0 or 1 for each of at least one independent row
    :returns: the lower and the upper end of the share of ones, from 0 to 1
    """
    from scipy import stats

    ends = stats.binomtest(int(labels.sum()), len(labels)).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def metric_interval(scored: Scored, metric: str, confidence: float = SHOWN_CONFIDENCE) -> tuple[float, float] | None:
    """Give the `interval` of a version's metric.

    :param scored: the version's predictions
    :param metric: its name
    :param confidence: of each end by itself, as a share; by default 95% in all
    :returns: the lower and the upper end; None as `interval`
    """
    return interval(scored.replicates(metric), scored.units.count, confidence=confidence)


def interval_text(between: tuple[float, float] | None, name: str) -> str:
    """Write an interval as it follows a figure in a message.

    :param between: the lower and the upper end; None: there is no interval
    :param name: what it is called, such as ``interval 95%``
    :returns: the ends in brackets, after a space; empty when there is no interval
    """
    return f" ({name}: {between[0]:.4f} to {between[1]:.4f})" if between else ""


def verdict(passed: bool) -> Verdict:
    """Give the verdict on a criterion that could be evaluated.

    :param passed: whether the candidate meets it
    :returns: ``passed`` or ``failed``
    """
    return "passed" if passed else "failed"


def unmeasured(scored: Scored, kind: str, metric: str, threshold: float | None) -> CriterionResult:
    """Make the result of a criterion whose metric the holdout's rows do not define.

    :param scored: the version's predictions on these rows
    :param kind: the criterion's, as model.yaml names it
    :param metric: its name
    :param threshold: what it would have been judged by, as `CriterionResult` has it
    :returns: a result without value, not evaluated
    """
    why = ", or ".join(filter(None, [scored.measures.metric(metric).undefined, "no rows"]))
    message = f"{metric} could not be measured on the holdout ({why})"
    return CriterionResult(kind, metric, None, threshold, "not_evaluated", message)
