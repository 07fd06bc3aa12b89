from __future__ import annotations

import datetime as dt

from include.evergreen.foundation import clock


def test_the_wall_clock_knows_its_zone() -> None:
    assert clock.now().utcoffset() == dt.timedelta(0)
