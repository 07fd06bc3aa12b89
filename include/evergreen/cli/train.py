"""``train``: one candidate from one snapshot, in this process; ``fit``: what a training's container does of it."""

from __future__ import annotations

import argparse
import json
import math
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from include.evergreen.cli import arguments as common_arguments
from include.evergreen.foundation.errors import ConfigError

if TYPE_CHECKING:
    from include.evergreen.cli.arguments import Verbs
    from include.evergreen.config import Catalog, ModelConfig
    from include.evergreen.training.candidate import Candidate
    from include.evergreen.training.snapshot import Snapshot


def add_verbs(verbs: Verbs, common: argparse.ArgumentParser) -> None:
    """Add ``train`` and ``fit``.

    :param verbs: where they are added
    :param common: the options that every verb has
    """
    text = "train a candidate on a snapshot, without the gate and what follows it"
    details = ". Training again what was trained finds it, and changes nothing. Progress is logged with -v."
    verb = common_arguments.add_verb(verbs, common, "train", text, train, details)
    common_arguments.add_model(verb)
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--snapshot", metavar="DIGEST", help="the snapshot to train on, by its digest or the first eight characters or more")
    which.add_argument(
        "--as-of", type=common_arguments.partition, metavar="DATE",
        help="take the snapshot as of this day: nothing that became known later is read",
    )  # fmt: skip
    verb.add_argument(
        "--window",
        type=common_arguments.span,
        metavar="LENGTH",
        help="with --as-of: how far before it the rows begin, such as '60 days' (default: train.window)",
    )
    verb.add_argument("--reason", default="trained from the command line", metavar="R", help="why; it is kept with the candidate")
    verb.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE", help="a tag of the MLflow run; may be repeated")
    common_arguments.add_json(verb)
    text = "fit from and to files: what a training's container runs"
    fit_verb = common_arguments.add_verb(verbs, common, "fit", text, fit, ". It needs no database, no MLflow and no storage.")
    fit_verb.add_argument("folder", type=Path, help="with the declaration and the rows, as the worker wrote them")
    fit_verb.add_argument("results", type=Path, help="an empty folder, which gets the model and what was measured")
    fit_verb.add_argument(
        "--end-after", type=float, metavar="MINUTES",
        help="end this process after so long, whatever it is doing: its worker may be gone by then",
    )  # fmt: skip


def train(arguments: argparse.Namespace) -> int:
    """Train one candidate on a snapshot that is taken or found, and print its metrics on the holdout, its run key and MLflow run.

    :param arguments: ``model``, ``as_of`` or ``snapshot`` (a digest's beginning), ``window`` (only with ``as_of``; None:
        ``train.window``), ``reason``, ``tag`` (texts ``NAME=VALUE``) and ``json``
    :returns: the exit code 0, whether it was trained now or before
    """
    from include.evergreen.config import Catalog
    from include.evergreen.training.train import train

    tags = _tags(arguments.tag)
    catalog = Catalog()
    model = catalog.model(arguments.model)
    snapshot = _snapshot(catalog, model, arguments)
    candidate, is_new = train(catalog, model, snapshot, arguments.reason, tags=tags)
    if arguments.json:
        print(json.dumps(as_json(candidate, is_new=is_new)))
    else:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in candidate.metrics.items())
        print(f"{model.name} as of {candidate.as_of}: {'trained' if is_new else 'trained before'} on snapshot {snapshot.digest[:12]}")
        print(f"On the holdout: {metrics}. Run key {candidate.run_key}; MLflow run {candidate.mlflow_run_id}.")
    return 0


def fit(arguments: argparse.Namespace) -> int:
    """Fit what a worker wrote into one folder, and write what it reads into another.

    :param arguments: ``folder``, ``results`` (empty) and ``end_after`` (minutes after which this process ends; None: it does not)
    :returns: the exit code 0
    """
    from include.evergreen.training.fit_job import fit_in_folder

    _end_after(arguments.end_after)
    fit_in_folder(arguments.folder, arguments.results)
    return 0


def as_json(candidate: Candidate, *, is_new: bool) -> dict[str, object]:
    """Tell what was trained, as ``--json`` prints it.

    :param candidate: what `train` returned
    :param is_new: whether it was trained now, rather than found
    :returns: a JSON document
    """
    return {
        "model": candidate.model,
        "as_of": candidate.as_of,
        "snapshot": candidate.snapshot_digest,
        "run_key": candidate.run_key,
        "is_new": is_new,
        "mlflow_run_id": candidate.mlflow_run_id,
        "metrics": candidate.metrics,
    }


def _snapshot(catalog: Catalog, model: ModelConfig, arguments: argparse.Namespace) -> Snapshot:
    from include.evergreen.operations.verification import find_by_prefix
    from include.evergreen.training.snapshot import find_snapshot
    from include.evergreen.training.take_snapshot import take_snapshot

    if arguments.as_of:
        return take_snapshot(catalog, model, arguments.as_of, arguments.window)
    if arguments.window is not None:
        raise ConfigError("--window goes with --as-of: a snapshot that is taken has its window already. Leave one of the two away.")
    snapshot = find_by_prefix(arguments.snapshot)
    if snapshot.model != model.name:
        raise ConfigError(
            f"Snapshot {snapshot.digest[:12]} is of {snapshot.model}, not of {model.name}. "
            f"`evergreen snapshot list {model.name}` lists its own."
        )
    return find_snapshot(snapshot.digest)


def _tags(given: list[str]) -> dict[str, str]:
    """Each ``NAME=VALUE``; raises `ConfigError`."""
    if wrong := [tag for tag in given if not tag.partition("=")[0].strip() or "=" not in tag]:
        raise ConfigError(f"--tag {wrong[0]!r} is no tag; write NAME=VALUE, such as team=airports.")
    return {name.strip(): value for name, _, value in (tag.partition("=") for tag in given)}


def _end_after(minutes: float | None) -> None:
    """The kernel ends the process then: a Python handler would wait for a library's C code to return."""
    if minutes is None:
        return
    if not 0 < minutes < float("inf"):
        raise ConfigError(f"--end-after is {minutes:g}; give minutes, more than 0.")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(minutes * 60))
