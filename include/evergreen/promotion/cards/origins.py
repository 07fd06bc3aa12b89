"""Feature lineage for a model card, computed once per recipe: it takes seconds, and most versions only bring newer data.

What was found lies beside the card (its name with an ending more, so that it stays as long as the card), and the next version's
card takes it from there as long as nothing that it depends on has changed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.base import RECORDED
from include.evergreen.features.lineage import FeatureOrigin, lineage
from include.evergreen.foundation.digest import canonical_json, document_digest
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import model_versions
from include.evergreen.training.recipes import Recipe

log = logging.getLogger(__name__)
ENDING = ".origins.json"


@dataclass(frozen=True)
class Origins:
    """The columns that each feature comes from: ``of`` is None where they could not be told, for ``why_none``.

    ``key`` is a digest of all that they depend on.
    """

    key: str
    of: Mapping[str, tuple[FeatureOrigin, ...]] | None
    why_none: str = ""


def find_origins(catalog: Catalog, config: ModelConfig, recipe: Recipe) -> Origins:
    """Where each feature of ``recipe`` comes from: as the newest card of the model has it, or else by trial, which takes seconds.

    :param catalog: what is declared now
    :param config: the model as ``recipe`` declares it
    :param recipe: whose ``features.py`` is tried
    :returns: the origins; ``of`` is None where they cannot be told, such as when a dataset is not declared any more
    """
    names = {*(model_input.dataset for model_input in config.inputs), config.target.dataset}
    try:
        declared = {name: catalog.dataset(name).model_dump(mode="json", context=RECORDED) for name in sorted(names)}
        key = document_digest({"features": recipe.features_digest, "datasets": declared})
        return _kept(config.name, key) or Origins(key, lineage(catalog, config, recipe.code))
    except (ConfigError, DataError) as error:  # on synthetic rows, or a dataset that is declared no more; on its real rows it was trained
        return Origins("", None, str(error))


def keep_origins(card_path: str, origins: Origins) -> None:
    """Store the origins beside the card, where the next version's card finds them.

    :param card_path: where the card lies in the storage; the file is named by it, with `ENDING` after it
    :param origins: what was found; nothing is stored when that is nothing
    """
    if origins.of is not None:
        columns = {feature: [asdict(origin) for origin in of] for feature, of in origins.of.items()}
        storage.write_bytes(f"{card_path}{ENDING}", canonical_json({"key": origins.key, "origins": columns}).encode())


def _kept(model: str, key: str) -> Origins | None:
    newest = (
        sa.select(model_versions.c.card_path)
        .where(model_versions.c.model == model, model_versions.c.card_path != "")
        .order_by(model_versions.c.version.desc())
        .limit(1)
    )
    with reading() as connection:
        path = connection.execute(newest).scalar_one_or_none()
    if path is None or not storage.exists(f"{path}{ENDING}"):
        return None
    try:
        document = json.loads(storage.read_bytes(f"{path}{ENDING}"))
        return Origins(key, {name: _parse_origins(of) for name, of in document["origins"].items()}) if document["key"] == key else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # they are tried again
        log.warning("%s%s is damaged, and passed over: %s", path, ENDING, error)
        return None


def _parse_origins(documents: list[dict[str, Any]]) -> tuple[FeatureOrigin, ...]:
    return tuple(FeatureOrigin(**{**document, "columns": tuple(document["columns"])}) for document in documents)
