"""The rows of a holdout find what else is known of them."""

from __future__ import annotations

import pandas as pd
import pytest

from include.evergreen.config import ModelConfig
from include.evergreen.foundation.errors import DataError
from include.evergreen.gates.holdout import _matched


@pytest.mark.parametrize("name", ["found", "_merge", "merge", "distance"])
def test_a_column_may_have_any_name(air_time: ModelConfig, name: str) -> None:
    holdout = pd.DataFrame({"partition": ["2013-01-01"] * 2, "key:flight": [2, 1]}, index=[7, 8])
    values = pd.DataFrame({name: [10.0, 20.0], "key:flight": [1, 2], "partition": "2013-01-01"})
    assert _matched(air_time, holdout, [values], ["flight"], "are gone")[name].to_dict() == {7: 20.0, 8: 10.0}
    with pytest.raises(DataError, match="air_time: 1 of the holdout's 2 rows are gone"):
        _matched(air_time, holdout, [values.head(1)], ["flight"], "are gone")
