"""The model card: one page of HTML for each registered version, for people outside the team."""

from include.evergreen.promotion.cards.write import ensure_card, read_card

__all__ = ["ensure_card", "read_card"]
