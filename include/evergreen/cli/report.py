"""``report``: the drift report of a monitored partition, drawn unless it is there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``report``.

    :param verbs: where it is added
    :param common: the options that every verb has
    """
    text = "say where the drift report of a monitored partition lies, drawing it unless it is there"
    verb = common_arguments.add_verb(verbs, common, "report", text, report)
    common_arguments.add_model(verb)
    verb.add_argument("partition", metavar="PARTITION", type=common_arguments.partition, help="the monitored partition")
    verb.add_argument("--output", metavar="FILE", type=Path, help="also write the page to this file, to open it in a browser")


def report(arguments: argparse.Namespace) -> int:
    """Print where the drift report of a monitored partition lies in the storage, drawing it unless it is there.

    :param arguments: ``model``, ``partition`` and ``output`` (a file that gets the page, too; None: no copy)
    :returns: the exit code 0
    """
    from include.evergreen.config import Catalog
    from include.evergreen.monitoring import ensure_report, read_report

    catalog = Catalog()
    model = catalog.model(common_arguments.known_model(catalog, arguments.model))
    path = ensure_report(catalog, model, arguments.partition)
    if arguments.output is not None:
        common_arguments.write_output(arguments.output, read_report(path))
    written = f", its page written to {arguments.output}" if arguments.output else ""
    print(f"{model.name} {arguments.partition}: {path} in the storage{written}")
    return 0
