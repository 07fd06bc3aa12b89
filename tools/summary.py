"""What happened, in words and figures: the table that `make run` ends with."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from include.evergreen.config import Catalog
from include.evergreen.data.partitions import current_partitions
from include.evergreen.gates.decide import all_decisions
from include.evergreen.monitoring import observations_of
from include.evergreen.monitoring.triggers import firings_of
from include.evergreen.monitoring.triggers.rules import evaluate
from include.evergreen.registry.champions import champion
from include.evergreen.scoring.score import predictions_of
from tools.example import DATASETS, MODELS


def print_summary(console: Console, catalog: Catalog) -> None:
    """Two tables, of the example: the datasets, and what became of each model."""
    console.print(_datasets())
    for model in MODELS:
        console.print(_model(catalog, model))


def _datasets() -> Table:
    table = Table(title="Datasets", title_justify="left", show_edge=False)
    for name in ("dataset", "partitions", "first", "last", "rows", "quarantined"):
        table.add_column(name, justify="right" if name in {"partitions", "rows", "quarantined"} else "left")
    for name in DATASETS:
        found = current_partitions(name)
        if found:
            rows, aside = sum(each.rows for each in found), sum(each.quarantined for each in found)
            table.add_row(name, str(len(found)), str(found[0].partition), str(found[-1].partition), f"{rows:,}", str(aside))
    return table


def _model(catalog: Catalog, model: str) -> Table:
    table = Table(title=f"\n{model}", title_justify="left", show_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    scored = predictions_of(model)
    table.add_row("scored", f"{len(scored)} days, {sum(each.rows for each in scored):,} flights" if scored else "nothing yet")
    table.add_row("observed", f"{len(observations_of(model))} figures over {len({each.partition for each in observations_of(model)})} days")
    for words in _threshold_words(catalog, model):
        table.add_row("threshold tripped", words)
    for firing in firings_of(model):
        table.add_row("[bold]firing[/bold]", f"as of {firing.as_of}: {firing.words}")
    for decision in reversed(all_decisions(model)):
        against = f"against version {decision.champion_version}" if decision.champion_version else "with no champion yet"
        table.add_row(f"gate, as of {decision.as_of}", f"[bold]{decision.verdict}[/bold] {against}: {decision.brief}")
    serving = champion(model)
    if serving:
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in serving.metrics.items())
        table.add_row("[bold]champion[/bold]", f"version {serving.semver} (MLflow {serving.version}) as of {serving.as_of}: {metrics}")
    return table


def _threshold_words(catalog: Catalog, model: str) -> list[str]:
    """Each rule's first trip over the whole history, whether it fired or was held back by the cool-down."""
    words = []
    config = catalog.model(model)
    for rule in config.retrain.rules:
        observed = observations_of(model, rule.metric)
        trips = [evidence for end in range(1, len(observed) + 1) if (evidence := evaluate(rule, observed[:end]))]
        if trips:
            fired = any(each.rule == rule.name for each in firings_of(model))
            held = "" if fired else f"; it fired nothing, for the model was cooling down ({config.retrain.cooldown_days} days)"
            words.append(f"{trips[0].words}{held}")
    return words
