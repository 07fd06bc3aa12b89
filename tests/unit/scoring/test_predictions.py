from __future__ import annotations

import pytest

from include.evergreen.scoring.predictions import newest_predictions, record_scoring
from include.evergreen.state.database import writing
from tests.unit.flights import january

MODEL = "air_time"


@pytest.mark.usefixtures("home")
def test_the_newest_prediction_sets_are_those_up_to_a_partition_itself_and_one_of_each() -> None:
    values = {"version": 1, "rows": 2, "origin": "live", "challenger_version": 0, "input_digest": "f"}
    with writing() as connection:
        for day, digest in ((1, "a"), (2, "b"), (2, "c"), (3, "d"), (4, "e")):
            record_scoring(connection, MODEL, january(day), path=f"{digest}.parquet", digest=digest, **values)
    found = newest_predictions(MODEL, before=january(4), limit=2)
    assert [(each.partition, each.digest) for each in found] == [(january(3), "d"), (january(2), "c")]
    assert [each.digest for each in newest_predictions(MODEL, before=january(2), limit=2)] == ["a"]
