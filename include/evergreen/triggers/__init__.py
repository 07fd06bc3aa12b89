"""Rules over observations, and the firings of those that tripped."""

from include.evergreen.triggers.firings import Firing, answer_firing, fire_if_tripped, firings_of, tripped, unanswered_firing

__all__ = ["Firing", "answer_firing", "fire_if_tripped", "firings_of", "tripped", "unanswered_firing"]
