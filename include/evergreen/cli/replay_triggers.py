"""``replay-triggers`` and ``fire``: when the rules of a model would have fired, on the recorded past; and a firing by hand."""

from __future__ import annotations

import argparse
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.cli.terminal import console, counted, new_table
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import EARLIEST, LATEST

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.config import ModelConfig
    from include.evergreen.config.monitoring import Rule
    from include.evergreen.monitoring import Observation
    from include.evergreen.monitoring.triggers import Replayed

PICTURES = (".svg", ".png", ".pdf")
PANEL_HEIGHT, WIDTH = 2.2, 11.0  # inches
OTHERS_SHOWN = 4  # of performance, that no rule is about


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``replay-triggers`` and ``fire``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    text = "say when the rules of model.yaml would have fired on what was observed; nothing is fired"
    details = ". Backfilled observations count, and every training that is fired counts as one that succeeds."
    verb = common_arguments.add_verb(verbs, common, "replay-triggers", text, replay_triggers, details)
    common_arguments.add_model(verb)
    verb.add_argument("--from", dest="first", type=common_arguments.partition, metavar="DATE", help="the first partition (default: all)")
    verb.add_argument("--to", dest="last", type=common_arguments.partition, metavar="DATE", help="the last partition")
    verb.add_argument(
        "--output", metavar="FILE", type=Path, help="also draw the figures, their bounds and the firings, beside the model's performance"
    )  # fmt: skip
    common_arguments.add_json(verb)

    text = "fire a model's retraining by hand, as of its newest observed partition; the sensor that stands armed starts the training"
    details = ". A cool-down does not hold it back, and begins with it. A pause, and a training that is under way, hold it."
    verb = common_arguments.add_verb(verbs, common, "fire", text, fire, details)
    common_arguments.add_model(verb)
    verb.add_argument("--reason", required=True, metavar="R", help="why, for the ledger and the training's record")


def fire(arguments: argparse.Namespace) -> int:
    """Record a firing by hand, and print what follows from it. Passes on `ConfigError` where it is held.

    :param arguments: ``model`` and ``reason``
    :returns: the exit code 0
    """
    from include.evergreen.cli.user import actor
    from include.evergreen.config import Catalog
    from include.evergreen.monitoring.triggers import fire_by_hand

    catalog = Catalog()
    model = catalog.model(common_arguments.known_model(catalog, arguments.model))
    fired = fire_by_hand(model, actor=actor(), reason=arguments.reason)
    print(f"Fired: {model.name}.retrain starts {model.name}.train as of {fired.as_of}, within seconds where Airflow runs and it is armed.")
    return 0


def replay_triggers(arguments: argparse.Namespace) -> int:
    """Print when the rules of a model would have fired, as a table or as JSON, and draw it when asked to.

    :param arguments: ``model``, ``first``, ``last``, ``output`` and ``json``
    :returns: the exit code 0
    :raises ConfigError: when the last partition is before the first, the model has no rules, or the picture's name has another ending
    """
    from include.evergreen.config import Catalog
    from include.evergreen.monitoring import list_observations
    from include.evergreen.monitoring.triggers import replay_rules

    catalog = Catalog()
    model = catalog.model(common_arguments.known_model(catalog, arguments.model))
    first, last = arguments.first or EARLIEST, arguments.last or LATEST
    if last < first:
        raise ConfigError(f"--to {last} is before --from {first}; give the earlier day as --from.")
    if not model.retrain.rules:
        raise ConfigError(f"{model.name} has no rules to replay; declare retrain.rules in its model.yaml.")
    if arguments.output is not None and arguments.output.suffix not in PICTURES:
        raise ConfigError(f"--output {arguments.output}: a picture's name ends in {', '.join(PICTURES)}.")
    observed = list_observations(model.name, first=first, last=last)
    replayed = replay_rules(model, observed)
    if arguments.output is not None:
        common_arguments.write_output(arguments.output, _picture(model, observed, replayed, arguments.output.suffix[1:]))
    if arguments.json:
        print(json.dumps([asdict(row) for row in replayed], indent=2, default=str))
    elif not observed:
        print(f"Nothing was observed of {model.name} in this time. `evergreen observations {model.name}` lists what was.")
    else:
        _print_table(model, observed, replayed)
    return 0


