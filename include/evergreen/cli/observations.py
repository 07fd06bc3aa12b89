"""``observations``: what monitoring observed of a model."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.monitoring import Observation

DEFAULT_PARTITIONS = 7
PIPED_WIDTH = 160  # columns, where no terminal says how wide it is


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    text = "list what was observed of a model (drift, quality, performance), newest first"
    verb = verbs.add_parser(
        "observations", parents=[common], help=text,
        description=f"{text.capitalize()}: the newest {DEFAULT_PARTITIONS} partitions, or all from --from to --to.",
    )  # fmt: skip
    common_arguments.add_model(verb)
    verb.add_argument("--from", dest="first", type=common_arguments.partition, metavar="DATE", help="the first partition")
    verb.add_argument("--to", dest="last", type=common_arguments.partition, metavar="DATE", help="the last partition")
    verb.add_argument(
        "--metric", metavar="NAME", help="one metric, such as performance.mae, or all that begin alike: performance, drift"
    )  # fmt: skip
    common_arguments.add_json(verb)
    verb.set_defaults(verb=show_observations)


def show_observations(arguments: argparse.Namespace) -> int:
    from include.evergreen.config import Catalog

    model = common_arguments.known_model(Catalog(), arguments.model)
    first, last = arguments.first or dt.date.min, arguments.last or dt.date.max
    if last < first:
        raise ConfigError(f"--to {last} is before --from {first}; give the earlier day as --from.")
    found = _newest(model) if arguments.first is arguments.last is None else _between(model, first, last)
    if arguments.metric is not None:
        found = _of_metric(found, arguments.metric)
    if arguments.json:
        print(json.dumps([{**asdict(each), "partition": each.partition.isoformat()} for each in found], indent=2))
    elif found:
        _print_table(model, found)
    else:
        print(f"Nothing was observed of {model}{_when(arguments)}: partitions are monitored once scored. See `evergreen why {model} DATE`.")
    return 0


def _newest(model: str) -> list[Observation]:
    from include.evergreen.monitoring.observations import newest_observed

    partitions = newest_observed(model, DEFAULT_PARTITIONS)
    return _between(model, partitions[-1], partitions[0]) if partitions else []


def _between(model: str, first: dt.date, last: dt.date) -> list[Observation]:
    from include.evergreen.monitoring import list_observations

    return sorted(list_observations(model, first=first, last=last), key=lambda each: each.partition, reverse=True)


def _of_metric(found: list[Observation], wanted: str) -> list[Observation]:
    """Those of one metric, or of all that begin with ``wanted`` and a dot. Raises `ConfigError` when there is none such."""
    from include.evergreen.config.wording import did_you_mean, listed

    chosen = [each for each in found if each.metric == wanted or each.metric.startswith(f"{wanted}.")]
    if found and not chosen:
        known = sorted({each.metric for each in found})
        raise ConfigError(f"no metric {wanted!r} was observed in this time; {did_you_mean(wanted, known)}observed: {listed(known)}.")
    return chosen


def _when(arguments: argparse.Namespace) -> str:
    since = f" from {arguments.first}" if arguments.first else ""
    return f"{since} to {arguments.last}" if arguments.last else since


def _print_table(model: str, found: list[Observation]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    table = Table(title=f"Observed of {model}", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("partition", "metric", "value", "version", "origin", "rows"):
        table.add_column(column, justify="right" if column in {"value", "version", "rows"} else "left", overflow="fold")
    for each in found:
        table.add_row(str(each.partition), each.metric, f"{each.value:.4f}", str(each.version), each.origin, f"{each.rows:,}")
    console.print(table)
