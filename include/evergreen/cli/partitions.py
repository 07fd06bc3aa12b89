"""``why``, ``missed`` and ``rescore``: how far partitions came, what nothing has started, and once more through scoring and monitoring."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.operations.rescoring import StageOutcome
    from include.evergreen.state.stage_status import Stage

STAGES: dict[str, tuple[Stage, ...]] = {"score": ("score",), "monitor": ("monitor",), "both": ("score", "monitor")}
DATA_AT_FAULT = 3


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    text = "say why a model's partition was scored and monitored or was not, and what to do"
    verb = verbs.add_parser("why", parents=[common], help=text, description=text.capitalize() + ".")
    common_arguments.add_model(verb)
    verb.add_argument("partition", metavar="PARTITION", type=common_arguments.partition, help="a date, such as 2013-02-09")
    verb.set_defaults(verb=why)

    text = "list what models could have scored or monitored for more than an hour, and nothing has started"
    verb = verbs.add_parser("missed", parents=[common], help=text, description=text.capitalize() + ".")
    verb.add_argument(
        "--since", type=common_arguments.parse_start, metavar="WHEN", help="look at what was published since then (default: a week ago)"
    )
    verb.add_argument("--make-up", action="store_true", help="score and monitor it, in this process")
    verb.set_defaults(verb=missed)

    text = "score and monitor a range of partitions again, without ingesting"
    verb = verbs.add_parser("rescore", parents=[common], help=text, description=text.capitalize() + ".")
    common_arguments.add_model(verb)
    for flag, name, day in (("--from", "first", "first"), ("--to", "last", "last")):
        verb.add_argument(flag, dest=name, required=True, type=common_arguments.partition, metavar="DATE", help=f"the {day} partition")
    verb.add_argument("--stage", choices=tuple(STAGES), default="both", help="which stage to repeat (default: both)")
    verb.set_defaults(verb=rescore)


def why(arguments: argparse.Namespace) -> int:
    from include.evergreen.config import Catalog
    from include.evergreen.operations.diagnose import why as explain

    catalog = Catalog()
    print("\n".join(explain(catalog, catalog.model(arguments.model), arguments.partition)))
    return 0


def missed(arguments: argparse.Namespace) -> int:
    from include.evergreen.config import Catalog
    from include.evergreen.operations import rescoring
    from include.evergreen.operations.missed import make_up_for, missed_work

    catalog, failed = Catalog(), False
    found = missed_work(catalog, since=arguments.since)
    for each in found:
        print(each)
        if arguments.make_up:
            outcome = make_up_for(catalog, each)
            print(f"  {outcome.status}: {outcome.message}")
            failed |= outcome.status == rescoring.FAILED
    print(f"{len(found)} found." if found else "Nothing was missed.")
    return DATA_AT_FAULT if failed else 0


def rescore(arguments: argparse.Namespace) -> int:
    from include.evergreen.cli.progress import progress
    from include.evergreen.config import Catalog
    from include.evergreen.operations import rescoring

    catalog = Catalog()
    model = catalog.model(arguments.model)
    with progress() as show:
        outcomes = rescoring.rescore(
            catalog, model, arguments.first, arguments.last, stages=STAGES[arguments.stage], progress=show
        )  # fmt: skip
    for each in outcomes:
        print(f"{each.partition} {each.stage}: {each.outcome.status}: {each.outcome.message}")
    print(f"{model.name}: {_totals(outcomes)}.")
    return DATA_AT_FAULT if any(each.outcome.status == rescoring.FAILED for each in outcomes) else 0


def _totals(outcomes: list[StageOutcome]) -> str:
    counts = {stage: Counter(each.outcome.status for each in outcomes if each.stage == stage) for stage in STAGES["both"]}
    words = {stage: ", ".join(f"{number} {status}" for status, number in found.items()) for stage, found in counts.items()}
    return "; ".join(f"{stage}: {text}" for stage, text in words.items() if text)