def _print_table(model: ModelConfig, observed: Sequence[Observation], replayed: Sequence[Replayed]) -> None:
    days = sorted({observation.partition for observation in observed})
    fired = sum(row.held_until is None for row in replayed)
    if replayed:
        table = new_table(f"Rules of {model.name} from {days[0]} to {days[-1]}", "partition", "what tripped", "what it would do")
        for row in replayed:
            table.add_row(str(row.partition), row.message, f"nothing: it cools down until {row.held_until}" if row.held_until else "fire")
        console().print(table)
    tripped = f"on {counted(len(replayed), 'day')} a rule trips, and " if replayed else "no rule trips: "
    print(f"{counted(len(days), 'observed day')}: {tripped}{counted(fired, 'training')} would be fired.")


def _draw_estimates(panel: Any, model: ModelConfig, estimates: Sequence[Observation]) -> None:
    """What was to be expected before labels came, as a band around a broken line."""
    days = [model.grain.begins(each.partition) for each in estimates]
    panel.plot(days, [each.value for each in estimates], linestyle=":", linewidth=1, color="#2ca02c")
    ends = [(each.value if end is None else end) for each in estimates for end in (each.low, each.high)]
    panel.fill_between(days, ends[::2], ends[1::2], color="#2ca02c", alpha=0.12, linewidth=0)


def _draw_bound(panel: Any, model: ModelConfig, rule: Rule, figures: Sequence[Observation]) -> None:
    """A line; of a bound that differs by version or is learned, a step for each observation that has one."""
    from include.evergreen.monitoring.triggers.replay import replayed_bounds

    style = {"linestyle": "--", "linewidth": 1, "color": "#888888", "label": rule.name}
    if rule.declared_bound is not None and rule.relative_to is None:
        panel.axhline(rule.declared_bound, **style)
    else:
        days = [model.grain.begins(figure.partition) for figure in figures]
        bounds = [math.nan if bound is None else bound for bound in replayed_bounds(model, rule, figures)]
        panel.plot(days, bounds, drawstyle="steps-mid", **style)


def _picture(model: ModelConfig, observed: Sequence[Observation], replayed: Sequence[Replayed], kind: str) -> bytes:
    """A panel for each metric that a rule is about, with its bound, and for the first others of performance; the firings in all.

    Performance stands before a band: what was estimated of it.
    """
    from matplotlib.figure import Figure

    from include.evergreen.config.metrics import ESTIMATED, PERFORMANCE, metrics_of

    begins = model.grain.begins
    ruled = list(dict.fromkeys(rule.metric for rule in model.retrain.rules))
    seen = {observation.metric for observation in observed}
    performance = (f"performance.{metric}" for metric in metrics_of(model))
    metrics = [*ruled, *[metric for metric in performance if metric in seen and metric not in ruled][:OTHERS_SHOWN]]
    figure = Figure(figsize=(WIDTH, PANEL_HEIGHT * len(metrics)), layout="constrained")
    panels = figure.subplots(len(metrics), sharex=True, squeeze=False)[:, 0]
    for panel, metric in zip(panels, metrics, strict=True):
        figures = [observation for observation in observed if observation.metric == metric]
        panel.plot(
            [begins(figure.partition) for figure in figures], [figure.value for figure in figures], marker=".", linewidth=1, color="#1f77b4"
        )
        if metric.startswith((PERFORMANCE, ESTIMATED)):
            expected = f"{ESTIMATED}{metric.partition('.')[2]}"
            _draw_estimates(panel, model, [each for each in observed if each.metric == expected])
        for rule in model.retrain.rules:
            if rule.metric == metric:
                _draw_bound(panel, model, rule, figures)
                panel.legend(loc="upper right", fontsize="small", framealpha=0.9)
        for row in replayed:
            panel.axvline(begins(row.partition), linewidth=1.5 if row.held_until is None else 0.5, color="#d62728", alpha=0.8)
        panel.set_ylabel(metric, fontsize="small")
        panel.grid(alpha=0.2)
    panels[0].set_title(f"{model.name}: thick lines are days on which a training would be fired, thin ones are held by the cool-down")
    figure.autofmt_xdate()
    picture = io.BytesIO()
    figure.savefig(picture, format=kind)
    return picture.getvalue()
