"""The texts of the pages on call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from evergreen_airflow.links import mlflow_ui, report_page, versions_page
from evergreen_airflow.ui import URL_PREFIX
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import parse_any
from include.evergreen.state.alerts import Alert, Detail, Event, Filter, Place

MOST_EVIDENCE = 30
LONGEST_VALUE = 600
MOST_BARS, BAR_WIDTH = 20, 220.0


@dataclass(frozen=True)
class Evidence:
    """One fact: a text, or bars that compare figures."""

    name: str
    text: str = ""
    bars: list[tuple[str, str, float]] = field(default_factory=list)  # name, figure, width


@dataclass(frozen=True)
class PlaceView:
    """A place where an alert was seen.

    :param place: the place
    """

    place: Place

    @property
    def title(self) -> str:
        """The task, DAG, model or dataset."""
        place = self.place
        mapped = f" [{place.map_index}]" if place.map_index >= 0 else ""
        return f"{place.dag_id} {place.task_id}{mapped}".strip() or place.model or place.dataset

    @property
    def links(self) -> list[tuple[str, str, bool]]:
        """Label, URL below Airflow's base path, and whether it is Airflow's own page rather than ours."""
        place = self.place
        links: list[tuple[str, str, bool]] = []
        if place.dag_id:
            dag = f"dags/{_quoted(place.dag_id)}"
            if place.run_id and place.task_id:
                task = f"{dag}/runs/{_quoted(place.run_id)}/tasks/{_quoted(place.task_id)}"
                task += f"/mapped/{place.map_index}" if place.map_index >= 0 else ""
                links.append(("Log", f"{task}?{urlencode({'try_number': place.try_number})}" if place.try_number else task, True))
            if place.run_id:
                links.append(("Run", f"{dag}/runs/{_quoted(place.run_id)}", True))
            links.append(("DAG", dag, True))
        dataset, day = place.dataset or _subject(place, "ingest"), _day(place.partition)
        model = place.model or _subject(place, "train", "score", "monitor", "retrain", "approve", "promote")
        if dataset and day:
            links.append(("Validation", f"{URL_PREFIX[1:]}/dags/{_quoted(dataset)}.ingest/validations/{day}", False))
        if model:
            if day:
                links.append(("Drift report", report_page(model, day), False))
            links.append(("Versions", versions_page(model), False))
        return links


@dataclass(frozen=True)
class AlertPage:
    """One alert.

    :param detail: the alert, with its places and timeline
    """

    detail: Detail

    @property
    def alert(self) -> Alert:
        """The alert itself."""
        return self.detail.alert

    @property
    def places(self) -> list[PlaceView]:
        """Where it was seen."""
        return [PlaceView(place) for place in self.detail.places]

    @property
    def events(self) -> list[Event]:
        """Its timeline, the newest first."""
        return self.detail.events[::-1]

    @property
    def evidence(self) -> list[Evidence]:
        """Its facts; figures of the same kind as bars."""
        return [_evidence(name, value) for name, value in list(self.alert.evidence.items())[:MOST_EVIDENCE]]

    @property
    def mlflow(self) -> str | None:
        """Where MLflow shows the run that the evidence names."""
        run, ui = self.alert.evidence.get("mlflow_run_id"), mlflow_ui()
        return f"{ui}/#/runs/{_quoted(run)}" if ui and isinstance(run, str) else None


def query_of(chosen: Filter, **changes: Any) -> str:
    """Write a filter as the query of the inbox's address.

    :param chosen: the filter
    :param **changes: parameters to set; empty: to leave out
    :returns: the query, with ``?`` before it, or nothing
    """
    values: dict[str, Any] = {name: getattr(chosen, name) for name in ("severity", "kind", "name", "dag_id", "task_id", "run_id",
                                                                      "assignee", "text")}  # fmt: skip
    values["state"] = list(chosen.states) if tuple(chosen.states) != Filter().states else []
    values |= changes
    query = urlencode({name: value for name, value in values.items() if value}, doseq=True)
    return f"?{query}" if query else ""


def _evidence(name: str, value: object) -> Evidence:
    title = name.replace("_", " ")
    if isinstance(value, Mapping) and len(value) > 1 and all(_is_figure(figure) for figure in value.values()):
        figures = sorted(value.items(), key=lambda each: -abs(each[1]))[:MOST_BARS]
        widest = max(abs(figure) for _, figure in figures) or 1
        return Evidence(title, bars=[(str(key), f"{figure:,.4g}", round(abs(figure) / widest * BAR_WIDTH, 1)) for key, figure in figures])
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
        text = ", ".join(map(str, value))
    return Evidence(title, text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…")


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _subject(place: Place, *stages: str) -> str:
    name, _, stage = place.dag_id.rpartition(".")
    return name if stage in stages else ""


def _day(partition: str) -> str:
    try:
        return str(parse_any(partition))
    except ConfigError:
        return ""


def _quoted(text: str) -> str:
    return quote(text, safe="")
