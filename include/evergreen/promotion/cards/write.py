"""Writes the card of a registered version, once: into the storage, into its MLflow run, and its place into the registry.

The card shows the state at registration. Later changes (promotions, approvals, erasures) are in the ledger, and
above the card where Airflow shows it.
"""

from __future__ import annotations

import hashlib
import logging
import posixpath
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.errors import DataError
from include.evergreen.promotion.cards.facts import Facts, gather
from include.evergreen.promotion.cards.origins import keep_origins
from include.evergreen.promotion.cards.view import View
from include.evergreen.promotion.cards.wording import figure, interval, plural
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.registry.importances import keep_importances
from include.evergreen.state import storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import model_versions
from include.evergreen.state.effects import side_effect
from include.evergreen.training.tracking import log_file

if TYPE_CHECKING:
    from jinja2 import Environment

log = logging.getLogger(__name__)
ARTIFACT = "model-card.html"
DIGEST_CHARACTERS = 16


def ensure_card(catalog: Catalog, model: ModelConfig, version: RegisteredVersion) -> str:
    """Find the card of a version, or write it now: the same facts give the same bytes, and so the same path.

    The record comes last: what it names is written and logged. Passes on `DataError` when the artifact or the training frame is gone or
    changed, unless the card is there.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param version: a registered version of it
    :returns: the card's path in the storage
    """
    path = card_path(model.name, version.version)
    if path and storage.exists(path):
        return path
    facts = gather(catalog, model, version)
    card = render(facts)
    path = f"cards/{model.name}/{version.version}-{_digest(card)}.html"
    with side_effect("register.card"):
        storage.write_bytes(path, card)
        keep_origins(path, facts.origins)
        if facts.holdout is not None:
            keep_importances(path, {each.feature: each.mean for each in facts.holdout.importances})
        log_file(version.mlflow_run_id, ARTIFACT, card)
        with writing() as connection:
            this = (model_versions.c.model == model.name) & (model_versions.c.version == version.version)
            connection.execute(model_versions.update().where(this).values(card_path=path))
    log.info("%s version %d: its model card is %s", model.name, version.version, path)
    return path


def card_path(model: str, version: int) -> str | None:
    """Where the card of a version is recorded to lie; the file may be gone.

    :param model: its name, as in ``include/models``
    :param version: its number
    :returns: the path in the storage; empty when no card was written, None when there is no such version
    """
    query = sa.select(model_versions.c.card_path).where(model_versions.c.model == model, model_versions.c.version == version)
    with reading() as connection:
        return connection.execute(query).scalar_one_or_none()


def read_card(path: str) -> bytes:
    """The card, verified.

    :param path: where it lies in the storage; its name holds its digest
    :returns: the page, in HTML
    :raises DataError: it is gone, or is not the one that was written
    """
    card = storage.read_bytes(path)
    if posixpath.basename(path).removesuffix(".html").rpartition("-")[2] != _digest(card):
        raise DataError(f"The model card {path} was changed after it was written, and is not shown. Remove it; it can be written again.")
    return card


def render(facts: Facts) -> bytes:
    """One self-contained page: no script, nothing to load, no inline style.

    :param facts: all that the card shows
    :returns: the page, in HTML; the same bytes for the same facts
    """
    return _environment().get_template("card.html.j2").render(view=View(facts), facts=facts).encode()


def _digest(card: bytes) -> str:
    return hashlib.sha256(card).hexdigest()[:DIGEST_CHARACTERS]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(figure=figure, interval=interval, plural=plural)
    return environment
