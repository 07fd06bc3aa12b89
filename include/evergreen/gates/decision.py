"""The gate's recorded decisions, to read; `decide` makes them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database import reading
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import decisions

COMPARISON: Final = "comparison"
"""Kind of the result that says that the champion could not be computed."""


@dataclass(frozen=True)
class Decision:
    """One decision: ``blessed``, ``rejected`` or ``not_evaluated``. ``champion_version`` 0 means that there was none.

    A broken evaluation, and one of a champion that could not be computed, is tried again when the question is asked again: ``attempt``
    counts the answers that differed.
    """

    id: int
    model: str
    run_key: str
    champion_version: int
    gate_digest: str
    as_of: Partition
    attempt: int
    mode: str
    verdict: str
    criteria: list[dict[str, Any]]
    recorded_at: dt.datetime

    @property
    def broken(self) -> list[str]:
        """What could not be evaluated, the champion among it, a message each."""
        return [said["message"] for said in self.criteria if said["verdict"] == "not_evaluated" or said["kind"] == COMPARISON]

    @property
    def is_open(self) -> bool:
        """Whether asking again may give another answer: nothing was decided, or a blessing lacks the comparison with the champion."""
        is_uncompared = any(criterion["kind"] == COMPARISON for criterion in self.criteria)
        return self.verdict == "not_evaluated" or (self.verdict == "blessed" and is_uncompared)

    @property
    def would_be(self) -> str:
        """What the criteria alone say, whatever the gate's mode."""
        return combine_verdicts([criterion["verdict"] for criterion in self.criteria])

    @property
    def message(self) -> str:
        """Every criterion's verdict and sentence, in a line."""
        mode = f"{self.mode}, by the criteria alone {self.would_be}; " if self.mode == "dry_run" else ""
        return mode + "; ".join(f"{criterion['verdict']}: {criterion['message']}" for criterion in self.criteria)

    @property
    def uncompared(self) -> str:
        """Why the candidate was not compared with the champion that there was, though a criterion asks for it; else empty."""
        messages = [
            criterion["message"]
            for criterion in self.criteria
            if self.champion_version and (criterion["kind"], criterion["verdict"]) == ("champion", "not_applicable")
        ]
        return "; ".join(messages)

    @property
    def summary(self) -> str:
        """How many criteria passed, and the messages of those that did not."""
        verdicts = [criterion["verdict"] for criterion in self.criteria]
        unfit = f", {verdicts.count('not_applicable')} not applicable" if "not_applicable" in verdicts else ""
        told = [
            f"{criterion['verdict']}: {criterion['message']}"
            for criterion in self.criteria
            if criterion["verdict"] in ("failed", "not_evaluated")
        ]
        told += [f"not_applicable: {self.uncompared}"] if self.uncompared else []
        return "; ".join([f"{verdicts.count('passed')} of {len(verdicts)} criteria passed{unfit}", *told])


def combine_verdicts(verdicts: list[str]) -> str:
    """Make a decision of the criteria's verdicts.

    :param verdicts: one for each criterion, in any order
    :returns: ``rejected`` when one failed, else ``not_evaluated`` when one could not be evaluated, else ``blessed``, even of no verdicts
    """
    if "failed" in verdicts:
        return "rejected"
    return "not_evaluated" if "not_evaluated" in verdicts else "blessed"


def latest_decision(model: str) -> Decision | None:
    """Find the newest decision on any candidate of a model.

    :param model: name of the model
    :returns: the decision that was recorded last; None when there is none
    """
    return next(iter(all_decisions(model, limit=1)), None)


def find_blessing(run_key: str, until: dt.datetime | None = None) -> Decision | None:
    """Find the newest blessed decision on a candidate.

    :param run_key: the key of the candidate's training
    :param until: the time up to which decisions count, inclusive; None: all do
    :returns: the decision, even when a newer one says otherwise; None when none blessed it
    """
    query = decisions.select().filter_by(run_key=run_key, verdict="blessed").order_by(decisions.c.id.desc()).limit(1)
    with reading() as connection:
        row = connection.execute(query if until is None else query.where(decisions.c.recorded_at <= until)).first()
    return as_record(Decision, row) if row else None


def all_decisions(model: str, limit: int = 1000) -> list[Decision]:
    """List the decisions on the candidates of a model.

    :param model: name of the model
    :param limit: how many at most
    :returns: the newest of them, the newest first; none when nothing was decided
    """
    query = decisions.select().where(decisions.c.model == model).order_by(decisions.c.id.desc()).limit(limit)
    with reading() as connection:
        return [as_record(Decision, row) for row in connection.execute(query)]
