"""Which DAGs `make serve` switches on by itself: those that nothing but a person, or what they read, starts.

So a model of one's own works as soon as it is declared. What starts by the clock waits for its switch, since it would run
today's partition at once; and what somebody has ever switched, on or off, stays as it is.
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

LOOK_EVERY_SECONDS = 5.0


class Switches:
    """Looks at the DAGs of one Airflow, and says through ``say`` what it switched on and what it left off."""

    def __init__(self, api: AirflowApi, say: Callable[[str], None]) -> None:
        self._api = api
        self._say = say
        self._seen: set[str] = set()
        self._next_look = 0.0

    def unread(self) -> set[str]:
        """The DAGs of what is declared that Airflow has not read yet."""
        return expected_dags(Catalog()) - self._api.dag_ids()

    def look(self) -> None:
        """Switch on what was read since the last look and may be."""
        catalog, today = Catalog(), clock.now().date()
        new = (self._api.paused_dag_ids() - self._seen) & expected_dags(catalog)
        untouched = new - self._api.switched_dag_ids() if new else set()
        on = {dag_id for dag_id in untouched if follows_others(catalog, dag_id, today)}
        for dag_id in sorted(on):
            self._api.pause(dag_id, paused=False)
        self._seen |= new
        if on:
            self._say(f"Switched on, as nothing starts them but you and what they read: {listed(sorted(on))}.")
        if off := sorted(untouched - on):
            self._say(f"Left off, as they start by the clock: {listed(off)}. Their switches in Airflow's UI turn them on.")

    def look_now_and_then(self) -> None:
        """As `look`, as often as is worth while; when Airflow does not answer, the next look does it."""
        if time.monotonic() < self._next_look:
            return
        with contextlib.suppress(TransientError):  # on SQLite the API server may find the database locked
            self.look()
        self._next_look = time.monotonic() + LOOK_EVERY_SECONDS
