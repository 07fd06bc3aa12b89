"""``observations``: what monitoring observed of a model."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.cli.terminal import console, new_table
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import EARLIEST, LATEST, Partition

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.monitoring import Observation

DEFAULT_PARTITIONS = 7


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``observations``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "list what was observed of a model (drift, quality, performance, estimates of it), newest first"
    details = f": the newest {DEFAULT_PARTITIONS} partitions, or all from --from to --to."
    verb = common_arguments.add_verb(verbs, common, "observations", text, show_observations, details)
    common_arguments.add_model(verb)
    verb.add_argument("--from", dest="first", type=common_arguments.partition, metavar="DATE", help="the first partition")
    verb.add_argument("--to", dest="last", type=common_arguments.partition, metavar="DATE", help="the last partition")
    verb.add_argument(
        "--metric", metavar="NAME", help="one metric, such as performance.mae, or all that begin alike: performance, estimated, drift"
    )  # fmt: skip
    common_arguments.add_json(verb)


def show_observations(arguments: argparse.Namespace) -> int:
    """Print what monitoring observed of a model, as a table or as JSON: drift, quality and performance by partition.

    :param arguments: ``model``, ``first``, ``last``, ``metric`` and ``json``
    :returns: the exit code 0
    :raises ConfigError: when the last partition is before the first
    """
    from include.evergreen.config import Catalog

    model = common_arguments.known_model(Catalog(), arguments.model)
    first, last = arguments.first or EARLIEST, arguments.last or LATEST
    if last < first:
        raise ConfigError(f"--to {last} is before --from {first}; give the earlier day as --from.")
    observed = _newest(model) if arguments.first is arguments.last is None else _between(model, first, last)
    if arguments.metric is not None:
        observed = _of_metric(observed, arguments.metric)
    if arguments.json:
        ends = _intervals(model, observed)
        print(json.dumps([{**asdict(each), **_named(ends.get(_key(each)))} for each in observed], indent=2, default=str))
    elif observed:
        _print_table(model, observed)
    else:
        print(f"Nothing was observed of {model}{_when(arguments)}: partitions are monitored once scored. See `evergreen why {model} DATE`.")
    return 0


def _newest(model: str) -> list[Observation]:
    from include.evergreen.monitoring.observations import newest_observed

    partitions = newest_observed(model, DEFAULT_PARTITIONS)
    return _between(model, partitions[-1], partitions[0]) if partitions else []


def _between(model: str, first: Partition, last: Partition) -> list[Observation]:
    from include.evergreen.monitoring import list_observations

    return sorted(list_observations(model, first=first, last=last), key=lambda observation: observation.partition, reverse=True)


def _of_metric(observed: list[Observation], wanted: str) -> list[Observation]:
    """Those of one metric, or of all that begin with ``wanted`` and a dot. Raises `ConfigError` when there is none such."""
    from include.evergreen.config.wording import did_you_mean, listed

    chosen = [observation for observation in observed if observation.metric == wanted or observation.metric.startswith(f"{wanted}.")]
    if observed and not chosen:
        known = sorted({observation.metric for observation in observed})
        raise ConfigError(f"no metric {wanted!r} was observed in this time; {did_you_mean(wanted, known)}observed: {listed(known)}.")
    return chosen


Interval = tuple[float, float]


def _intervals(model: str, observed: list[Observation]) -> dict[tuple[Partition, str], Interval]:
    """The intervals of the estimates among what was observed, by partition and the observation's name."""
    from include.evergreen.config.metrics import ESTIMATED
    from include.evergreen.monitoring.estimates import list_estimates

    days = [each.partition for each in observed if each.metric.startswith(ESTIMATED)]
    if not days:
        return {}
    estimates = list_estimates(model, first=min(days), last=max(days))
    return {(each.partition, f"{ESTIMATED}{each.metric}"): (each.low, each.high) for each in estimates}


def _key(observation: Observation) -> tuple[Partition, str]:
    return observation.partition, observation.metric


def _named(interval: Interval | None) -> dict[str, float]:
    return dict(zip(("low", "high"), interval, strict=True)) if interval else {}


def _when(arguments: argparse.Namespace) -> str:
    since = f" from {arguments.first}" if arguments.first else ""
    return f"{since} to {arguments.last}" if arguments.last else since


def _print_table(model: str, observed: list[Observation]) -> None:
    table = new_table(f"Observed of {model}", "partition", "metric", "value", "interval", "version", "origin", "rows")
    ends = _intervals(model, observed)
    for column in table.columns:
        if column.header in {"value", "version", "rows"}:
            column.justify = "right"
    for row in observed:
        interval = "{:.4f} to {:.4f}".format(*ends[_key(row)]) if _key(row) in ends else ""
        table.add_row(str(row.partition), row.metric, f"{row.value:.4f}", interval, str(row.version), row.origin, f"{row.rows:,}")
    console().print(table)
