"""The ``card`` section of `model.yaml`: what only the owners know of a model, for the card of each registered version."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from include.evergreen.config.base import Strict

Sentences = Annotated[str, Field(min_length=1, max_length=4000)]


class Card(Strict):
    """What the owners write on a model card; the figures come from the records. The card names every field that is left out."""

    purpose: Sentences | None = Field(default=None, description="What the model is for, and what is done with its predictions.")
    intended_use: tuple[Sentences, ...] = Field(default=(), description="Who uses it, and for which decisions; one sentence each.")
    not_for: tuple[Sentences, ...] = Field(default=(), description="Uses that it was not made for and must not be put to.")
    limits: tuple[Sentences, ...] = Field(
        default=(), description="Known weaknesses that no figure shows; the card adds those that the records show."
    )
    ethics: tuple[Sentences, ...] = Field(default=(), description="Whom it may harm or treat unequally, and what was done about it.")
    contact: str | None = Field(default=None, max_length=200, description="Whom to ask, or to tell of a harm; without it, the owner.")
