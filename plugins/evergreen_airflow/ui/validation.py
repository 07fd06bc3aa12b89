"""What the page of a validation says, in words and figures."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, Literal

Tone = Literal["good", "fair", "bad"]
ON_FAIL = {
    "stop": "stop the partition",
    "quarantine": "quarantine the rows",
    "warn": "warn only",
}


@dataclass(frozen=True)
class ValidationView:
    """One recorded validation of ``dataset``, as `latest_validation` gives it."""

    dataset: str
    found: dict[str, Any]

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
        return [
            ("rows at the source", f"{accepted + quarantined:,}"),
            ("rows without a failure" if stopped else "rows accepted", f"{accepted:,}"),
            ("rows with a failure" if stopped else "rows quarantined", f"{quarantined:,}"),
            ("checks failed", f"{sum(not check['passed'] for check in self.found['checks'])} of {len(self.found['checks'])}"),
        ]

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Every check, failed ones first, else in the order of the YAML."""
        return [_shown(check) for check in sorted(self.found["checks"], key=lambda check: bool(check["passed"]))]

    @property
    def recorded_at(self) -> str:
        moment: dt.datetime = self.found["recorded_at"]
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def raw_digest(self) -> str:
        return str(self.found["raw_digest"])


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


def _shown(check: dict[str, Any]) -> dict[str, Any]:
    failed = check["failed_rows"]
    return {
        "passed": check["passed"],
        "expectation": check["expectation"],
        "arguments": [(name, json.dumps(value, ensure_ascii=False)) for name, value in check["arguments"].items()],
        "on_fail": ON_FAIL.get(check["on_fail"], check["on_fail"]),
        "failed_rows": "" if failed is None else f"{failed:,}",
        "observed": check["observed"],
        "examples": check["examples"],
    }
