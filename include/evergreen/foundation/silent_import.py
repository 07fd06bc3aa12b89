"""Silent imports of libraries that log while they are imported.

Inside Airflow, importing skops logs some 3,500 warnings (it looks up every ufunc's name in every module, Airflow's
deprecated ones included), and Great Expectations 60 lines. At 3 a.m. they would hide the one line that matters.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from types import ModuleType


def import_quietly(name: str) -> ModuleType:
    """Import a module; what it says below an error while it is imported is dropped.

    :param name: the module's full name
    :returns: the module; the one imported before, if it was
    """
    if name in sys.modules:  # to switch logging off and on empties what each of hundreds of loggers remembers
        return importlib.import_module(name)
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    finally:
        logging.disable(disabled)
