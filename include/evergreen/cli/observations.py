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
    verb.add_argument(
        "--history", action="store_true", help="the figures that were revised alone: what each was before, as labels and corrections came"
    )  # fmt: skip
    common_arguments.add_json(verb)


def show_observations(arguments: argparse.Namespace) -> int:
    """Print what monitoring observed of a model, as a table or as JSON: drift, quality and performance by partition.

    :param arguments: ``model``, ``first``, ``last``, ``metric``, ``history`` and ``json``
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
    shown = _with_history(model, observed, arguments.metric) if arguments.history else observed
    if arguments.json:
        print(json.dumps([asdict(each) for each in shown], indent=2, default=str))
    elif shown:
        _print_table(f"{'Revised' if arguments.history else 'Observed'} of {model}", shown, with_history=arguments.history)
    elif observed:
        print(f"None of these figures of {model} was revised: what was observed first stands.")
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


def _when(arguments: argparse.Namespace) -> str:
    since = f" from {arguments.first}" if arguments.first else ""
    return f"{since} to {arguments.last}" if arguments.last else since


def _with_history(model: str, observed: list[Observation], wanted: str | None) -> list[Observation]:
    """What each figure was, oldest first, and then what it is now, if it is observed still; those that never changed are left out."""
    from include.evergreen.monitoring.observations import list_superseded

    if not observed:
        return []
    days = [each.partition for each in observed]
    earlier = list_superseded(model, first=min(days), last=max(days))
    if wanted is not None:
        earlier = [each for each in earlier if each.metric == wanted or each.metric.startswith(f"{wanted}.")]
    revised = {(each.partition, each.metric) for each in earlier}
    every = [*earlier, *(each for each in observed if (each.partition, each.metric) in revised)]
    by_metric = sorted(every, key=lambda each: each.metric)
    return sorted(by_metric, key=lambda each: each.partition, reverse=True)


def _print_table(title: str, observed: list[Observation], *, with_history: bool) -> None:
    from include.evergreen.monitoring.observations import SupersededObservation

    table = new_table(title, "partition", "metric", "value", "interval", "version", "origin", "rows", *(["until"] if with_history else []))
    for column in table.columns:
        if column.header in {"value", "version", "rows"}:
            column.justify = "right"
    for row in observed:
        interval = "" if row.low is None or row.high is None else f"{row.low:.4f} to {row.high:.4f}"
        until = f"{row.superseded_at:%Y-%m-%d %H:%M}" if isinstance(row, SupersededObservation) else "now"
        cells = [str(row.partition), row.metric, f"{row.value:.4f}", interval, str(row.version), row.origin, f"{row.rows:,}"]
        table.add_row(*cells, *([until] if with_history else []))
    console().print(table)
