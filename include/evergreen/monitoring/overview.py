"""A monitored window at a glance, from kept profiles alone: the verdict on each column, its distributions, and what changed in a week."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import WEEK
from include.evergreen.monitoring.kept_profiles import KeptProfiles
from include.evergreen.monitoring.window import Window, load_window
from include.evergreen.scoring.predictions import PredictionSet, find_predictions

if TYPE_CHECKING:
    from include.evergreen.monitoring.profiles import Profile
    from include.evergreen.monitoring.profiles.columns import Column
    from include.evergreen.monitoring.verdicts import ColumnVerdict, Verdict

MOST_BARS = 12


@dataclass(frozen=True)
class Bar:
    """A part of a column's distribution: what is in it, and the share of each side's rows; None where there was no window before."""

    name: str
    reference: float
    window: float
    before: float | None


@dataclass(frozen=True)
class ColumnOverview:
    """One column: what is said of it now, what was a week before (None: nothing was), and its distribution."""

    verdict: ColumnVerdict
    before: ColumnVerdict | None
    bars: list[Bar]
    is_numeric: bool

    @property
    def change(self) -> float | None:
        """By how much its effect grew in the week; None where it was not measured on both days, or of something else."""
        now, before = self.verdict, self.before
        if before is None or now.effect is None or before.effect is None or now.aspect != before.aspect:
            return None
        return now.effect - before.effect


@dataclass(frozen=True)
class WindowOverview:
    """The window that ``partition`` ends, of ``rows`` of ``days`` days, and the one that ended a week before.

    ``rows_before`` is None where there was none that the same version scored, with profiles. ``columns`` are ranked as ``ranking`` says.
    """

    partition: Partition
    version: int
    days: int
    rows: int
    partition_before: Partition
    rows_before: int | None
    ranking: str
    columns: list[ColumnOverview]
    together: str


def window_overview(catalog: Catalog, model: ModelConfig, partition: Partition) -> WindowOverview:
    """Look at a window. No rows of predictions are read.

    :param catalog: what is declared now
    :param model: the model as it is declared now; its features are those of the version that scored
    :param partition: the day that was monitored, which ends the window
    :returns: what there is to see
    :raises DataError: when it was not scored, or its profiles are not kept
    """
    from include.evergreen.monitoring.profiles import NumericColumn

    scored = find_predictions(model.name, partition)
    if scored is None:
        raise DataError(f"{model.name} was not scored for {partition}. `evergreen why {model.name} {partition}` says what is missing.")
    window = load_window(catalog, model, scored)
    profile = _profile(window)
    verdict = window.judged(profile)
    partition_before = model.grain.minus(partition, WEEK)
    before = _before(catalog, model, find_predictions(model.name, partition_before), scored.version)
    earlier = window.judged(before) if before else None
    reference = window.profiles.reference
    columns = [
        ColumnOverview(
            column,
            earlier.columns[column.column] if earlier else None,
            _bars(reference.columns[column.column], profile.columns[column.column], before.columns[column.column] if before else None),
            isinstance(reference.columns[column.column], NumericColumn),
        )
        for column in verdict.ranked
    ]
    return WindowOverview(
        partition,
        scored.version,
        len(window.days),
        profile.rows,
        partition_before,
        before.rows if before else None,
        verdict.ranking,
        columns,
        _together(verdict),
    )


def _before(catalog: Catalog, model: ModelConfig, scored: PredictionSet | None, version: int) -> Profile | None:
    if scored is None or scored.version != version:
        return None
    try:
        return _profile(load_window(catalog, model, scored))
    except DataError:  # monitored by an earlier release, which kept no profiles
        return None


def _profile(window: Window) -> Profile:
    def refuse() -> NoReturn:
        model, day = window.model.name, window.scored.partition
        raise DataError(
            f"The profiles of {model} up to {day} are not kept: it was monitored by an earlier release, or they were erased. "
            f"`evergreen rescore {model} --from {day} --to {day}` scores and monitors that day again."
        )

    profiles: KeptProfiles = window.profiles
    first, *others = (profiles.day(day, refuse) for day in window.days)
    return first.merge(*others)


def _bars(reference: Column, window: Column, before: Column | None) -> list[Bar]:
    """Of a number, parts of about equal shares of the reference; of a category, its most frequent ones."""
    import numpy as np

    from include.evergreen.monitoring.profiles import NumericColumn

    sides = [reference, window, *([before] if before is not None else [])]
    if isinstance(reference, NumericColumn):
        counts = reference.counts.sum(axis=0)
        ranks = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1)
        place = (ranks * (MOST_BARS - 2)).astype(int).clip(0, MOST_BARS - 3)
        parts = np.unique(place)
        names = [_span(reference, np.flatnonzero(place == part)) for part in parts]
        shares = [[side.counts.sum(axis=0)[place == part].sum() for part in parts] for side in sides]
    else:
        order = np.argsort(-reference.counts.sum(axis=0)[:-3], kind="stable")[: MOST_BARS - 3]
        names = [reference.cells.names[cell] for cell in order] + ["others", "never seen before"]
        shares = []
        for side in sides:
            found = side.counts.sum(axis=0)
            shares.append([*found[order], found[:-2].sum() - found[order].sum(), found[-2]])
    names.append("missing")
    columns = [[*shown, side.lost.sum()] for shown, side in zip(shares, sides, strict=True)]
    of = [[float(count) / max(float(side.rows.sum()), 1.0) for count in column] for column, side in zip(columns, sides, strict=True)]
    return [Bar(name, of[0][n], of[1][n], of[2][n] if before is not None else None) for n, name in enumerate(names)]


def _span(column: Column, bins: object) -> str:
    import numpy as np

    edges, inside = column.bins.edges, np.asarray(bins)  # type: ignore[union-attr]
    low, high = inside[0] - 1, inside[-1]
    if low < 0:
        return "all" if high >= len(edges) else f"below {edges[high]:.4g}"
    return f"from {edges[low]:.4g}" if high >= len(edges) else f"{edges[low]:.4g} to {edges[high]:.4g}"


def _together(verdict: Verdict) -> str:
    together = verdict.together
    if together is None:
        return ""
    if together.auc is None:
        return f"Nothing is said of all columns together: {together.message}."
    if together.state != "drifted":
        return f"All columns together do not tell the window from the reference beyond chance: AUC {together.auc:.3f}."
    told = f"AUC {together.auc:.3f} (p {together.p_value:.1g}), most by {', '.join(together.telling)}"
    return f"All columns together tell the window from the reference: {told}."
