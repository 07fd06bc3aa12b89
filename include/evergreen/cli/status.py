"""``status``: every model and dataset at a glance."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from rich.table import Table

    from include.evergreen.cli.arguments import Verbs

METRICS_SHOWN = 2
PIPED_WIDTH = 160  # columns, where no terminal says how wide it is


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    text = "show every model's champion, challenger, last decision and firing, and every dataset's partitions"
    verb = verbs.add_parser("status", parents=[common], help=text, description=text.capitalize() + ".")
    common_arguments.add_json(verb)
    verb.set_defaults(verb=show_status)


def show_status(arguments: argparse.Namespace) -> int:
    from include.evergreen.config import Catalog
    from include.evergreen.operations.status import status

    found = status(Catalog())
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        _print_tables(found)
    return 0


def _print_tables(found: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    if found["pause"]:
        console.print(f"PAUSED: {found['pause']['message']}", markup=False, highlight=False, style="bold yellow")
    console.print(_models(found["models"]))
    console.print(_datasets(found["datasets"]))


def _models(models: dict[str, Any]) -> Table:
    table = _table("Models", "model", "champion", "challenger", "last decision", "last firing")
    table.add_column("open alerts", justify="right")
    for name, model in models.items():
        decision, firing = model["last_decision"], model["last_firing"]
        table.add_row(
            name,
            _version(model["champion"]),
            _version(model["challenger"]) + _waiting(model["waiting_for_approval"]),
            f"{decision['verdict']}\nas of {decision['as_of']}" if decision else "-",
            f"{firing['rule']}\nas of {firing['as_of']}" if firing else "-",
            str(model["open_alerts"]),
        )
    return table


def _datasets(datasets: dict[str, Any]) -> Table:
    table = _table("Datasets", "dataset")
    for column in ("partitions", "latest", "rows", "quarantined"):
        table.add_column(column, justify="right")
    for name, each in datasets.items():
        table.add_row(name, f"{each['partitions']:,}", each["latest"] or "-", f"{each['rows']:,}", f"{each['quarantined']:,}")
    return table


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _version(version: dict[str, Any] | None) -> str:
    if version is None:
        return "-"
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in list(version["metrics"].items())[:METRICS_SHOWN])
    words = "\nno longer reproducible" if version.get("irreproducible_because") else ""
    return f"{version['version']} ({version['semver']})\nas of {version['as_of']}\n{metrics}{words}"


def _waiting(versions: list[dict[str, Any]]) -> str:
    return "".join(f"\nversion {each['version']} waits for approval" for each in versions)
