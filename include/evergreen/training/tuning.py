"""Chooses what ``train`` leaves open: among estimators, and among values of their parameters, on time-ordered folds.

A loop of our own over scikit-learn's samplers: its searches take one estimator each, and know no budget in seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from include.evergreen.config import ModelConfig
from include.evergreen.config.metrics import METRICS
from include.evergreen.config.training import Choice, Search, Tune
from include.evergreen.features.build import quotable
from include.evergreen.features.columns import PARTITION, TARGET, features_of
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.team_code import Modules
from include.evergreen.serving.inference import classes_of, one_thread
from include.evergreen.training.fitting import learn
from include.evergreen.training.metrics import Measures
from include.evergreen.training.pipeline import Chosen, declared, predict
from include.evergreen.training.rehearsal import SyntheticRowsError, first_setting, rehearse

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
SHARE_KEPT = 3  # halving goes on with the best third, on three times as many days; three is what its authors advise
FEWEST_DAYS = 3  # fewer say nothing of a week
UNBOUNDED = 10_000  # settings that are drawn at most when seconds alone bound the search


@dataclass(frozen=True)
class Trial:
    """One setting on every fold. ``days``: how many were fitted on at most; ``scores``: one a fold, None where its rows define none."""

    number: int
    estimator: str
    parameters: dict[str, Any]
    days: int
    scores: list[float | None]
    score: float | None  # their mean; none: it failed
    seconds: float
    error: str

    @property
    def chosen(self) -> Chosen:
        """The setting that was tried, as what to fit."""
        return Chosen(self.estimator, self.parameters)


@dataclass(frozen=True)
class TuningResult:
    """What is fitted, and as JSON how it was chosen; where nothing was open, ``tuning`` is None.

    ``tuning`` has ``method``, ``metric``, ``folds``, ``planned`` (None where seconds alone bound the search), ``done``, ``ended_by``,
    ``best`` (a trial's number) and ``trials``.
    """

    chosen: Chosen
    tuning: dict[str, Any] | None


def choose(model: ModelConfig, rows: pd.DataFrame, *, modules: Modules = (), now: Callable[[], float] = time.monotonic) -> TuningResult:
    """Choose the best of what ``train`` leaves open; equal rows give an equal choice, unless seconds end the search.

    Raises `ConfigError` for estimators or parameters that are refused, or when every trial failed; `DataError` for too few days.

    :param model: the model to train
    :param rows: the rows of the training frame to fit on; the holdout is not among them
    :param modules: those in the model's folder, as the recipe holds them: of the model's own metrics
    :param now: a clock in seconds, for ``tune.seconds`` and the log
    :returns: what to fit, and how it was chosen
    """
    if not model.train.leaves_open:
        return TuningResult(declared(model), None)
    assert model.train.tune is not None
    check_choices(model)
    search = _Running(model, rows, model.train.tune, modules, now)
    if model.train.tune.method == "halving":
        search.halve(list(settings(model)))
    else:
        search.try_all(settings(model), days=None)
    return search.outcome()


def check_choices(model: ModelConfig) -> None:
    """Refuse, by a `ConfigError`, a declared estimator that cannot be imported, made with its parameters, do the task, or be stored.

    That it cannot be fitted on synthetic rows refuses nothing: soon the real ones will say it.

    :param model: the model to train
    """
    for choice in model.train.choices:
        with contextlib.suppress(SyntheticRowsError):
            rehearse(model, first_setting(choice))


def time_folds(rows: pd.DataFrame, folds: int, key: str = "train.tune.folds") -> list[tuple[list[str], list[str]]]:
    """Cut the days of a training frame into time-ordered folds: blocks of equal length, each judged after all the days before it.

    :param rows: rows of a training frame
    :param folds: how many blocks are judged
    :param key: of model.yaml, which says how many
    :returns: for each fold, the days to fit on and the days to judge on, oldest judges first
    :raises DataError: when there are too few days for so many folds
    """
    from sklearn.model_selection import TimeSeriesSplit

    days = sorted(rows[PARTITION].unique())
    if len(days) <= folds:
        raise DataError(
            f"{len(days)} days of rows cannot be cut into {folds} folds ({key}), as each needs days before it; give a longer "
            f"train.window, or fewer folds."
        )
    return [([days[i] for i in before], [days[i] for i in judges]) for before, judges in TimeSeriesSplit(n_splits=folds).split(days)]


def settings(model: ModelConfig) -> Iterator[Chosen]:
    """List the settings to try: the estimators take turns, each draws from its search, none twice.

    :param model: the model to train, which must declare ``train.tune``; its ``train.seed`` decides what is drawn
    :returns: at most ``tune.candidates`` of them, or `UNBOUNDED` when seconds alone bound the search
    """
    assert model.train.tune is not None
    count = model.train.tune.candidates or UNBOUNDED
    drawn = [_drawn(choice, count, model.train.seed + index) for index, choice in enumerate(model.train.choices)]
    turns = (chosen for turn in itertools.zip_longest(*drawn) for chosen in turn if chosen is not None)
    return itertools.islice(turns, count)


class _Running:
    """A search that goes on until its budget is spent.

    :param model: the model to train
    :param rows: the rows of the training frame to fit on; the holdout is not among them
    :param tune: the budget, the folds and the metric
    :param modules: those in the model's folder, as the recipe holds them
    :param now: a clock in seconds, for ``tune.seconds`` and the log
    """

    def __init__(self, model: ModelConfig, rows: pd.DataFrame, tune: Tune, modules: Modules, now: Callable[[], float]) -> None:
        self.model, self.rows, self.tune, self.now = model, rows, tune, now
        self.metric = tune.metric or next(iter(METRICS[model.task]))
        self.measures = Measures(model, model.metrics.decision_threshold, modules)
        self.better = self.measures.metric(self.metric)
        self.folds = time_folds(rows, tune.folds)
        self.all_days = max(len(before) for before, _ in self.folds)
        self.trials: list[Trial] = []
        self.planned = tune.candidates
        self.is_cut_short = False
        self.began = now()

    def halve(self, chosen: list[Chosen]) -> None:
        """Each round tries what the one before left, on three times its days, until all days were tried.

        :param chosen: the settings of the first round, in the order in which they are tried
        """
        rounds = min(_times_divisible(len(chosen)), _times_divisible(self.all_days // FEWEST_DAYS))
        left = chosen
        sizes = [math.ceil(len(chosen) / SHARE_KEPT**number) for number in range(rounds + 1)]
        self.planned = sum(sizes)
        for number, size in enumerate(sizes):
            days = math.ceil(self.all_days / SHARE_KEPT ** (rounds - number))
            done = self.try_all(iter(left[:size]), days=days)
            left = [trial.chosen for trial in self._best_first(done)]
            if self.is_cut_short or not left:
                return

    def try_all(self, chosen: Iterator[Chosen], *, days: int | None) -> list[Trial]:
        """Try each setting, unless the time is over.

        :param chosen: the settings, in the order in which they are tried
        :param days: how many days before each block of judges are fitted on; None: all there are
        :returns: the trials that were made, in their order; those that failed are among them
        """
        done: list[Trial] = []
        for setting in chosen:
            if self.tune.seconds is not None and self.trials and self.now() - self.began >= self.tune.seconds:
                self.is_cut_short = True
                log.info("%s: the %g seconds are over after %d trials", self.model.name, self.tune.seconds, len(self.trials))
                break
            trial = self._trial(setting, days or self.all_days)
            self.trials.append(trial)
            done.append(trial)
            self._tell(trial)
        return done

    def outcome(self) -> TuningResult:
        best = self._best()
        if best is None:
            reasons = sorted({trial.error for trial in self.trials})
            raise ConfigError(
                f"{self.model.name}: all {len(self.trials)} trials of tuning failed: {'; '.join(reasons[:3])}. "
                f"Change what they name, train.search or the estimators' parameters."
            )
        log.info("%s: chosen by tuning: %s, %s %.4f", self.model.name, best.chosen, self.metric, best.score)
        tuning = {
            "method": self.tune.method,
            "metric": self.metric,
            "folds": [{"fit_first": before[0], "fit_last": before[-1], "judged": judges} for before, judges in self.folds],
            "planned": self.planned,
            "done": len(self.trials),
            "ended_by": "seconds" if self.is_cut_short else "all were tried",
            "best": best.number,
            "trials": [asdict(trial) for trial in self.trials],
        }
        return TuningResult(best.chosen, tuning)

    def _trial(self, chosen: Chosen, days: int) -> Trial:
        began = self.now()
        scores: list[float | None] = []
        error = where = ""
        try:
            for number, (before, judges) in enumerate(self.folds, start=1):
                where = f"fold {number} of {len(self.folds)}: "
                scores.append(self._score(chosen, before[-days:], judges))
        except MemoryError:
            raise
        except Exception as failed:  # an estimator's own: one bad setting ends no search
            lines = quotable(failed, personal=self.model.has_personal_features).splitlines()
            error = where + (lines[0][:500] if lines else type(failed).__name__)
        defined = [score for score in scores if score is not None]
        if not error and not defined:
            error = f"the rows of no fold define {self.metric}"
        mean = sum(defined) / len(defined) if defined and not error else None
        return Trial(len(self.trials) + 1, chosen.estimator, chosen.parameters, days, scores, mean, self.now() - began, error)

    def _score(self, chosen: Chosen, before: list[str], judges: list[str]) -> float | None:
        fit_rows = self.rows[self.rows[PARTITION].isin(before)]
        judged = self.rows[self.rows[PARTITION].isin(judges)]
        pipeline = learn(self.model, fit_rows, chosen)
        features = features_of(judged, self.model.feature_names)
        with one_thread():
            predicted = predict(pipeline, self.model, features)
        measures, labels = self.measures, judged[TARGET]
        if self.model.task == "multiclass":
            own = classes_of(pipeline)
            measures = replace(measures, classes=own, own_classes=own).among(labels)
        score = measures.measure_one(self.metric, measures.labels(labels), predicted)
        return None if score is None else float(self.better.judged(score))

    def _best_first(self, trials: list[Trial]) -> list[Trial]:
        good = [trial for trial in trials if trial.score is not None]
        return sorted(good, key=lambda trial: (-self.better.sign * (trial.score or 0.0), trial.number))

    def _best(self) -> Trial | None:
        """Of those on the most days: scores on fewer days compare with no others."""
        most = max((trial.days for trial in self.trials if trial.score is not None), default=0)
        return next(iter(self._best_first([trial for trial in self.trials if trial.days == most])), None)

    def _tell(self, trial: Trial) -> None:
        best = self._best()
        gone = self.now() - self.began
        log.info(
            "%s: trial %d%s on %d days: %s %s in %.1f s; best so far: %s; %.0f s gone%s", self.model.name, trial.number,
            f" of {self.planned}" if self.planned else "", trial.days, trial.chosen,
            f"failed: {trial.error}" if trial.score is None else f"{self.metric} {trial.score:.4f}", trial.seconds,
            f"trial {best.number}, {best.score:.4f}" if best else "none", gone,
            f", {max(self.tune.seconds - gone, 0):.0f} s left" if self.tune.seconds is not None else "",
        )  # fmt: skip


def _times_divisible(number: int) -> int:
    """How often a third of it, rounded down, is at least one."""
    return 1 + _times_divisible(number // SHARE_KEPT) if number >= SHARE_KEPT else 0


def _drawn(choice: Choice, count: int, seed: int) -> list[Chosen]:
    """At most ``count`` different settings, in an order that the seed decides."""
    from sklearn.model_selection import ParameterSampler

    if not choice.search:
        return [Chosen(choice.estimator, dict(choice.parameters))]
    space = {name: _values(search) for name, search in choice.search.items()}
    sizes = [len(values) if hasattr(values, "__len__") else math.inf for values in space.values()]
    sampled = ParameterSampler(space, n_iter=int(min(count, math.prod(sizes))), random_state=seed)
    return [Chosen(choice.estimator, {**choice.parameters, **{name: _plain(value) for name, value in draw.items()}}) for draw in sampled]


def _values(search: Search) -> Any:
    """A sequence, or one of scipy's distributions, as scikit-learn's samplers take them."""
    from scipy import stats

    if search.choice is not None:
        return list(search.choice)
    if search.integers is not None:
        return range(search.integers[0], search.integers[1] + 1)
    if search.uniform is not None:
        return stats.uniform(search.uniform[0], search.uniform[1] - search.uniform[0])
    assert search.log_uniform is not None
    return stats.loguniform(*search.log_uniform)


def _plain(value: Any) -> Any:
    """A number as Python and JSON know it."""
    return value.item() if hasattr(value, "item") else value
