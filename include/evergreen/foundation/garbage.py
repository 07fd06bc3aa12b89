"""How often Python looks for garbage, in processes of ours that import much and do one thing."""

from __future__ import annotations

import atexit
import gc

THRESHOLDS = 50_000, 10, 10  # Python's own: 700, 10, 10


def collect_seldom() -> None:
    """Look for cyclic garbage seldom from now on, and not at all when the process ends.

    Imports make a million objects that stay: to look through them again and again, and once more at the end, takes two fifths of what it
    costs to import scikit-learn, MLflow, Great Expectations, Evidently and Airflow (9.5 s of processor time, and 5.6 with this). For the
    beginning of a process that is ours; a library does not decide this for others.
    """
    gc.set_threshold(*THRESHOLDS)
    atexit.unregister(gc.freeze)  # however often this is called
    atexit.register(gc.freeze)
