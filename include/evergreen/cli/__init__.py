"""The command line, for people without Airflow at hand, and for scripts.

One module for each group of verbs. What a verb found goes to stdout; progress, logs and errors go to stderr. A verb
imports what it needs when it runs, so that ``--help`` answers at once.
"""

from include.evergreen.cli.main import main

__all__ = ["main"]
