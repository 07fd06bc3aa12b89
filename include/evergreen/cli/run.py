"""``run``: a whole cycle of one model in this process."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.cli.terminal import counted
from include.evergreen.cli.user import actor

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.monitoring.triggers import RuleOutlook
    from include.evergreen.operations.local_run import CycleResult

UNAVAILABLE_SHOWN = 5


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``run``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "ingest what is missing, train, gate, promote, score, monitor and say which rule would fire, without Airflow"
    verb = common_arguments.add_verb(verbs, common, "run", text, run)
    common_arguments.add_model(verb)
    verb.add_argument(
        "--as-of", required=True, type=common_arguments.partition, metavar="DATE",
        help="the as_of date: nothing that became known later is read",
    )  # fmt: skip
    verb.add_argument(
        "--window",
        type=common_arguments.span,
        metavar="LENGTH",
        help="how far before as_of the rows begin, such as '60 days' (default: train.window)",
    )
    verb.add_argument("--reason", default="run from the command line", metavar="R", help="why, for the ledger")


def run(arguments: argparse.Namespace) -> int:
    """Run a whole cycle of one model in this process, as its DAGs would, and print what came of each step.

    :param arguments: ``model``, ``as_of``, ``window`` (None: ``train.window``) and ``reason``
    :returns: the exit code 0, whatever the gate decided
    """
    from include.evergreen.cli.progress import progress
    from include.evergreen.config import Catalog
    from include.evergreen.operations.local_run import run_cycle

    catalog = Catalog()
    model = catalog.model(arguments.model)
    with progress() as show:
        result = run_cycle(
            catalog, model, arguments.as_of, window=arguments.window, reason=arguments.reason, actor=actor(), progress=show
        )  # fmt: skip
    print("\n".join(summary(result)))
    return 0


def summary(result: CycleResult) -> Iterator[str]:
    """Tell what a cycle did.

    :param result: what `run_cycle` returned
    :yields: the lines to print, the outcome first
    """
    yield f"{result.model} as of {result.as_of}: {_outcome(result)}"
    yield f"Ingested: {counted(len(result.ingested), 'partition') if result.ingested else 'nothing, as no partition was missing'}."
    if result.unavailable:
        yield from _unavailable(result.unavailable)
    trained = "Trained" if result.is_new_candidate else "Trained before"
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in result.candidate.metrics.items())
    yield (
        f"{trained}: on {result.candidate.facts['fit_rows']} rows of snapshot {result.snapshot.digest[:12]}; on the holdout "
        f"({result.candidate.facts['holdout_rows']} rows) {metrics}."
    )
    yield f"Gate: {result.decision.verdict}."
    yield from (f"  {criterion['verdict']}: {criterion['message']}" for criterion in result.decision.criteria)
    yield f"Score of {result.as_of}: {result.scored.status}: {result.scored.message}."
    yield f"Monitor of {result.as_of}: {result.monitored.status}: {result.monitored.message}."
    yield from _rules(result.rules)


def _outcome(result: CycleResult) -> str:
    if result.promotion is None:
        return f"the gate's decision is {result.decision.verdict}, so the champion stays as it was."
    return f"{result.promotion.message}."


def _rules(rules: list[RuleOutlook]) -> Iterator[str]:
    if not rules:
        yield "Rules: model.yaml declares none under retrain, so nothing fires a training by itself."
        return
    fires = any(rule.would_fire for rule in rules)
    yield f"Rules: {'a training would be fired; here it is not, as that is for the sensor' if fires else 'none would fire'}."
    yield from (f"  {rule.message}" for rule in rules)


def _unavailable(unavailable: dict[str, str]) -> Iterator[str]:
    yield f"Could not be ingested, and was left out: {counted(len(unavailable), 'partition')}."
    for words in list(unavailable.values())[:UNAVAILABLE_SHOWN]:
        yield f"  {words}"
    if len(unavailable) > UNAVAILABLE_SHOWN:
        yield f"  and {len(unavailable) - UNAVAILABLE_SHOWN} more"
