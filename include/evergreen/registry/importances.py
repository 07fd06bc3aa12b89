"""How important each feature is to a version: measured for its model card, and kept beside it (the card's name with an ending more)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import sqlalchemy as sa

from include.evergreen.foundation.digest import canonical_json
from include.evergreen.foundation.errors import DataError
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import model_versions

log = logging.getLogger(__name__)
ENDING = ".importances.json"


def keep_importances(card_path: str, importances: Mapping[str, float]) -> None:
    """Store them beside the card.

    :param card_path: where the card lies in the storage
    :param importances: by feature, how much worse the metric gets when its values change places
    """
    storage.write_bytes(f"{card_path}{ENDING}", canonical_json(dict(importances)).encode())


def find_importances(model: str, version: int) -> dict[str, float]:
    """Find how important the features of a version are. Passes on `TransientError` when the storage does not answer.

    :param model: its name, as in ``include/models``
    :param version: its number
    :returns: by feature, how much worse its metric gets when the feature's values change places; empty where no card says it
    """
    query = sa.select(model_versions.c.card_path).where(model_versions.c.model == model, model_versions.c.version == version)
    with reading() as connection:
        path = connection.execute(query).scalar_one_or_none()
    if not path:
        return {}
    try:
        document = json.loads(storage.read_bytes(f"{path}{ENDING}"))
        return {str(feature): float(importance) for feature, importance in document.items()}
    except DataError:  # an earlier release wrote the card
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("%s%s is damaged, and passed over: %s", path, ENDING, error)
        return {}
