"""Model cards: one HTML page for each registered version, for readers outside the team."""

from include.evergreen.promotion.cards.write import ensure_card, read_card

__all__ = ["ensure_card", "read_card"]
