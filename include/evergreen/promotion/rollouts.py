"""Decides roll-outs: once the labels of a step are mature, the realised performance of the version is held against the champion's.

In shadow both predicted every row, and are compared in pairs. Where the version serves a share of the keys, each is measured on the rows
that it served; both are resampled by the same days. docs/decisions/roll-outs.md says why each strategy is decided as it is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import ChampionCriterion
from include.evergreen.features.build import error_text
from include.evergreen.features.class_columns import OF_CLASSES, read_classes
from include.evergreen.features.columns import CHALLENGER, PREDICTION, VERSION, keys_of
from include.evergreen.features.labels import KNOWN_BY_NOW, KnownLabels, join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import OvertakenError, TransientError
from include.evergreen.foundation.overtaken import until_not_overtaken
from include.evergreen.gates.bootstrap import Units
from include.evergreen.gates.criteria import CriterionResult, compare_versions
from include.evergreen.gates.scored import Scored
from include.evergreen.promotion.promote import awaits_approval, promote_blessed
from include.evergreen.promotion.rollout_plan import LEAST_DAYS, RolloutPlan, judge_canary, rolled_back_key, undecided_key
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import newest_answer
from include.evergreen.registry.rollouts import Rollout, newest_rollout, note_rollout, running_rollout, waited_for
from include.evergreen.scoring.predictions import PredictionSet, list_predictions, served_live
from include.evergreen.serving.likeliest import joined
from include.evergreen.state import storage
from include.evergreen.state.alerts import Finding, raise_alert, raise_within, resolve_alert
from include.evergreen.state.database import reading, writing
from include.evergreen.training.candidate import find_candidate
from include.evergreen.training.metrics import Measures
from include.evergreen.training.recipes import recipe_of_version

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
LONGEST_CAUSE = 700  # of an alert's characters


@dataclass(frozen=True)
class RolloutProgress:
    """How far the step of a roll-out came: ``scored`` of the ``wanted`` partitions, and ``waits_for`` what is still to come, as a sentence.

    ``waits_for`` is empty where it can be decided.
    """

    rollout: Rollout
    scored: int
    wanted: int
    waits_for: str


def advance_rollout(catalog: Catalog, model: ModelConfig) -> str:
    """Decide the roll-out of a model, if one runs and what it waits for is there; afterwards the version that waited takes its turn.

    Safe to repeat, at once and to be killed at any point. What keeps it from being decided raises an alert, and nothing else.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: what came of it, or what it waits for; empty when no roll-out runs
    :raises TransientError: when a store is out of reach for now
    :raises MemoryError: when there is not enough memory
    """
    try:
        told = until_not_overtaken(lambda: _advance(catalog, model))
    except (TransientError, MemoryError):
        raise
    except Exception as error:  # monitoring is done all the same
        cause = error_text(catalog, model, error)
        message = f"The roll-out of {model.name} cannot be decided: {cause[:LONGEST_CAUSE]} The champion serves what it served before."
        raise_alert(undecided_key(model.name), model=model.name, severity="warning", message=message)
        return message
    if told:
        resolve_alert(undecided_key(model.name))
    return told


def rollout_progress(catalog: Catalog, model: ModelConfig) -> RolloutProgress | None:
    """Say how far the roll-out of a model is. Reads alone, and no rows.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: the step that it is in; None when no roll-out runs
    """
    with reading() as connection:
        rollout = running_rollout(connection, model.name)
    return _Step.of(catalog, model, rollout).progress if rollout else None


def _advance(catalog: Catalog, model: ModelConfig) -> str:
    with reading() as connection:
        rollout = running_rollout(connection, model.name)
        answer = newest_answer(connection, model.name, rollout.version) if rollout else None
    if rollout is None:
        return _next_in_turn(catalog, model)
    if answer and answer.verdict == "refused" and answer.recorded_at > rollout.started_at:
        told = champions.abort_rollout(model.name, actor=answer.actor, reason=answer.reason or "the version was refused").message
    else:
        told = _decide(catalog, model, _Step.of(catalog, model, rollout))
    return "; ".join(part for part in (told, _next_in_turn(catalog, model)) if part)


def _next_in_turn(catalog: Catalog, model: ModelConfig) -> str:
    """Promote, by its own roll-out, the newest version that was registered while another one was rolled out."""
    with reading() as connection:
        newest = newest_rollout(connection, model.name)
    champions.show_ended_rollout(model.name)
    rival = champions.challenger(model.name) if newest and not newest.is_running else None
    if newest is None or rival is None:
        return ""
    with reading() as connection:
        waited = waited_for(connection, newest, rival.version)
    if not waited or awaits_approval(rival):
        return ""
    return promote_blessed(catalog, model, rival.version, actor=newest.actor, reason=f"it waited for the {newest.name}").message


def _decide(catalog: Catalog, model: ModelConfig, step: _Step) -> str:
    rollout = step.rollout
    note = step.progress.waits_for
    result = step.early_look() if note else None
    if not note:
        for days in step.decidable():
            result = step.judge(days)
            if result.state:
                break
            note = f"{result.message}; it is judged again with the next {model.grain.noun}"
    if result is None or result.state is None:
        if note != rollout.note:
            with writing() as connection:
                note_rollout(connection, rollout, note)
        return f"the {rollout.name} goes on: {note}"

    def also(connection: sa.Connection) -> None:
        step.refuse_overtaken()
        if result.state == "rolled_back":
            raise_within(connection, _finding(rollout, result.message))

    outcome = champions.settle_rollout(rollout, result.state, result.message, result.evidence, grain=model.grain, also=also)
    return outcome.message if outcome else ""


def _finding(rollout: Rollout, because: str) -> Finding:
    message = (
        f"The {rollout.name} of {rollout.model} was rolled back: {because[:LONGEST_CAUSE]}. The champion serves all rows. "
        f"`evergreen rollout {rollout.model}` shows the evidence."
    )
    return Finding(rolled_back_key(rollout.model), "warning", message, {"version": rollout.version}, rollout.model)


@dataclass(frozen=True)
class _Judged:
    """``state`` is what is to become of the roll-out: ``running`` is its next step; None when nothing could be measured."""

    state: Literal["running", "promoted", "rolled_back"] | None
    message: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class _Step:
    """The step that a roll-out is in: the ``days`` that were scored in it, live and by both versions, with what is known of their labels.

    ``model`` is as the version's recipe declares it: the target is the champion's, too.
    """

    catalog: Catalog
    model: ModelConfig
    declared: ModelConfig
    rollout: Rollout
    plan: RolloutPlan
    days: list[PredictionSet]
    labels: list[KnownLabels]
    cache: PartitionCache

    @classmethod
    def of(cls, catalog: Catalog, model: ModelConfig, rollout: Rollout) -> _Step:
        plan = RolloutPlan.read(rollout.plan)
        version = champions.version_number(model.name, rollout.version)
        config = recipe_of_version(catalog, model, version).config(model)
        first = rollout.steps[-1]["first"]
        live = served_live(model.name, first)
        both = (rollout.champion_version, rollout.version)
        days = [
            day for day in list_predictions(model.name, first) if day.partition in live and (day.version, day.challenger_version) == both
        ]
        cache = PartitionCache(KNOWN_BY_NOW, model=config)
        labels = [known_labels(catalog, config, day.partition, cache) for day in days]
        return cls(catalog, config, model, rollout, plan, days, labels, cache)

    @property
    def progress(self) -> RolloutProgress:
        wanted, unit = self.plan.partitions, self.model.grain.noun
        waits_for = ""
        if len(self.days) < wanted:
            waits_for = f"{len(self.days)} of {wanted} {unit}s are scored by both versions"
        elif missing := next((known.waits_for for known in self.labels[:wanted] if not known.is_mature), ""):
            waits_for = f"all {wanted} {unit}s are scored, and {missing}"
        return RolloutProgress(self.rollout, min(len(self.days), wanted), wanted, waits_for)

    def decidable(self) -> list[int]:
        """Count the days that may be judged together.

        :returns: as many as planned, and more of them for where those say nothing; none while labels are awaited
        """
        counts = range(self.plan.partitions, len(self.days) + 1)
        return [count for count in counts if all(known.is_mature for known in self.labels[:count])]

    def early_look(self) -> _Judged | None:
        """Look at a canary before its step has ended, for a version that is so much worse that nobody need wait.

        :returns: that it is rolled back; None when it goes on, or labels of two days are not there
        """
        mature = sum(1 for _ in takewhile(lambda known: known.is_mature, self.labels))
        if self.rollout.strategy != "canary" or not LEAST_DAYS <= mature < self.plan.partitions:
            return None
        judged = self.judge(mature)
        return judged if judged.state == "rolled_back" else None

    def digest(self) -> str:
        """Digest all that is judged.

        :returns: SHA-256, in hex, of predictions and labels
        """
        return document_digest([[day.digest, known.digest] for day, known in zip(self.days, self.labels, strict=True)])

    def refuse_overtaken(self) -> None:
        if _Step.of(self.catalog, self.declared, self.rollout).digest() != self.digest():
            raise OvertakenError(f"{self.rollout.model}: predictions or labels changed while its roll-out was judged")

    def judge(self, count: int) -> _Judged:
        """Hold the version's performance against the champion's.

        In shadow, and at the end of an ab, the gate's own test decides; of a canary, `judge_canary`.

        :param count: of the first so many days
        :returns: what is to become of the roll-out, and why
        """
        ours, theirs = self._scored(count)
        if not len(ours.labels) or not len(theirs.labels):
            return _Judged(None, f"one of the versions has no labelled row in {count} {self.model.grain.noun}s", {})
        criterion, rollout = self.plan.criterion, self.rollout
        if rollout.strategy == "canary":
            criterion = self.plan.canary_criterion(count)
            result, is_worse = judge_canary(criterion, ours, theirs)
        else:
            whose = "the champion's on the same rows" if rollout.strategy == "shadow" else "the champion's on the other keys"
            result = compare_versions(criterion, ours, theirs, whose)
            is_worse = result.verdict != "passed"
        if result.verdict == "not_evaluated" or result.interval is None:
            return _Judged(None, result.message, {})
        grows = rollout.strategy == "canary" and not rollout.is_last_step
        state: Literal["running", "promoted", "rolled_back"] = "rolled_back" if is_worse else "running" if grows else "promoted"
        return _Judged(state, result.message, self._evidence(count, ours, theirs, result, criterion))

    def _evidence(
        self, count: int, ours: Scored, theirs: Scored, result: CriterionResult, criterion: ChampionCriterion
    ) -> dict[str, Any]:  # fmt: skip
        days = self.days[:count]
        return {
            "step": len(self.rollout.steps),
            "share": self.rollout.steps[-1]["share"],
            "partitions": [days[0].partition, days[-1].partition, count],
            "rows": {"version": len(ours.labels), "champion": len(theirs.labels)},
            "metric": result.metric,
            "version": result.details["candidate"],
            "champion": result.details["other"],
            "difference": result.value,
            "interval": list(result.interval) if result.interval else None,
            "confidence": criterion.confidence,
            "verdict": result.verdict,
            "message": result.message,
            "read": self.digest(),
        }

    def _scored(self, count: int) -> tuple[Scored, Scored]:
        """The version's and the champion's predictions on the labelled rows of the first ``count`` days: all of them, or those of each."""
        import pandas as pd

        days = self.days[:count]
        measures, champions_own = self._measures()
        classes = tuple(dict.fromkeys([*measures.classes, *champions_own.classes]))
        parts = [self._labelled(day, known, classes) for day, known in zip(days, self.labels, strict=False)]
        texts = pd.concat([labels for labels, _, _ in parts], ignore_index=True)
        measures = replace(measures, classes=classes).among(texts)
        predicted, other = _below([part[1] for part in parts]), _below([part[2] for part in parts])
        of_day = np.repeat([str(day.partition) for day in days], [len(labels) for labels, _, _ in parts])
        units = Units.days(of_day) if self.plan.resample == "days" else Units.rows(len(of_day))
        seed = int(document_digest([self.rollout.id])[:12], 16)
        scored = Scored(measures, measures.labels(texts), predicted, units, self.plan.resamples, seed=seed)
        if self.rollout.strategy == "shadow":
            return scored, scored.predicting(other, as_other=champions_own)
        is_ours = other == self.rollout.version
        ours, theirs = scored.within(is_ours, 0), scored.within(~is_ours, 1)
        return ours, theirs.predicting(theirs.predicted, as_other=champions_own)

    def _labelled(self, day: PredictionSet, known: KnownLabels, classes: tuple[str, ...]) -> tuple[pd.Series, np.ndarray, np.ndarray]:
        """Of each labelled row of a day: its label, the version's prediction, and the champion's; or what was served, and by whom."""
        table = storage.read_table(day.path)
        ours, other = (CHALLENGER, PREDICTION) if self.rollout.strategy == "shadow" else (PREDICTION, VERSION)
        target = self._target(table.drop_columns([name for name in table.column_names if name in OF_CLASSES]).to_pandas(), known)

        def column(name: str) -> np.ndarray:
            if self.model.task == "multiclass" and name != VERSION:
                return read_classes(table, classes, name)
            return np.asarray(table[name].to_pandas(), dtype="float64")

        predicted, others = column(ours), column(other)
        there = target.notna().to_numpy() if self.model.task == "multiclass" else np.isfinite(target.to_numpy(dtype="float64"))
        usable = there & _is_finite(predicted) & _is_finite(others)
        return target[usable], predicted[usable], others[usable]

    def _target(self, frame: pd.DataFrame, known: KnownLabels) -> pd.Series:
        return join_labels(self.catalog, self.model, keys_of(frame, self.catalog.dataset(self.model.rows).keys), known, self.cache)

    def _measures(self) -> tuple[Measures, Measures]:
        """How the version is measured, and the champion."""
        measures = [
            Measures.trained(recipe.config(self.declared), find_candidate(version.run_key).facts, recipe.modules)
            for number in (self.rollout.version, self.rollout.champion_version)
            for version in [champions.version_number(self.rollout.model, number)]
            for recipe in [recipe_of_version(self.catalog, self.declared, version)]
        ]
        return measures[0], measures[1]


def _is_finite(column: np.ndarray) -> np.ndarray:
    finite: np.ndarray = np.isfinite(column).reshape(len(column), -1).all(axis=1)
    return finite


def _below(parts: list[np.ndarray]) -> np.ndarray:
    """One below the other; predictions of several classes as wide as the widest."""
    return joined(parts) if parts[0].ndim > 1 else np.concatenate(parts)
