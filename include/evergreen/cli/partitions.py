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
    """Add ``why``, ``missed`` and ``rescore``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    text = "say why a model's partition was scored and monitored or was not, and what to do"
    verb = common_arguments.add_verb(verbs, common, "why", text, why)
    common_arguments.add_model(verb)
    verb.add_argument(
        "partition",
        metavar="PARTITION",
        type=common_arguments.partition,
        help="its key: a date such as 2013-02-09, or, within a day, a time such as 2013-02-09T0500Z",
    )

    text = "list what models could have scored or monitored for more than an hour, and nothing has started"
    verb = common_arguments.add_verb(verbs, common, "missed", text, missed)
    verb.add_argument(
        "--since", type=common_arguments.parse_start, metavar="WHEN", help="look at what was published since then (default: a week ago)"
    )
    verb.add_argument("--make-up", action="store_true", help="score and monitor it, in this process")

    verb = common_arguments.add_verb(verbs, common, "rescore", "score and monitor a range of partitions again, without ingesting", rescore)
    common_arguments.add_model(verb)
    for flag, name, day in (("--from", "first", "first"), ("--to", "last", "last")):
        verb.add_argument(flag, dest=name, required=True, type=common_arguments.partition, metavar="DATE", help=f"the {day} partition")
    verb.add_argument("--stage", choices=tuple(STAGES), default="both", help="which stage to repeat (default: both)")


def why(arguments: argparse.Namespace) -> int:
    """Print a line on each input, the labels and each stage of a model's partition, and last what to do next.

    :param arguments: ``model`` and ``partition``
    :returns: the exit code 0
    """
    from include.evergreen.config import Catalog
    from include.evergreen.operations.diagnose import why as explain

    catalog = Catalog()
    print("\n".join(explain(catalog, catalog.model(arguments.model), arguments.partition)))
    return 0


def missed(arguments: argparse.Namespace) -> int:
    """Print the scorings and monitorings that are due and that nothing has started, or do them, too, in this process.

    :param arguments: ``since`` (UTC; None: a week ago) and ``make_up``
    :returns: the exit code; 3 when any failed that was to be made up for
    """
    from include.evergreen.config import Catalog
    from include.evergreen.operations import rescoring
    from include.evergreen.operations.missed import make_up_for, missed_work

    catalog, failed = Catalog(), False
    missed_stages = missed_work(catalog, since=arguments.since)
    for stage in missed_stages:
        print(stage)
        if arguments.make_up:
            outcome = make_up_for(catalog, stage)
            print(f"  {outcome.status}: {outcome.message}")
            failed |= outcome.status == rescoring.FAILED
    print(f"{len(missed_stages)} found." if missed_stages else "Nothing was missed.")
    return DATA_AT_FAULT if failed else 0


def rescore(arguments: argparse.Namespace) -> int:
    """Score and monitor each partition of a range again, and print what came of each, last what failed.

    :param arguments: ``model``, ``first``, ``last`` and ``stage`` (one of `STAGES`)
    :returns: the exit code; 3 when any failed
    """
    from include.evergreen.cli.progress import progress
    from include.evergreen.config import Catalog
    from include.evergreen.operations import rescoring

    catalog = Catalog()
    model = catalog.model(arguments.model)
    with progress() as show:
        outcomes = rescoring.rescore(
            catalog, model, arguments.first, arguments.last, stages=STAGES[arguments.stage], progress=show
        )  # fmt: skip
    for done in outcomes:
        print(f"{done.partition} {done.stage}: {done.outcome.status}: {done.outcome.message}")
    print(f"{model.name}: {_totals(outcomes)}.")
    failed = [done for done in outcomes if done.outcome.status == rescoring.FAILED]
    for done in failed:
        print(f"Failed: {done.partition} {done.stage}. `evergreen why {model.name} {done.partition}` says why, and what to do.")
    return DATA_AT_FAULT if failed else 0


def _totals(outcomes: list[StageOutcome]) -> str:
    texts = []
    for stage in STAGES["both"]:
        counts = Counter(done.outcome.status for done in outcomes if done.stage == stage)
        if counts:
            texts.append(f"{stage}: {', '.join(f'{number} {status}' for status, number in counts.items())}")
    return "; ".join(texts)
