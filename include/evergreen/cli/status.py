"""``status``: every model and dataset at a glance."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.cli.terminal import console, new_table

if TYPE_CHECKING:
    from rich.table import Table

    from include.evergreen.cli.arguments import Verbs

METRICS_SHOWN = 2


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``status``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "show every model's champion, challenger, last decision and firing, and every dataset's partitions"
    verb = common_arguments.add_verb(verbs, common, "status", text, show_status)
    common_arguments.add_json(verb)


def show_status(arguments: argparse.Namespace) -> int:
    """Print every model and dataset at a glance, as two tables or one JSON document, and first the pause, if one stands.

    :param arguments: ``json``
    :returns: the exit code 0
    """
    from include.evergreen.config import Catalog
    from include.evergreen.operations.status import status

    document = status(Catalog())
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        _print_tables(document)
    return 0


def _print_tables(document: dict[str, Any]) -> None:
    output = console()
    if document["pause"]:
        output.print(f"PAUSED: {document['pause']['message']}", markup=False, highlight=False, style="bold yellow")
    output.print(_models(document["models"]))
    output.print(_datasets(document["datasets"]))


def _models(models: dict[str, Any]) -> Table:
    table = new_table("Models", "model", "champion", "challenger", "performance", "last decision", "last firing")
    table.add_column("open alerts", justify="right")
    for name, model in models.items():
        decision, firing = model["last_decision"], model["last_firing"]
        table.add_row(
            name,
            _version(model["champion"]),
            _version(model["challenger"]) + _rollout(model["rollout"]) + _waiting(model["waiting_for_approval"]),
            _performance(model["performance"]),
            f"{decision['verdict']}\nas of {decision['as_of']}" if decision else "-",
            f"{firing['rule']}\nas of {firing['as_of']}" if firing else "-",
            str(model["open_alerts"]),
        )
    return table


def _datasets(datasets: dict[str, Any]) -> Table:
    table = new_table("Datasets", "dataset")
    for column in ("partitions", "latest", "rows", "quarantined"):
        table.add_column(column, justify="right")
    for name, counts in datasets.items():
        table.add_row(name, f"{counts['partitions']:,}", counts["latest"] or "-", f"{counts['rows']:,}", f"{counts['quarantined']:,}")
    return table


def _version(version: dict[str, Any] | None) -> str:
    if version is None:
        return "-"
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in list(version["metrics"].items())[:METRICS_SHOWN])
    words = "\nno longer reproducible" if version.get("irreproducible_because") else ""
    return f"{version['version']} ({version['semver']})\nas of {version['as_of']}\n{metrics}{words}"


def _rollout(rollout: dict[str, Any] | None) -> str:
    if rollout is None:
        return ""
    serves = f" serves {rollout['share']:.0%}" if rollout["share"] else ""
    return f"\n{rollout['strategy']}{serves}, step {rollout['step']} of {rollout['steps']}\n{rollout['waits_for']}".rstrip()


def _performance(newest: dict[str, Any] | None) -> str:
    """Of the partition that was observed last: each metric as realised, and as estimated before labels came."""
    if newest is None:
        return "-"
    told = [f"of {newest['partition']}"]
    for name, each in list(newest["metrics"].items())[:METRICS_SHOWN]:
        realised = [] if each["realised"] is None else [f"{each['realised']:.3f}"]
        estimated = [] if each["estimated"] is None else [f"estimated {each['estimated']:.3f}"]
        told.append(f"{name} {', '.join(realised + estimated)}")
    return "\n".join([*told, *(["concept drift suspected"] if newest["concept_drift_suspected"] else [])])


def _waiting(versions: list[dict[str, Any]]) -> str:
    return "".join(f"\nversion {version['version']} waits for approval" for version in versions)
