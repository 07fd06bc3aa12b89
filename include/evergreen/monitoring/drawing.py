"""Renders the drift report of a window with Evidently, as HTML: 4 MB, and seconds of imports."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from include.evergreen.config import ModelConfig
from include.evergreen.monitoring.drift import compared_kinds

if TYPE_CHECKING:
    import pandas as pd
    from evidently.core.report import Snapshot

    from include.evergreen.monitoring.verdicts import Verdict

NUMERIC_METHOD = "wasserstein"
CATEGORICAL_METHOD = "jensenshannon"


@dataclass(frozen=True)
class MonitoredColumns:
    """The columns of the stored rows that Evidently compares, by kind; numbers come first, and the prediction before them all."""

    numeric: list[str]
    categorical: list[str]


def draw(model: ModelConfig, reference: pd.DataFrame, current: pd.DataFrame, heading: str, verdict: Verdict) -> str:
    """A page of its own, in HTML: the verdict, and below it Evidently's own scores and pictures, in which every value counts.

    :param model: whose declared features are compared, and whose thresholds apply
    :param reference: the sample of what the version was trained on, with its predictions
    :param current: the predictions of the window, with their features
    :param heading: whose page it is and of when, which Evidently does not say
    :param verdict: of the same window, from `judge_drift`
    :returns: the page, some 4 MB
    """
    html = compare(model, reference, current).get_html_str(as_iframe=False)
    message = escape(heading)
    top = f'<title>{message}</title><h1 style="font: 500 22px system-ui, sans-serif; margin: 16px 24px">{message}</h1>{_table(verdict)}'
    return str(html.replace("<body>", f"<body>{top}", 1))


def compare(model: ModelConfig, reference: pd.DataFrame, current: pd.DataFrame) -> Snapshot:
    """Evidently's own measurement of what `judge_drift` judges: distances of all values, without a p-value.

    :param model: whose declared features are compared, and whose thresholds apply
    :param reference: the sample of what the version was trained on, with its predictions
    :param current: the predictions of the window, with their features
    :returns: Evidently's result, one value for each compared column
    """
    from evidently import DataDefinition, Dataset, Report

    columns = compared_columns(model, reference, current)
    names = [*columns.numeric, *columns.categorical]
    definition = DataDefinition(numerical_columns=columns.numeric, categorical_columns=columns.categorical)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Report(_metrics(model, columns)).run(
            current_data=Dataset.from_pandas(current[names].apply(plain), definition),
            reference_data=Dataset.from_pandas(reference[names].apply(plain), definition),
        )


def _metrics(model: ModelConfig, columns: MonitoredColumns) -> list[Any]:
    from evidently.metrics import ValueDrift

    limits = model.monitor
    return [
        *(ValueDrift(column=name, method=NUMERIC_METHOD, threshold=limits.numeric_threshold) for name in columns.numeric),
        *(ValueDrift(column=name, method=CATEGORICAL_METHOD, threshold=limits.categorical_threshold) for name in columns.categorical),
    ]


def compared_columns(model: ModelConfig, reference: pd.DataFrame, current: pd.DataFrame) -> MonitoredColumns:
    """Choose the columns to compare: ``prediction`` and the features that are not personal, as far as both frames have a value of them.

    :param model: whose declared features they are, and of what kinds
    :param reference: the sample of what the version was trained on, with its predictions
    :param current: the predictions of the window, with their features
    :returns: the names of their columns, each kind in the order of the declaration
    """
    usable = {name: kind for name, kind in compared_kinds(model).items() if _has_values(reference[name]) and _has_values(current[name])}
    return MonitoredColumns(*([name for name, of in usable.items() if of == kind] for kind in ("numeric", "categorical")))


def plain(column: pd.Series) -> pd.Series:
    """Give a column numpy's types alone, as Evidently wants it; of text, a missing value is a category too.

    :param column: a feature, in whatever type it is stored; it is not changed
    :returns: text as objects, with ``''`` for missing; any other column as it is
    """
    return column.fillna("").astype(object) if column.dtype == "string" else column


def _table(verdict: Verdict) -> str:
    """What was judged, ranked as the verdict says; with what it rests on."""
    rows = []
    for column in verdict.ranked:
        cells = [column.column, column.state, column.aspect, _figure(column.effect), _figure(column.limit), _figure(column.p_value)]
        cells += [
            f"{column.likeness:.2f}",
            ", ".join([*(f"new: {name}" for name in column.new), *(f"gone: {name}" for name in column.vanished)]),
        ]
        rows.append("".join(f'<td style="padding: 2px 12px 2px 0">{escape(cell)}</td>' for cell in cells))
    names = ("column", "verdict", "of", "effect", "matters from", "p-value", "likeness within a day", "categories")
    head = "".join(f'<th style="padding: 2px 12px 2px 0">{name}</th>' for name in names)
    lines = "".join(f"<tr>{row}</tr>" for row in rows)
    style = "margin: 0 24px 16px; font: 14px system-ui, sans-serif; text-align: left"
    return f'<table id="verdict" style="{style}"><tr>{head}</tr>{lines}</table>'


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _has_values(column: pd.Series) -> bool:
    finite = column.replace([-math.inf, math.inf], math.nan) if column.dtype.kind == "f" else column
    return bool(finite.notna().any())
