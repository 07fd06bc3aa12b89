"""The newest page of each dataset and model, so that people need not know its address."""

from __future__ import annotations

import sqlalchemy as sa

from include.evergreen.foundation.grain import Partition
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import reports, validations


def newest_pages() -> tuple[dict[str, Partition], dict[str, Partition]]:
    """Look up what was validated and monitored last.

    :returns: the newest validated partition of each dataset, and the newest monitored one of each model
    """
    validated = sa.select(validations.c.dataset, sa.func.max(validations.c.partition)).group_by(validations.c.dataset)
    monitored = sa.select(reports.c.model, sa.func.max(reports.c.partition)).group_by(reports.c.model)
    with reading() as connection:
        return (
            {name: day for name, day in connection.execute(validated)},
            {name: day for name, day in connection.execute(monitored)},
        )
