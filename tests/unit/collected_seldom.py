"""Imported first by the process that warm ones are forked from: it imports a million objects."""

from include.evergreen.foundation.garbage import collect_seldom

collect_seldom()
