"""The content of a card: the facts as sentences, table rows and plots. It names what the owners left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from include.evergreen.config.metrics import metrics_of
from include.evergreen.config.wording import listed
from include.evergreen.foundation.span import NO_SPAN, Span
from include.evergreen.promotion.cards.facts import Facts
from include.evergreen.promotion.cards.holdout import Metric, importance_repeats
from include.evergreen.promotion.cards.plots import BarInRow, CalibrationPlot, HistogramPlot, bars_in_rows
from include.evergreen.promotion.cards.wording import SCORED_BY, figure, interval, plural, share
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import MIN_CATEGORY_ROWS

A_YEAR = Span(365, "day")
NOT_SAID = "Its owners did not state"
MODES = {
    "enabled": "",
    "dry_run": "The gate was in dry run: every criterion was evaluated, and the version would have been blessed whatever the result.",
    "disabled": "The gate was disabled: nothing was evaluated before the version was blessed.",
}


@dataclass(frozen=True)
class Row:
    """A row of a table with a bar in it."""

    name: str
    cells: tuple[str, ...]
    bar: BarInRow


@dataclass(frozen=True)
class Slices:
    """The result of one criterion for groups of rows. ``pooled`` says how many groups are not shown, and why."""

    title: str
    metric: str
    rows: tuple[Row, ...]
    has_champion: bool
    pooled: str


class View:
    """The texts and figures of one card, for its template.

    :param facts: all that the card shows
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.config = facts.config
        self.card = facts.config.card
        self.holdout = facts.holdout
        self.is_classification = facts.config.task == "classification"
        self.is_of_classes = facts.config.task == "multiclass"

    # --- purpose ------------------------------------------------------------------------------------------------------

    @property
    def purpose(self) -> str:
        """What the model is for, or that its owners did not say."""
        return self.card.purpose or f"{NOT_SAID} what is done with its predictions; all there is, is the sentence above."

    @property
    def intended_use(self) -> list[str]:
        """Who uses it, one sentence each; else on what it was evaluated."""
        return [*self.card.intended_use] or [
            f"{NOT_SAID} who uses it, and for which decisions. It was evaluated on {self.target_text} only."
        ]

    @property
    def not_for(self) -> list[str]:
        """What it must not be used for; else whom to ask."""
        return [*self.card.not_for] or [f"{NOT_SAID} what it must not be used for. Ask {self.contact} before you use it for anything new."]

    @property
    def contact(self) -> str:
        """Whom to ask: the contact, else the owner."""
        return self.card.contact or self.config.owner

    @property
    def target_text(self) -> str:
        """The target in words: the column, with what is positive of a classification."""
        target, unit = self.config.target, self.facts.target_unit
        if target.positive is not None:
            return f"{target.column} being {str(target.positive).lower() if isinstance(target.positive, bool) else target.positive}"
        if target.positive_above is None:
            return target.column
        return " ".join(filter(None, [target.column, "above", figure(target.positive_above), unit]))

    @property
    def predicts(self) -> str:
        """What a prediction is, in a sentence."""
        if self.is_of_classes:
            own = self._own_classes
            return f"which of {len(own)} classes {self.target_text} is ({listed(own)}), and how likely each is"
        return f"the chance, from 0 to 1, of {self.target_text}" if self.is_classification else self._target_in_unit

    @property
    def scored_at(self) -> str:
        """When it predicts, as a clause."""
        when = f"{self.config.scored_at.text(self.config.grain)} ({self.config.grain.timezone})"
        return when if self.config.own_time is None else f"{when}, for each row as of its own {self.config.own_time}"

    @property
    def inputs(self) -> str:
        """The inputs that it predicts from, and how late they are."""
        unit = self.config.grain.noun
        until = {NO_SPAN: f"that {unit}", Span(1, "day"): "the day before"}
        *others, last = (
            f"the newest {model_input.dataset} that is known"
            if model_input.reads_newest
            else f"{model_input.dataset} up to {until.get(model_input.lag, f'{model_input.lag} before')}"
            for model_input in self.config.inputs
        )
        return f"{', '.join(others)} and {last}" if others else last

    @property
    def predicted_name(self) -> str:
        """What a prediction is called on axes and in headings."""
        if self.is_of_classes:
            return "predicted chance of the likeliest class"
        return "predicted chance" if self.is_classification else self._target_in_unit

    # --- performance --------------------------------------------------------------------------------------------------

    @property
    def tiles(self) -> list[tuple[str, str, str]]:
        """The few figures that everybody wants first: (name, value, beside it)."""
        first = self.holdout.metrics[0]
        return [
            (f"{first.name} on the holdout", figure(first.value), interval(first.interval)),
            ("rows fitted on", f"{self.holdout.fit_rows:,}", f"{self.holdout.fit_days} days"),
            ("rows judged on", f"{self.holdout.rows:,}", f"{self.holdout.first} to {self.holdout.last}"),
            ("gate", self.facts.decision.verdict, plural(len(self.facts.decision.criteria), "criterion", "criteria")),
        ]

    @property
    def metrics(self) -> list[tuple[Metric, str, str]]:
        """(metric, which direction is better, what it means)."""
        known = metrics_of(self.config, self._own_classes)
        return [(metric, known[metric.name].better_words, known[metric.name].words) for metric in self.holdout.metrics]

    @property
    def target_share(self) -> str:
        """The distribution of the target in the fitted rows and the holdout."""
        fit, held, said = self.holdout.fit_mean, self.holdout.mean, self.holdout.predicted_mean
        if self.is_of_classes:
            most = self.holdout.fit_mean
            return (
                f"Of the rows it was fitted on, {share(most)} are of the commonest class; of the holdout's, {share(held)}. On average it "
                f"gives the likeliest class a chance of {share(said)}.{self._labels_text}"
            )
        if self.is_classification:
            return (
                f"Of the rows it was fitted on, {share(fit)} were positive ({self.target_text}); of the holdout's, {share(held)}. "
                f"Its predictions there have a mean of {share(said)}.{self._labels_text}"
            )
        return (
            f"The mean of {self.config.target.column} is {figure(fit)} in the rows it was fitted on and {figure(held)} in the holdout. "
            f"Its predictions there have a mean of {figure(said)}.{self._labels_text}"
        )

    class_figures = ("Fitted on", "Holdout", "Called so", "Recall")

    @property
    def classes(self) -> list[tuple[str, list[str], str]]:
        """Of several classes, the commonest: (class, its figures, what it is called instead); empty of another task."""
        return [
            (
                each.name,
                [share(value) for value in (each.fit, each.holdout, each.called, each.recall)],
                f"{each.instead[0]} ({share(each.instead[1])})" if each.instead else "",
            )
            for each in self.holdout.classes
        ]

    @property
    def classes_caption(self) -> str:
        """Which classes are shown, and what of each."""
        left_out = len(self._own_classes) - len(self.holdout.classes)
        rest = f" The {left_out} others are rarer, or have too few rows to be shown." if left_out > 0 else ""
        return (
            f"The share of a class among the rows fitted on, among the holdout's, and among what it calls these; how many of the class's "
            f"own rows it calls so, and what else it calls them most often.{rest}"
        )

    @property
    def _own_classes(self) -> tuple[str, ...]:
        return Measures.trained(self.config, self.facts.training).own_classes

    @property
    def _labels_text(self) -> str:
        """How long a label may take, and what a row without one is, as further sentences; empty where neither is declared."""
        target, sentences = self.config.target, []
        if target.within:
            unit = self.config.grain.noun
            sentences.append(f"A label may come up to {target.within} after its row's own {unit}, so no newer {unit}s are counted.")
        if target.absent == "negative":
            sentences.append("A row for which none has come by then is negative.")
        return "".join(f" {sentence}" for sentence in sentences)

    @property
    def decision_text(self) -> str:
        """What a row is called: from which chance on positive, and who says so, or what is likeliest; empty of a regression."""
        if self.is_of_classes:
            return "Metrics of decisions call a row what is likeliest. Rows of a class that it does not know count as called wrongly."
        if not self.is_classification:
            return ""
        declared, threshold = self.config.metrics, figure(Measures.trained(self.config, self.facts.training).threshold)
        if declared.learned_threshold is None:
            return f"Metrics of decisions call a row positive from a predicted chance of {threshold} on, as model.yaml declares."
        return (
            f"Metrics of decisions call a row positive from a predicted chance of {threshold} on: there, {declared.learned_threshold.best} "
            f"was best on rows before the holdout, each predicted by a model of the days before it."
        )

    @property
    def comparison(self) -> list[str]:
        """The comparison with the champion at the time, as the gate recorded it."""
        number = self.facts.decision.champion_version
        if not number:
            return ["There was no champion at the time, so it was compared with none."]
        against = [criterion["message"] for criterion in self.facts.decision.criteria if criterion["kind"] == "champion"]
        if not against:
            return [f"Version {number} was champion at the time. No gate criterion compares with it."]
        return [f"Version {number} was champion at the time. On the same holdout rows:", *map(_sentence, against)]

    @property
    def slices(self) -> list[Slices]:
        """A table for each criterion that judged groups of rows; personal and small groups are pooled."""
        personal = {feature.name for feature in self.config.features if feature.personal}
        tables = []
        for criterion in self.facts.decision.criteria:
            details = criterion.get("details") or {}
            listed = details.get("slices") or []
            if not listed:
                continue
            hidden = details["by"] in personal and "smallest_group" not in details  # else no group of few rows is in the decision
            shown = [group for group in listed if group["judged"] and group["rows"] >= MIN_CATEGORY_ROWS and not hidden]
            values, intervals, champions = ([group[key] for group in shown] for key in ("value", "interval", "champion"))
            rows = tuple(
                Row(
                    group["slice"],
                    (
                        f"{group['rows']:,}",
                        figure(group["value"]),
                        interval(group["interval"]),
                        "" if group["champion"] is None else figure(group["champion"]),
                    ),
                    bar,
                )
                for group, bar in zip(shown, bars_in_rows(values, intervals, champions), strict=True)
            )
            tables.append(
                Slices(
                    title=_sentence(criterion["message"]).replace("the worst", "The worst", 1),
                    metric=criterion["metric"] or "value",
                    rows=rows,
                    has_champion=any(champion is not None for champion in champions),
                    pooled=_pooled([group for group in listed if group not in shown], details["by"] if hidden else ""),
                )
            )
        return tables

    # --- features -----------------------------------------------------------------------------------------------------

    @property
    def calibration(self) -> CalibrationPlot | None:
        """The calibration plot, where there are rows enough for a bin."""
        return CalibrationPlot(self.holdout.bins) if self.holdout.bins else None

    @property
    def calibration_text(self) -> str:
        """How many bins are off, and the worst of them."""
        bins = self.holdout.bins
        off = [bin_result for bin_result in bins if bin_result.is_off]
        if not off:
            predicted = "chance" if self.is_classification or self.is_of_classes else "value"
            return f"In all {len(bins)} bins, outcomes agree with the predicted {predicted}, within 95% intervals."
        worst = max(off, key=lambda bin_result: abs(bin_result.observed - bin_result.predicted))
        write = share if self.is_classification or self.is_of_classes else figure
        return (
            f"In {len(off)} of {len(bins)} bins outcomes differ from predictions by more than chance explains. The largest "
            f"difference: it predicted {write(worst.predicted)}, and {write(worst.observed)} was observed."
        )

    @property
    def histogram(self) -> HistogramPlot:
        """How the predictions lie."""
        return HistogramPlot(self.holdout.histogram)

    @property
    def importances(self) -> list[Row]:
        """The features, the most important first."""
        importances = self.holdout.importances
        spans = [(importance.mean - importance.spread, importance.mean + importance.spread) for importance in importances]
        bars = bars_in_rows([importance.mean for importance in importances], spans)
        return [
            Row(importance.feature, (figure(round(importance.mean, 6)), f"± {figure(round(importance.spread, 6))}"), bar)
            for importance, bar in zip(importances, bars, strict=True)
        ]

    @property
    def importance_text(self) -> str:
        """How the importances were measured, and what they do not say."""
        repeats = importance_repeats(len(self.holdout.importances))
        return (
            f"By how much {SCORED_BY[self.holdout.importance_metric]} gets worse on {self.holdout.importance_rows:,} rows of the holdout "
            f"when one feature's values are permuted among the rows (mean and standard deviation of {repeats} times); below 0 "
            f"it gets better. Of correlated features, each looks unimportant while the other is there. It shows what the "
            f"model uses, not what causes the outcome."
        )

    @property
    def features(self) -> list[tuple[str, str, str, list[str]]]:
        """(name, kind, description, where it comes from)."""
        return [
            (
                feature.name,
                f"{feature.kind}, personal" if feature.personal else feature.kind,
                feature.description,
                [origin.description for origin in (self.facts.origins.of or {}).get(feature.name, ())],
            )
            for feature in self.config.features
        ]

    # --- training data ------------------------------------------------------------------------------------------------

    @property
    def data_text(self) -> str:
        """What it was trained on, and what was held out."""
        snapshot = self.facts.snapshot
        return (
            f"{snapshot.rows:,} rows of {self.holdout.fit_days + self.holdout.days} {self._unit}s, from {self.holdout.fit_first} to "
            f"{self.holdout.last}, as they were known at the beginning of {snapshot.as_of} (UTC). It was fitted on the {self._unit}s "
            f"before the holdout, which is the {plural(self.holdout.days, f'newest {self._unit}')}, from {self.holdout.first}. "
            f"All figures on this page are from the holdout."
        )

    @property
    def quarantined(self) -> str:
        """How many rows validation set aside."""
        total = sum(dataset.quarantined for dataset in self.facts.read)
        if not total:
            return "No row of these partitions was set aside by validation."
        rows = f"{plural(total, 'row')} of these partitions failed an expectation and {'was' if total == 1 else 'were'} set aside"
        return f"{rows}: the model never saw {'it' if total == 1 else 'them'}."

    # --- decision, approval, limits -----------------------------------------------------------------------------------

    @property
    def criteria(self) -> list[dict[str, Any]]:
        """The gate's criteria, in words."""
        return [
            {
                **criterion,
                "kind": criterion["kind"].replace("_", " "),
                "verdict": criterion["verdict"].replace("_", " "),
                "message": _sentence(criterion["message"]),
            }
            for criterion in self.facts.decision.criteria
        ]

    @property
    def mode(self) -> str:
        """What the gate's mode means, unless it is the normal one."""
        return MODES.get(self.facts.decision.mode, "")

    @property
    def approval(self) -> str:
        """Whether a person must approve it, and why."""
        if self.facts.approval_because:
            return f"It may serve only once a person approves it: {self.facts.approval_because}."
        return "No approval was required: by model.yaml, a blessed version becomes champion without one."

    @property
    def limits(self) -> list[str]:
        """Known weaknesses: those that the owners wrote, then those that the records show."""
        return [*self.card.limits, *self._derived_limits()]

    @property
    def ethics(self) -> list[str]:
        """Whom it may harm: what the owners wrote, then what the records show."""
        return [*self.card.ethics, *self._derived_ethics()]

    @property
    def made_by(self) -> list[tuple[str, str]]:
        """The estimator, its parameters and what they were chosen by."""
        training = self.facts.training
        parameters = training.get("parameters") or self.config.train.parameters
        rows = [
            ("estimator", str(training.get("estimator"))),
            *((f"parameter {name}", str(value)) for name, value in parameters.items()),
            ("seed", str(self.config.train.seed)),
        ]
        if tuning := training.get("tuning"):
            rows.append(("chosen by", f"{plural(len(tuning['trials']), 'trial')} on time-ordered folds, by {tuning['metric']}"))
        if (seconds := training.get("fit_seconds")) is not None:
            rows.append(("time to fit", f"{figure(seconds)} s"))
        return rows

    @property
    def environment(self) -> list[tuple[str, str]]:
        """What it was trained with: names of libraries and settings, and their versions and values."""
        return list(_flat(self.facts.training.get("environment") or {"python": self.facts.training.get("python", "not recorded")}))

    @property
    def commands(self) -> list[tuple[str, str]]:
        """(what it does, the command)."""
        name, number, digest = self.config.name, self.facts.version.version, self.facts.snapshot.digest[:12]
        return [
            ("train it again from the record, and compare bit for bit", f"evergreen reproduce {name} {number}"),
            ("read again what it was trained on, and compare digests", f"evergreen snapshot verify {digest}"),
            ("every decision of the gate on this model", f"evergreen decisions {name}"),
            ("where each feature comes from", f"evergreen features {name}"),
            ("check that no record was changed since", "evergreen verify-ledger"),
        ]

    @property
    def _unit(self) -> str:
        return self.config.grain.noun

    @property
    def _target_in_unit(self) -> str:
        column, unit = self.config.target.column, self.facts.target_unit
        return f"{column} in {unit}" if unit else column

    def _derived_limits(self) -> Iterator[str]:
        seen = self.holdout.fit_days + self.holdout.days
        if seen < self.config.grain.partitions_in(A_YEAR):
            yield (
                f"It has seen {seen} {self._unit}s, {self.holdout.fit_first} to {self.holdout.last}: it has no information on other "
                f"seasons, or on events that did not happen in them."
            )
        yield (
            f"Its figures are those of {plural(self.holdout.days, self._unit)}; an interval says how much they would vary among such "
            f"{self.holdout.resampled}, and not how they change when the data drifts. Drift and performance are monitored every day, and "
            + ("a rule that trips retrains it." if self.config.retrain.rules else "no rule retrains it automatically.")
        )
        if self.holdout.bins and any(bin_result.is_off for bin_result in self.holdout.bins):
            yield f"Calibration: {self.calibration_text}"
        if small := [slice_result.pooled for slice_result in self.slices if slice_result.pooled]:
            yield f"Groups of rows: {' '.join(small)}"
        if not self.slices:
            yield "No gate criterion evaluates groups of rows separately: it may be much worse for one of them than overall."
        if any(feature.kind == "categorical" for feature in self.config.features):
            yield (
                f"Categories with fewer than {MIN_CATEGORY_ROWS} rows in training, and those unseen in training, count as one: "
                f"it cannot tell them apart."
            )
        for why in self.facts.erased:
            yield f"It cannot be reproduced bit for bit: {why}."

    def _derived_ethics(self) -> Iterator[str]:
        if not self.card.ethics:
            yield f"{NOT_SAID} whom it may harm or treat unequally; the records show the following."
        personal = [feature.name for feature in self.config.features if feature.personal]
        if personal:
            yield f"Features that carry personal data: {', '.join(personal)}. No value of theirs is shown here."
        else:
            yield "No feature is marked as personal data."
        groups = [criterion for criterion in self.facts.decision.criteria if criterion["kind"] == "slices"]
        if groups:
            yield f"{plural(len(groups), 'gate criterion evaluates', 'gate criteria evaluate')} groups of rows separately: see above."
        else:
            yield "No gate criterion evaluates groups of rows, so nothing here shows that groups are treated alike."


def _pooled(left_out: list[dict[str, Any]], personal: str) -> str:
    """Describes the groups that are not shown: all of the feature ``personal``, or those that were not judged or have few rows."""
    if not left_out:
        return ""
    groups, rows = plural(len(left_out), "group"), plural(sum(group["rows"] for group in left_out), "row")
    if personal:
        return f"{groups} not shown, as {personal} is personal ({rows} together)."
    lacking = ", or without a value," if any(group["value"] is None for group in left_out) else ""
    return f"{groups} with too few rows{lacking} to be judged ({rows} together)."


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _sentence(message: str) -> str:
    text = message.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
