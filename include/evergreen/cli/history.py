"""``decisions`` and ``champion-at``: what was decided, and who served when?"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.grain import Partition

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.gates.decision import Decision
    from include.evergreen.registry.champion_periods import ChampionPeriod


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``decisions`` and ``champion-at``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    text = "list the gate's decisions on a model, newest first, the rejections included"
    verb = common_arguments.add_verb(verbs, common, "decisions", text, decisions)
    common_arguments.add_model(verb)
    common_arguments.add_json(verb)

    text = "say which version of a model was champion at a given time (wall clock), on what evidence, and who approved it"
    verb = common_arguments.add_verb(verbs, common, "champion-at", text, champion_at)
    common_arguments.add_model(verb)
    common_arguments.add_json(verb)
    verb.add_argument("when", metavar="WHEN", help="a date (its end, in UTC) or a timestamp such as 2013-03-03T14:30")


def decisions(arguments: argparse.Namespace) -> int:
    """Print the gate's decisions on one model, newest first, each with the verdict of every criterion.

    :param arguments: ``model`` and ``json``
    :returns: the exit code 0
    """
    from include.evergreen.config import Catalog
    from include.evergreen.gates.decision import all_decisions

    model = common_arguments.known_model(Catalog(), arguments.model)
    made = all_decisions(model, limit=sys.maxsize)
    if arguments.json:
        print(json.dumps([_as_json(decision) for decision in made], indent=2))
        return 0
    for decision in made:
        print(
            f"{decision.recorded_at:%Y-%m-%d %H:%M} UTC: the candidate as of {decision.as_of} is {decision.verdict} "
            f"{_against(decision)}{_in_mode(decision)}"
        )
        print("\n".join(f"  {criterion['verdict']}: {criterion['message']}" for criterion in decision.criteria))
    if not made:
        print(f"No decision on {model} yet: none of its candidates has come to the gate.")
    return 0


def champion_at(arguments: argparse.Namespace) -> int:
    """Print the champion of a model at a given time, with the evidence and the approval; of a bare date also who scored that partition.

    :param arguments: ``model``, ``json`` and ``when`` (a text, as `parse_end` takes it; what lies in the future stands for now)
    :returns: the exit code 0, whether there was a champion or not
    """
    from include.evergreen.config import Catalog
    from include.evergreen.foundation import clock
    from include.evergreen.registry.champion_periods import champion_period_at

    model = common_arguments.known_model(Catalog(), arguments.model)
    when = min(common_arguments.parse_end(arguments.when), clock.now())  # nobody knows who will be
    period = champion_period_at(model, when)
    if arguments.json:
        print(json.dumps(asdict(period) if period else None, indent=2, default=str))
        return 0
    if period is None:
        print(f"{model} had no champion at {_second(when)}, by the wall clock.")
    else:
        print("\n".join(_told(period, when)))
    if common_arguments.is_date(arguments.when):
        _print_who_scored(model, common_arguments.partition(arguments.when))
    return 0


def _told(period: ChampionPeriod, when: dt.datetime) -> Iterator[str]:
    """The auditor's page: who served, since when, by whose act, on what evidence, and how to get the same model again."""
    version = period.version
    yield f"{version.model}: version {version.version} ({version.semver}), as of {version.as_of}, was champion at {_second(when)}."
    act = "made champion again by the rollback of" if period.kind == "rollback" else "promoted by"
    yield f"  {act} {period.actor} at {_second(period.since)}: {period.reason}"
    place = f"replacing version {period.previous_version}" if period.previous_version else "the first champion"
    yield f"  {place}; {f'champion until {_second(period.until)}' if period.until else 'it still is champion'}"
    if period.decision is None:
        yield "  no blessed decision on it is in the database: see `verify-ledger`"
    else:
        judged = period.decision["champion_version"]
        against = f"against version {judged}" if judged else "with no champion to judge it against"
        yield f"  decision {period.decision['id']} of {_second(period.decision['recorded_at'])}: blessed {against}"
        yield from (f"    {criterion['verdict']}: {criterion['message']}" for criterion in period.decision["criteria"])
    yield f"  approval: {f'required, as {version.approval_because}' if version.approval_because else 'none was required'}"
    for answer in period.approvals:
        yield f"    {answer['verdict']} by {answer['actor']} at {_second(answer['recorded_at'])}: {answer['reason']}"
    snapshot = period.snapshot
    days = f"the {snapshot['window']} before {version.as_of}"
    yield f"  trained on snapshot {snapshot['digest'][:12]}: {snapshot['rows']} rows of {days}"
    yield f"  artifact digest {version.artifact_digest}, MLflow run {version.mlflow_run_id}"
    if version.irreproducible_because:
        yield f"  no longer reproducible: {version.irreproducible_because}"
    else:
        yield f"  trained again by `evergreen reproduce {version.model} {version.version}`"


def _second(timestamp: dt.datetime) -> str:
    return f"{timestamp:%Y-%m-%d %H:%M:%S} UTC"


def _against(decision: Decision) -> str:
    return f"against version {decision.champion_version}" if decision.champion_version else "(there was no champion)"


def _in_mode(decision: Decision) -> str:
    """What people must know of a decision that the criteria did not make."""
    if decision.mode == "enabled":
        return ""
    return f", in mode {decision.mode}: by the criteria alone it would be {decision.would_be}" if decision.mode == "dry_run" else ", unseen"


def _as_json(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "model": decision.model,
        "verdict": decision.verdict,
        "mode": decision.mode,
        "attempt": decision.attempt,
        "as_of": decision.as_of,
        "champion_version": decision.champion_version,
        "run_key": decision.run_key,
        "criteria": decision.criteria,
        "recorded_at": decision.recorded_at.isoformat(),
    }


def _print_who_scored(model: str, partition: Partition) -> None:
    from include.evergreen.scoring.predictions import find_predictions

    if predictions := find_predictions(model, partition):
        print(f"The partition {partition} was scored by version {predictions.version} ({predictions.rows} rows).")
