"""The texts and figures of the page of a validation."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from evergreen_airflow.ui.history import Chart, Point
from include.evergreen.foundation.grain import Partition

Tone = Literal["good", "fair", "bad"]
ON_FAIL = {
    "error": "stop the partition",
    "quarantine": "quarantine the rows",
    "warn": "warn only",
}


STATUS = {
    "failed": ("bad", "failed"),
    "not_evaluated": ("fair", "not evaluated"),
    "passed": ("good", "passed"),
}  # in display order


@dataclass(frozen=True)
class ValidationView:
    """A recorded validation, with those of the previous partitions for comparison.

    Records of earlier releases, which lack the status of each check, are supported.

    :param dataset: its name, as in ``include/datasets``
    :param record: the validation, as `latest_validation` returns it
    :param before: the validations of the previous partitions, oldest first
    :param next_day: the next validated partition, if there is one
    """

    dataset: str
    record: dict[str, Any]
    before: list[dict[str, Any]] = field(default_factory=list)
    next_day: Partition | None = None

    @property
    def previous_day(self) -> Partition | None:
        """The previous validated partition, if there is one."""
        day: Partition | None = self.before[-1]["partition"] if self.before else None
        return day

    @property
    def charts(self) -> list[Chart]:
        """Charts of the rows by partition. For a stopped partition they count what would have been accepted or quarantined."""
        return [
            Chart("Valid rows", [_point(record, record["rows"]) for record in self._all]),
            Chart("Invalid rows", [_point(record, record["quarantined"]) for record in self._all]),
        ]

    @property
    def tone(self) -> Tone:
        """The colour of the verdict."""
        return _VERDICTS[self.record["verdict"]][0]

    @property
    def verdict(self) -> str:
        """The verdict, as a heading."""
        return _VERDICTS[self.record["verdict"]][1]

    @property
    def explanation(self) -> str:
        """What the verdict means for the rows."""
        return _VERDICTS[self.record["verdict"]][2]

    @property
    def reason(self) -> str:
        """Why the partition was stopped; empty for other verdicts, which the checks explain."""
        return str(self.record["reason"]) if self.record["verdict"] == "stopped" else ""

    @property
    def counts(self) -> list[tuple[str, str]]:
        """Labels and counts of rows and checks. No row of a stopped partition is accepted or quarantined, only valid or invalid."""
        accepted, quarantined = self.record["rows"], self.record["quarantined"]
        stopped = self.record["verdict"] == "stopped"
        statuses = [_status(check) for check in self.record["checks"]]
        return [
            ("source rows", f"{accepted + quarantined:,}"),
            ("valid rows" if stopped else "rows accepted", f"{accepted:,}"),
            ("invalid rows" if stopped else "rows quarantined", f"{quarantined:,}"),
            ("checks failed", f"{statuses.count('failed')} of {len(statuses)}"),
            *([("checks not evaluated", f"{skipped:,}")] if (skipped := statuses.count("not_evaluated")) else []),
        ]

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Every check: failed ones first, with their history, then those not evaluated, then passed ones."""
        order = list(STATUS)
        checks = sorted(self.record["checks"], key=lambda check: order.index(_status(check)))
        return [{**_shown(check), "history": self._history(check) if _status(check) == "failed" else None} for check in checks]

    @property
    def recorded_at(self) -> str:
        """When the validation was recorded."""
        timestamp: dt.datetime = self.record["recorded_at"]
        return f"{timestamp:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def raw_digest(self) -> str:
        """Digest of the validated rows."""
        return str(self.record["raw_digest"])

    @property
    def _all(self) -> list[dict[str, Any]]:
        return [*self.before, self.record]

    def _history(self, check: dict[str, Any]) -> Chart:
        """Chart the rows that failed this check by partition. For a check of the whole partition a failure counts as 1."""
        points = []
        for record in self._all:
            same = next((other for other in record["checks"] if _identity(other) == _identity(check)), None)
            failed = same is not None and _status(same) == "failed"
            rows = same["failed_rows"] if same is not None and failed else 0
            points.append(_point(record, failed if rows is None else rows))
        name = "Failed" if check["failed_rows"] is None else "Failed rows"
        return Chart(name, points, width=124.0, height=23.0)


_VERDICTS: dict[str, tuple[Tone, str, str]] = {
    "passed": ("good", "Passed", "Every row was accepted."),
    "warned": ("fair", "Passed with warnings", "Every row was accepted, but a check failed."),
    "quarantined": (
        "fair",
        "Rows quarantined",
        "Rows that failed a check with on_fail: quarantine were quarantined, each with its reason. All other rows were accepted.",
    ),
    "stopped": (
        "bad",
        "Stopped",
        "This partition was not published. Its previously published version, if any, stays current. "
        "Fix the source and ingest the partition again, or change the expectation in dataset.yaml.",
    ),
}


def _status(check: dict[str, Any]) -> str:
    return str(check.get("status") or ("passed" if check["passed"] else "failed"))


def _identity(check: dict[str, Any]) -> str:
    return json.dumps([check["expectation"], check["arguments"]], sort_keys=True)


def _point(validation: dict[str, Any], value: int) -> Point:
    stopped = validation["verdict"] == "stopped"
    return Point(validation["partition"], int(value), note="stopped" if stopped else "", hollow=stopped)


def _shown(check: dict[str, Any]) -> dict[str, Any]:
    failed = check["failed_rows"]
    tone, status = STATUS[_status(check)]
    return {
        "tone": tone,
        "status": status,
        "expectation": check["expectation"],
        "arguments": [(name, json.dumps(value, ensure_ascii=False)) for name, value in check["arguments"].items()],
        "on_fail": ON_FAIL.get(check["on_fail"], check["on_fail"]),
        "failed_rows": "" if failed is None else f"{failed:,}",
        "observed": check["observed"],
        "examples": check["examples"],
    }
