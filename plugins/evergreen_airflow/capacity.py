"""How many deferred tasks a triggerer takes, from the size of the fleet when it starts.

airflow triggerer --capacity "$(python -m evergreen_airflow.capacity)"
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from include.evergreen.config import Catalog

FOR_A_MODEL = 2  # its armed sensor, and a question to a person
DEFAULT = "1000"  # Airflow's own


def triggerer_capacity(environment: Mapping[str, str]) -> int:
    """Count the deferred tasks that a triggerer should take: two for each declared model, and no fewer than Airflow is set to.

    :param environment: the triggerer's own
    :returns: the number for ``airflow triggerer --capacity``
    """
    return max(int(environment.get("AIRFLOW__TRIGGERER__CAPACITY", DEFAULT)), FOR_A_MODEL * len(Catalog().model_names()))


if __name__ == "__main__":
    sys.stdout.write(f"{triggerer_capacity(os.environ)}\n")
