from __future__ import annotations

import pytest

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import DataError
from include.evergreen.registry.champion_periods import champion_period_at
from include.evergreen.registry.history import champion_for
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import promotions


@pytest.mark.usefixtures("home")
def test_a_champion_whose_record_was_removed_is_named_with_how_to_find_out() -> None:
    values = {"model": "air_time", "version": 3, "as_of": "2013-02-01", "previous_version": 0, "actor": "ada", "reason": "better"}
    with writing() as connection:
        connection.execute(promotions.insert().values(promoted_at=clock.now(), **values))
    with pytest.raises(DataError, match="air_time: version 3 was promoted on .* its record is gone.*`evergreen verify-ledger`"):
        champion_period_at("air_time", clock.now())
    assert champion_for("air_time", "2013-02-02") is None
