"""``decisions``, ``champion-at`` and ``verify-ledger``: what was decided, who served when, and can it be believed?"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.gates import Decision


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    text = "list the gate's decisions on a model, newest first, the rejections included"
    verb = verbs.add_parser("decisions", parents=[common], help=text, description=text.capitalize() + ".")
    common_arguments.add_model(verb)
    common_arguments.add_json(verb)
    verb.set_defaults(verb=decisions)

    text = "say which version of a model was champion at a moment of the wall clock"
    verb = verbs.add_parser("champion-at", parents=[common], help=text, description=text.capitalize() + ".")
    common_arguments.add_model(verb)
    verb.add_argument("when", metavar="WHEN", help="a date (its end, in UTC) or a moment such as 2013-03-03T14:30")
    verb.set_defaults(verb=champion_at)

    text = "check that no entry of the ledger was changed, removed or reordered"
    verb = verbs.add_parser("verify-ledger", parents=[common], help=text, description=text.capitalize() + ".")
    verb.set_defaults(verb=verify_ledger)


def decisions(arguments: argparse.Namespace) -> int:
    from include.evergreen.config import Catalog
    from include.evergreen.gates.decide import all_decisions

    model = common_arguments.known_model(Catalog(), arguments.model)
    found = all_decisions(model, limit=sys.maxsize)
    if arguments.json:
        print(json.dumps([_as_json(each) for each in found], indent=2))
        return 0
    for each in found:
        print(f"{each.recorded_at:%Y-%m-%d %H:%M} UTC: the candidate as of {each.as_of} is {each.verdict} {_against(each)}")
        print("\n".join(f"  {criterion['verdict']}: {criterion['words']}" for criterion in each.criteria))
    if not found:
        print(f"No decision on {model} yet: none of its candidates has come to the gate.")
    return 0


def champion_at(arguments: argparse.Namespace) -> int:
    from include.evergreen import clock
    from include.evergreen.config import Catalog
    from include.evergreen.registry import champions

    model = common_arguments.known_model(Catalog(), arguments.model)
    when = min(common_arguments.end_of(arguments.when), clock.now())  # nobody knows who will be
    serving = champions.champion_at(model, when)
    moment = f"{when:%Y-%m-%d %H:%M:%S} UTC"
    if serving is None:
        print(f"{model} had no champion at {moment}, by the wall clock.")
    else:
        print(f"{model}: version {serving.version} ({serving.semver}), as of {serving.as_of}, was champion at {moment}.")
        print(f"  {_promotion(model, when)}")
        print(f"  artifact digest {serving.artifact_digest}, MLflow run {serving.mlflow_run_id}")
        if serving.irreproducible_because:
            print(f"  no longer reproducible: {serving.irreproducible_because}")
    if common_arguments.is_date(arguments.when):
        _print_who_scored(model, common_arguments.partition(arguments.when))
    return 0


def verify_ledger(arguments: argparse.Namespace) -> int:
    from include.evergreen import ledger

    problems = ledger.verify()
    if problems:
        print("\n".join(problems))
        print("The ledger cannot be trusted from there on. Compare it with a backup before anything else is recorded.")
        return 1
    print(f"The ledger is whole: {_entries()} entries, each chained to the one before it.")
    return 0


def _against(decision: Decision) -> str:
    return f"against version {decision.champion_version}" if decision.champion_version else "(there was no champion)"


def _as_json(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "model": decision.model,
        "verdict": decision.verdict,
        "as_of": decision.as_of.isoformat(),
        "champion_version": decision.champion_version,
        "run_key": decision.run_key,
        "criteria": decision.criteria,
        "recorded_at": decision.recorded_at.isoformat(),
    }


def _promotion(model: str, when: dt.datetime) -> str:
    """Who promoted the champion of that moment, when and why."""
    from include.evergreen.database import reading
    from include.evergreen.database.tables import promotions

    query = (
        promotions.select().where(promotions.c.model == model, promotions.c.promoted_at <= when).order_by(promotions.c.id.desc()).limit(1)
    )
    with reading() as connection:
        row = connection.execute(query).one()
    return f"promoted by {row.actor} at {row.promoted_at:%Y-%m-%d %H:%M:%S} UTC: {row.reason}"


def _print_who_scored(model: str, partition: dt.date) -> None:
    from include.evergreen.scoring import find_predictions

    if predictions := find_predictions(model, partition):
        print(f"The partition {partition} was scored by version {predictions.version} ({predictions.rows} rows).")


def _entries() -> int:
    import sqlalchemy as sa

    from include.evergreen.database import reading
    from include.evergreen.database.tables import ledger

    with reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(ledger)).scalar_one())
