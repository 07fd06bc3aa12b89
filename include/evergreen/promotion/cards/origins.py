"""Where a version's features come from, found once for a recipe: the trial takes seconds, and most versions only bring newer data.

What was found lies beside the card (its name with an ending more, so that it stays as long as the card), and the next version's
card takes it from there as long as nothing that it depends on has changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.lineage import Origin, lineage
from include.evergreen.foundation.digest import canonical_json, document_digest
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.state import storage
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import model_versions
from include.evergreen.training.recipes import Recipe

ENDING = ".origins.json"


@dataclass(frozen=True)
class Origins:
    """``of`` is None where they could not be told, for ``why_none``. ``key`` covers all that they depend on."""

    key: str
    of: Mapping[str, tuple[Origin, ...]] | None
    why_none: str = ""


def find_origins(catalog: Catalog, config: ModelConfig, recipe: Recipe) -> Origins:
    """Of each feature of ``recipe``: as the newest card of the model has them, or else by trial."""
    names = {*(each.dataset for each in config.inputs), config.target.dataset}
    try:
        declared = {name: catalog.dataset(name).model_dump(mode="json") for name in sorted(names)}
        key = document_digest({"features": recipe.features_digest, "datasets": declared})
        return _kept(config.name, key) or Origins(key, lineage(catalog, config, recipe.code))
    except ConfigError as error:  # on made-up rows, or for a dataset that is declared no more; on its real rows it was trained
        return Origins("", None, str(error))


def keep_origins(card_path: str, origins: Origins) -> None:
    """Beside the card at ``card_path``."""
    if origins.of is not None:
        found = {feature: [asdict(each) for each in of] for feature, of in origins.of.items()}
        storage.write_bytes(f"{card_path}{ENDING}", canonical_json({"key": origins.key, "origins": found}).encode())


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
    document = json.loads(storage.read_bytes(f"{path}{ENDING}"))
    if document["key"] != key:
        return None
    return Origins(
        key,
        {
            feature: tuple(Origin(**{**each, "columns": tuple(each["columns"])}) for each in of)
            for feature, of in document["origins"].items()
        },
    )
