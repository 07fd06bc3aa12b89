from __future__ import annotations

import pandas as pd
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.monitoring.drawing import compare, draw
from include.evergreen.monitoring.drift import drift_figures
from tests.unit.monitoring.test_drift import _judge, frame, model

pytestmark = pytest.mark.sqlite_only  # on what is computed, which no database changes
__all__ = ["model"]


@pytest.mark.parametrize("seed", [2, 3])
def test_evidentlys_distances_are_near_ours_where_no_value_is_absurd(model: ModelConfig, seed: int) -> None:
    """Those of categories are the same; of numbers ours leave the outermost hundredths out."""
    current = frame(seed).assign(origin="EWR", wind=lambda rows: rows["wind"] + 4, prediction=lambda rows: rows["prediction"] + 100)
    ours = {name.removeprefix("drift."): value for name, value in drift_figures(model, _judge(model, current))}
    shown = {each["config"]["column"]: float(each["value"]) for each in compare(model, frame(1), current).dict()["metrics"]}
    assert ours["origin"] == pytest.approx(shown["origin"])
    assert ours["carrier"] == pytest.approx(shown["carrier"])
    assert ours["wind"] == pytest.approx(shown["wind"], rel=0.1)
    assert ours["prediction_drift.score"] == pytest.approx(shown["prediction"], rel=0.1)


def test_a_window_without_rows_has_a_page_all_the_same(model: ModelConfig) -> None:
    none = frame(seed=1).head(0)
    page = draw(model, frame(seed=1), none, "no rows", _judge(model, none))
    assert "<html" in page
    assert "not enough rows" in page


def test_the_page_says_whose_it_is_and_what_was_judged_and_escapes_it(model: ModelConfig) -> None:
    current = frame(seed=2).assign(carrier=pd.array(["<b>", "UA"] * 1000, dtype="string"))
    page = draw(model, frame(seed=1), current, "air_time <b> & co", _judge(model, current))
    assert "<title>air_time &lt;b&gt; &amp; co</title>" in page
    table = page.split('<table id="verdict"')[1].split("</table>")[0]
    assert "new: &lt;b&gt;" in table
    assert table.index("carrier") < table.index("distance"), "what drifted comes first"
