"""The summary tables that `make run` prints at the end."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partitions
from include.evergreen.gates.decision import all_decisions
from include.evergreen.monitoring import list_observations
from include.evergreen.monitoring.triggers import list_firings
from include.evergreen.monitoring.triggers.bounds import live_bounds
from include.evergreen.monitoring.triggers.rules import evaluate
from include.evergreen.registry.champions import champion
from include.evergreen.scoring.predictions import list_predictions
from tools.example import DATASETS, MODELS


def print_summary(console: Console, catalog: Catalog) -> None:
    """Print a table of the example's datasets and one for each of its models."""
    console.print(_datasets())
    for model in MODELS:
        console.print(_model(catalog, model))


def _datasets() -> Table:
    table = Table(title="Datasets", title_justify="left", show_edge=False)
    for name in ("dataset", "partitions", "first", "last", "rows", "quarantined"):
        table.add_column(name, justify="right" if name in {"partitions", "rows", "quarantined"} else "left")
    for name in DATASETS:
        versions = current_partitions(name)
        if versions:
            rows, quarantined = sum(version.rows for version in versions), sum(version.quarantined for version in versions)
            first, last = versions[0].partition, versions[-1].partition
            table.add_row(name, str(len(versions)), str(first), str(last), f"{rows:,}", str(quarantined))
    return table


def _model(catalog: Catalog, model: str) -> Table:
    table = Table(title=f"\n{model}", title_justify="left", show_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    scored, observed = list_predictions(model), list_observations(model)
    table.add_row("scored", f"{len(scored)} days, {sum(day.rows for day in scored):,} flights" if scored else "nothing yet")
    table.add_row("monitored", f"{len(observed)} observations over {len({observation.partition for observation in observed})} days")
    for trip in _rule_trips(catalog, model):
        table.add_row("rule tripped", trip)
    for firing in list_firings(model):
        table.add_row("[bold]trigger event[/bold]", f"as of {firing.as_of}: {firing.message}")
    for decision in reversed(all_decisions(model)):
        against = f"against version {decision.champion_version}" if decision.champion_version else "without a champion"
        table.add_row(f"gate, as of {decision.as_of}", f"[bold]{decision.verdict}[/bold] {against}: {decision.summary}")
    serving = champion(model)
    if serving:
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in list(serving.metrics.items())[:3])
        table.add_row("[bold]champion[/bold]", f"version {serving.semver} (MLflow {serving.version}) as of {serving.as_of}: {metrics}")
    return table


def _rule_trips(catalog: Catalog, model: str) -> list[str]:
    """Describe each rule's first trip over the whole history, and whether the cool-down suppressed it."""
    trips = []
    config = catalog.model(model)
    for rule in config.retrain.rules:
        observed, bounds = list_observations(model, rule.metric), live_bounds(model, rule)
        ends = range(1, len(observed) + 1)
        evidence = next((found for end in ends if (found := evaluate(rule, observed[:end], config.calendar, bounds))), None)
        if evidence:
            fired = any(firing.rule == rule.name for firing in list_firings(model))
            suppressed = "" if fired else f"; it triggered nothing because of the cool-down ({config.retrain.cooldown})"
            trips.append(f"{evidence.message}{suppressed}")
    return trips
