"""Who asks, and what they may see and do, by Airflow's own word.

An alert is seen by whoever may read one of the DAGs where it was seen, or a DAG of the dataset or model that it is of. Whoever may edit
one of these may act on it. What has no place is of the platform: whoever is logged in sees it, and whoever may edit `PLATFORM` acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from sqlalchemy import select

from include.evergreen.foundation.reasons import LONGEST_ACTOR
from include.evergreen.state.alerts import ALL, Detail, Place, Scope

PLATFORM = "evergreen.audit"  # the DAG that whoever looks after the platform may edit


@dataclass(frozen=True)
class Viewer:
    """A user of Airflow who is logged in.

    :param user: as the auth manager knows them
    """

    user: Any

    @property
    def name(self) -> str:
        """Their name, as runs and approvals record it."""
        return str(self.user.get_name())[:LONGEST_ACTOR]

    @cached_property
    def reads(self) -> Scope:
        """Tell what they may see; of who may read every DAG also what is of DAGs that are gone.

        :returns: the alerts' scope
        """
        return self._scope("GET")

    @cached_property
    def edits(self) -> Scope:
        """Tell what they may act on.

        :returns: the alerts' scope
        """
        return self._scope("PUT")

    def may_act(self, detail: Detail) -> bool:
        """Tell whether the user may act on an alert that they see.

        :param detail: the alert
        :returns: whether they may edit a DAG of one of its places
        """
        if not detail.places:
            return self.edits.dags is None or PLATFORM in self.edits.dags
        return any(self.edits.covers(place) for place in detail.places)

    def editable(self, places: list[Place]) -> list[Place]:
        """List the places whose DAG the user may edit.

        :param places: of an alert
        :returns: those that are of a run of such a DAG
        """
        return [place for place in places if place.dag_id and place.run_id and self.edits.covers(place)]

    def _scope(self, method: Any) -> Scope:
        with create_session() as session:
            allowed = get_auth_manager().get_authorized_dag_ids(user=self.user, method=method, session=session)
            known = set(session.scalars(select(DagModel.dag_id)))
        return ALL if known and allowed >= known else Scope(frozenset(allowed))


def viewer(user: GetUserDep) -> Viewer:
    """Tell who asks; a dependency of each route that needs to know.

    :param user: as Airflow knows them; without a login there is none, and the answer is 401
    :returns: the user, with what they may see and do
    """
    return Viewer(user)
