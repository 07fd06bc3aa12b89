"""Unpause the DAGs that `make serve` may unpause: those that start only manually or by asset events.

So a new model works as soon as it is declared. Scheduled DAGs stay paused, because they would run today's partition at once. A DAG
that anybody has paused or unpaused stays as it is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from include.evergreen.config import Catalog
from include.evergreen.config.wording import listed
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import TransientError
from tools.dags import expected_dags, follows_others
from tools.rest import AirflowApi

UPDATE_EVERY_SECONDS = 5.0


class Switches:
    """Unpause the DAGs of one Airflow, and report through ``say`` what was unpaused and what was not."""

    def __init__(self, api: AirflowApi, say: Callable[[str], None]) -> None:
        self._api = api
        self._say = say
        self._seen: set[str] = set()
        self._next_update = 0.0

    def unparsed(self) -> set[str]:
        """Return the declared DAGs that Airflow has not parsed yet."""
        return expected_dags(Catalog()) - self._api.dag_ids()

    def update(self) -> None:
        """Unpause the DAGs that were parsed since the last update, where allowed."""
        catalog, today = Catalog(), clock.now().date()
        new = (self._api.paused_dag_ids() - self._seen) & expected_dags(catalog)
        untouched = new - self._api.switched_dag_ids() if new else set()
        on = {dag_id for dag_id in untouched if follows_others(catalog, dag_id, today)}
        for dag_id in sorted(on):
            self._api.pause(dag_id, paused=False)
        self._seen |= new
        if on:
            self._say(f"Unpaused, because they run only manually or by asset events: {listed(sorted(on))}.")
        if off := sorted(untouched - on):
            self._say(f"Still paused, because they run on a schedule: {listed(off)}. Unpause them in Airflow's UI.")

    def update_periodically(self) -> None:
        """Call `update` every few seconds. If Airflow does not respond, the next call tries again."""
        if time.monotonic() < self._next_update:
            return
        with contextlib.suppress(TransientError):  # on SQLite the API server may find the database locked
            self.update()
        self._next_update = time.monotonic() + UPDATE_EVERY_SECONDS
