"""What the page of a validation says, in words and figures."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from evergreen_airflow.ui.history import Chart, Point

Tone = Literal["good", "fair", "bad"]
ON_FAIL = {
    "stop": "stop the partition",
    "quarantine": "quarantine the rows",
    "warn": "warn only",
}


STATUS = {
    "failed": ("bad", "failed"),
    "not_evaluated": ("fair", "not evaluated"),
    "passed": ("good", "passed"),
}  # and the order in which they are shown


@dataclass(frozen=True)
class ValidationView:
    """One recorded validation of ``dataset``, as `latest_validation` gives it, beside those of the partitions ``before``.

    What was recorded by earlier releases, without each check's status, is shown too.
    """

    dataset: str
    found: dict[str, Any]
    before: list[dict[str, Any]] = field(default_factory=list)
    next_day: dt.date | None = None

    @property
    def previous_day(self) -> dt.date | None:
        day: dt.date | None = self.before[-1]["partition"] if self.before else None
        return day

    @property
    def charts(self) -> list[Chart]:
        """Rows by partition; of a stopped one those that would have been accepted or quarantined."""
        return [
            Chart("Rows without a failure", [_point(each, each["rows"]) for each in self._all]),
            Chart("Rows with a failure", [_point(each, each["quarantined"]) for each in self._all]),
        ]

    @property
    def tone(self) -> Tone:
        return _VERDICTS[self.found["verdict"]][0]

    @property
    def verdict(self) -> str:
        return _VERDICTS[self.found["verdict"]][1]

    @property
    def words(self) -> str:
        """What the verdict means for the rows."""
        return _VERDICTS[self.found["verdict"]][2]

    @property
    def reason(self) -> str:
        """Why the partition was stopped; for other verdicts the checks say it themselves."""
        return str(self.found["reason"]) if self.found["verdict"] == "stopped" else ""

    @property
    def counts(self) -> list[tuple[str, str]]:
        """Rows by what became of them; of a stopped partition, by whether they would have been accepted."""
        accepted, quarantined = self.found["rows"], self.found["quarantined"]
        stopped = self.found["verdict"] == "stopped"
        statuses = [_status(check) for check in self.found["checks"]]
        return [
            ("rows at the source", f"{accepted + quarantined:,}"),
            ("rows without a failure" if stopped else "rows accepted", f"{accepted:,}"),
            ("rows with a failure" if stopped else "rows quarantined", f"{quarantined:,}"),
            ("checks failed", f"{statuses.count('failed')} of {len(statuses)}"),
            *([("checks not evaluated", f"{skipped:,}")] if (skipped := statuses.count("not_evaluated")) else []),
        ]

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Every check, failed ones first and with their past, then those that were not evaluated, else in the order of the YAML."""
        order = list(STATUS)
        checks = sorted(self.found["checks"], key=lambda check: order.index(_status(check)))
        return [{**_shown(check), "past": self._past(check) if _status(check) == "failed" else None} for check in checks]

    @property
    def recorded_at(self) -> str:
        moment: dt.datetime = self.found["recorded_at"]
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def raw_digest(self) -> str:
        return str(self.found["raw_digest"])

    @property
    def _all(self) -> list[dict[str, Any]]:
        return [*self.before, self.found]

    def _past(self, check: dict[str, Any]) -> Chart:
        """The rows that failed this check by partition; for a check of the whole 1 where it failed."""
        points = []
        for each in self._all:
            same = next((other for other in each["checks"] if _identity(other) == _identity(check)), None)
            failed = same is not None and _status(same) == "failed"
            rows = same["failed_rows"] if same is not None and failed else 0
            points.append(_point(each, failed if rows is None else rows))
        name = "Failed" if check["failed_rows"] is None else "Failed rows"
        return Chart(name, points, width=124.0, height=23.0)


_VERDICTS: dict[str, tuple[Tone, str, str]] = {
    "passed": ("good", "Passed", "Every row was accepted."),
    "warned": ("fair", "Passed with warnings", "Every row was accepted, though a check failed."),
    "quarantined": (
        "fair",
        "Rows quarantined",
        "The rows that failed a check which quarantines were set aside, each with its reason; all others were accepted.",
    ),
    "stopped": (
        "bad",
        "Stopped",
        "Nothing of this was published; what was published before stays as it is. "
        "Mend the source and ingest the partition again, or change the expectation in dataset.yaml.",
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
