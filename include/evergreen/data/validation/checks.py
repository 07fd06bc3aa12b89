"""The results of a partition's checks, and the verdict that follows from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from include.evergreen.config import DatasetConfig

EXAMPLES_SHOWN = 3
LONGEST_EXAMPLE = 80  # characters
PERSONAL = "(personal: not shown)"

Status = Literal["passed", "failed", "not_evaluated"]


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    ``expectation`` names the check: an expectation of Great Expectations, or volume, freshness, reference, correlation or
    undeclared_columns. ``failed_rows`` is None for a check of the partition as a whole. ``observed`` is the figure that
    was judged or, of a check that was not evaluated, why it was not.
    """

    expectation: str
    arguments: dict[str, Any]
    on_fail: str
    status: Status
    failed_rows: int | None = None
    observed: str = ""
    examples: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the check was evaluated and does not hold."""
        return self.status == "failed"

    @property
    def subject(self) -> str:
        """The check with its arguments."""
        return f"{self.expectation}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"

    @property
    def found(self) -> str:
        """The finding, as a message."""
        if self.status == "not_evaluated":
            return f"not evaluated: {self.observed}"
        if not self.failed_rows:
            return f"found {self.observed}" if self.observed else "does not hold"
        rows = f"{self.failed_rows} row{'' if self.failed_rows == 1 else 's'}"
        return f"{rows}, such as {', '.join(self.examples)}" if self.examples else rows

    @property
    def message(self) -> str:
        """The check with its arguments, and what was found."""
        return f"{self.subject}: {self.found}"


@dataclass(frozen=True)
class Failure:
    """The rows (their sorted positions, int64) that one row-level check refuses."""

    reason: str
    positions: np.ndarray


@dataclass(frozen=True)
class Usual:
    """What partitions before this one were like: how many there are, and the medians of their rows."""

    partitions: int
    delivered: float
    quarantined: float


@dataclass(frozen=True)
class Validation:
    """Which of a partition's rows fail, and what each check found.

    ``verdict`` is ``passed``, ``warned``, ``quarantined`` (some rows) or ``stopped`` (the whole partition).
    ``usual`` is None when no partition comes before this one.
    """

    rows: int
    failures: list[Failure]
    checks: list[CheckResult]
    verdict: str
    reason: str
    usual: Usual | None = None

    @cached_property
    def failing(self) -> np.ndarray:
        """The positions of the rows that fail.

        :returns: int64, sorted, each once, however many checks refuse the row
        """
        return np.unique(np.concatenate([failure.positions for failure in self.failures])) if self.failures else np.empty(0, np.int64)

    def reasons(self) -> list[str]:
        """Join every reason for which a row fails into one text.

        :returns: one text for each failing row, in the order of `failing`
        """
        reasons: list[list[str]] = [[] for _ in self.failing]
        for failure in self.failures:
            for index in np.searchsorted(self.failing, failure.positions):
                reasons[index].append(failure.reason)
        return ["; ".join(of_row) for of_row in reasons]

    def summary(self) -> dict[str, Any]:
        """Write the facts down without rows, as `record_validation` keeps them.

        :returns: a JSON document: ``verdict``, ``reason``, how many ``rows`` were accepted and ``quarantined``, and all ``checks``
        """
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "rows": self.rows - len(self.failing),
            "quarantined": len(self.failing),
            "checks": [{**asdict(check), "examples": list(check.examples), "passed": not check.failed} for check in self.checks],
        }

    def log_lines(self) -> list[str]:
        """Write what a person reads in a task's log: the verdict, how it compares, and what did not pass.

        :returns: a few lines, in that order
        """
        accepted, failed = self.rows - len(self.failing), sum(check.failed for check in self.checks)
        fate = "without a failure" if self.verdict == "stopped" else "accepted"
        lines = [
            f"{self.verdict}: {accepted:,} of {self.rows:,} rows {fate}{_share(accepted, self.rows)}, {len(self.failing):,} "
            f"{'with one' if self.verdict == 'stopped' else 'quarantined'}; {failed} of {len(self.checks)} checks failed"
        ]
        if self.usual is not None:
            usual, before = self.usual, "partition" if self.usual.partitions == 1 else f"{self.usual.partitions} partitions"
            lines.append(
                f"the median of the {before} before: {usual.delivered:,g} rows delivered{_change(self.rows, usual.delivered)}, "
                f"{usual.quarantined:,g} quarantined"
            )
        for check in self.checks:
            if check.failed:
                share = _share(check.failed_rows, self.rows) if check.failed_rows else ""
                lines.append(f"failed{share}, on_fail {check.on_fail}: {check.message}")
        lines += [check.message for check in self.checks if check.status == "not_evaluated"]
        return lines


def judge(dataset: DatasetConfig, rows: int, checks: list[CheckResult], failures: list[Failure], usual: Usual | None = None) -> Validation:
    """Draw a partition's verdict, and the reason for it, from what its checks found.

    :param dataset: which declares the largest share of rows that may be quarantined
    :param rows: how many were delivered
    :param checks: the result of every check
    :param failures: the rows that are to be quarantined, check by check
    :param usual: what earlier partitions were like, for people to compare
    :returns: all of it, with ``verdict`` and ``reason``
    """
    failing = len(Validation(rows, failures, checks, "", "").failing)
    failed = [check for check in checks if check.failed]
    reason = "; ".join(check.message for check in failed)
    if stopping := [check for check in failed if check.on_fail == "error"]:
        verdict, reason = "stopped", "; ".join(check.message for check in stopping)
    elif failing > dataset.quarantine.max_share * rows:
        verdict = "stopped"
        reason = (
            f"{failing} of {rows} rows fail, which is more than quarantine.max_share "
            f"({dataset.quarantine.max_share:.0%}) allows: " + "; ".join(check.message for check in failed if check.on_fail == "quarantine")
        )
    elif failing:
        verdict = "quarantined"
    elif failed:
        verdict = "warned"
    else:
        verdict, reason = "passed", _all_passed(checks)
    return Validation(rows, failures, checks, verdict, reason, usual)


def stop_message(dataset: DatasetConfig, partition: object, validation: Validation) -> str:
    """Write the error about a partition that its checks stop.

    :param dataset: whose partition it is
    :param partition: the partition's date
    :param validation: whose verdict is ``stopped``
    :returns: the message, for the caller to raise
    """
    return (
        f"{dataset.name} {partition} is stopped: {validation.reason}. What was published before stays as it is. "
        f"Fix the source and ingest the partition again, or change the check in dataset.yaml."
    )


def shown(value: object) -> str:
    """Write a value of the data as an example of a failure shows it.

    :param value: of a column that is not personal
    :returns: its text, cut to `LONGEST_EXAMPLE` characters
    """
    text = str(value)
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[: LONGEST_EXAMPLE - 1]}\N{HORIZONTAL ELLIPSIS}"


def _all_passed(checks: list[CheckResult]) -> str:
    skipped = sum(check.status == "not_evaluated" for check in checks)
    return f"{len(checks) - skipped} checks passed, {skipped} not evaluated" if skipped else f"all {len(checks)} checks passed"


def _share(part: int, whole: int) -> str:
    return f" ({part / whole:.2%})" if whole else ""


def _change(value: float, usual: float) -> str:
    return f" ({value / usual - 1:+.0%})" if usual else ""
