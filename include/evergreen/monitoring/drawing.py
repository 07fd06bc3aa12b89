"""Renders the drift report of a window with Evidently, as HTML: 4 MB, and seconds of imports."""

from __future__ import annotations

import warnings
from html import escape
from typing import TYPE_CHECKING, Any

from include.evergreen.config import ModelConfig
from include.evergreen.monitoring.drift import MonitoredColumns, compared_columns, plain

if TYPE_CHECKING:
    import pandas as pd
    from evidently.core.report import Snapshot

NUMERIC_METHOD = "wasserstein"
CATEGORICAL_METHOD = "jensenshannon"


def draw(model: ModelConfig, reference: pd.DataFrame, current: pd.DataFrame, heading: str) -> str:
    """A page of its own, in HTML. Its scores are those of `measure_drift`.

    :param model: whose declared features are compared, and whose thresholds apply
    :param reference: the sample of what the version was trained on, with its predictions
    :param current: the predictions of the window, with their features
    :param heading: whose page it is and of when, which Evidently does not say
    :returns: the page, some 4 MB
    """
    html = compare(model, reference, current).get_html_str(as_iframe=False)
    message = escape(heading)
    top = f'<title>{message}</title><h1 style="font: 500 22px system-ui, sans-serif; margin: 16px 24px">{message}</h1>'
    return str(html.replace("<body>", f"<body>{top}", 1))


def compare(model: ModelConfig, reference: pd.DataFrame, current: pd.DataFrame) -> Snapshot:
    """Evidently's own measurement of what `measure_drift` measures.

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
