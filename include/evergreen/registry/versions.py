"""Registered versions: one for each blessed run key, whatever is retried, killed, or done twice at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.registry.approvals import newest_answer
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.alerts import raise_alert, resolve_alert
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.records import as_record
from include.evergreen.state.database.tables import approvals, candidates, decisions, model_versions, promotions, snapshots
from include.evergreen.state.database.upsert import insert_once
from include.evergreen.state.effects import side_effect

log = logging.getLogger(__name__)
VERSIONS_SHOWN = 20

WhyAsk = Callable[[str, bool, list[dict[str, Any]]], str]  # semver, whether it is the first model, its decision's criteria


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry, with what is needed to serve and to explain it."""

    model: str
    version: int
    semver: str
    run_key: str
    as_of: Partition
    artifact_uri: str
    artifact_digest: str
    signature_digest: str
    recipe_digest: str
    snapshot_digest: str
    reference_path: str
    mlflow_run_id: str
    metrics: dict[str, float]
    approval_because: str = ""
    irreproducible_because: str | None = None


class UnearnedError(DataError):
    """An attempt to register, promote or serve a version without the blessing or approval that it needs in our own database."""


class ChangedRecordError(DataError):
    """A record that says otherwise than its entry in the ledger: nothing of what it names is run or served."""


@contextmanager
def alarming(model: str, run_key: str) -> Iterator[None]:
    """Raise the alert when an `UnearnedError` is raised within. Not for use within `writing`, which holds the lock.

    :param model: name of the model
    :param run_key: the key of the candidate's training
    :yields: nothing
    :raises UnearnedError: the one that was raised within
    """
    try:
        yield
    except UnearnedError as error:
        raise_bypass(model, run_key, str(error))
        raise


def raise_bypass(model: str, run_key: str, message: str) -> None:
    """Raise the one critical alert of a run key that went past the gate or the approval.

    :param model: name of the model
    :param run_key: the key of the candidate's training, or `history.CHAMPION` for who is champion
    :param message: the alert's sentences
    """
    raise_alert(bypass_key(model, run_key), model=model, severity="critical", message=message, evidence={"run_key": run_key})


def bypass_key(model: str, run_key: str) -> str:
    """Name the alert that `raise_bypass` raises, by which a registration resolves it.

    :param model: name of the model
    :param run_key: the key of the candidate's training, or `history.CHAMPION` for who is champion
    :returns: the alert's key
    """
    return f"bypass/{model}/{run_key[:12]}"


def nobody_is_asked(semver: str, is_first: bool, criteria: list[dict[str, Any]]) -> str:
    """Ask for no approval: the `WhyAsk` of models whose blessed versions need none.

    :param semver: not used
    :param is_first: not used
    :param criteria: not used
    :returns: always empty
    """
    return ""


def register(model: str, run_key: str, *, why_ask: WhyAsk = nobody_is_asked) -> RegisteredVersion:
    """Register a blessed candidate as a version; doing it again, or twice at once, finds it.

    Raises `UnearnedError`, and the alert, when the newest decision in our own database does not bless the candidate.

    :param model: name of the model
    :param run_key: the key of the candidate's training
    :param why_ask: given semver, whether it is the first model, and the decision's criteria, says why a person must approve it (empty: no
        one need); recorded with the version, so that a later edit of model.yaml takes no question back
    :returns: the version, new or as it was registered before
    """
    registered = find_version(run_key)
    if registered is None or registered.model != model:
        with alarming(model, run_key):
            candidate = _blessed_candidate(model, run_key)
        tags = {"evergreen.as_of": str(candidate.as_of), "evergreen.snapshot": candidate.snapshot_digest}
        with side_effect("register.version"):
            number = mlflow_store.make_version(model, run_key, candidate.mlflow_run_id, candidate.artifact_uri, tags)
        with side_effect("register.record"), writing() as connection:
            _record(connection, candidate, number, why_ask)
        registered = find_version(run_key)
        assert registered is not None
    with side_effect("register.version"):
        mlflow_store.remove_other_versions(model, registered.mlflow_run_id, keep=registered.version)
    resolve_alert(bypass_key(model, run_key))
    log.info("%s: version %d (%s) as of %s is registered", model, registered.version, registered.semver, registered.as_of)
    return registered


def next_semver(newest: tuple[str, str, str] | None, signature: str, recipe: str) -> str:
    """The semantic version of the next version to register.

    Major: the signature or the target changed. Minor: features.py, estimator or parameters. Patch: only newer data.

    :param newest: semver, signature digest and recipe digest of the newest version; None for the first
    :param signature: the new version's signature digest
    :param recipe: the new version's recipe digest
    :returns: such as ``1.0.0``, which is the first
    """
    if newest is None:
        return "1.0.0"
    major, minor, patch = (int(part) for part in newest[0].split("."))
    if signature != newest[1]:
        return f"{major + 1}.0.0"
    if recipe != newest[2]:
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def version_number(model: str, version: int) -> RegisteredVersion:
    """The registered version of a number.

    :param model: name of the model
    :param version: the number of the version
    :returns: the version, whatever became of it since
    :raises ConfigError: there is none; names the newest `VERSIONS_SHOWN` that there are
    """
    own = model_versions.c
    with reading() as connection:
        if registered := next(select_versions(connection, own.model == model, own.version == version), None):
            return registered
        numbers = sa.select(own.version).where(own.model == model).order_by(own.version.desc()).limit(VERSIONS_SHOWN)
        known = ", ".join(map(str, reversed(connection.execute(numbers).scalars().all()))) or "none"
    raise ConfigError(f"{model} has no version {version}; registered: {known}.")


def find_version(run_key: str) -> RegisteredVersion | None:
    """Find the version that was registered of a candidate.

    :param run_key: the key of the candidate's training
    :returns: the version; None when the candidate is not registered, or there is no such candidate
    """
    with reading() as connection:
        return next(select_versions(connection, model_versions.c.run_key == run_key), None)


def list_versions(model: str) -> list[RegisteredVersion]:
    """List all versions of a model.

    :param model: name of the model
    :returns: the oldest version first; none when nothing is registered
    """
    with reading() as connection:
        return list(select_versions(connection, model_versions.c.model == model))


def select_versions(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> Iterator[RegisteredVersion]:
    """Select registered versions, each with its candidate.

    :param connection: any that reads
    :param *conditions: what they must meet, all of them, on `model_versions` and `candidates`; none: all versions of all models
    :yields: the versions, by their number
    """
    query = sa.select(
        model_versions,
        *(candidates.c[name] for name in ("artifact_uri", "artifact_digest", "signature_digest", "recipe_digest", "snapshot_digest",
                                          "reference_path", "mlflow_run_id", "metrics", "irreproducible_because")),
    ).join(candidates)  # fmt: skip
    for row in connection.execute(query.where(*conditions).order_by(model_versions.c.version)):
        yield as_record(RegisteredVersion, row)


def why_not_blessed(connection: sa.Connection, version: RegisteredVersion) -> str:
    """Say why a version may never be champion.

    :param connection: any that reads
    :param version: the registered version
    :returns: a sentence without its full stop, when no decision blesses it or a record differs from the ledger; empty when the gate
        blessed it
    """
    blessed = sa.select(decisions.c.id).where(decisions.c.run_key == version.run_key, decisions.c.verdict == "blessed")
    number = connection.execute(blessed.order_by(decisions.c.id.desc()).limit(1)).scalar()
    if number is None:
        return f"{version.model} version {version.version} has no blessed decision in the database"
    return ledger.why_unbound(connection, decisions, id=number) or why_changed(connection, version.run_key)


def why_changed(connection: sa.Connection, run_key: str) -> str:
    """Compare the records of a candidate, of its snapshot and of its version with the ledger.

    :param connection: any that reads
    :param run_key: the key of the candidate's training; the candidate must be recorded
    :returns: what the first that differs says otherwise, for a message; empty when all agree
    """
    candidate = connection.execute(candidates.select().filter_by(run_key=run_key)).one()
    registered = connection.execute(sa.select(model_versions.c.id).filter_by(run_key=run_key)).scalar()
    return (
        ledger.why_unbound(connection, candidates, run_key=run_key)
        or ledger.why_unbound(connection, snapshots, digest=candidate.snapshot_digest)
        or (ledger.why_unbound(connection, model_versions, id=registered) if registered is not None else "")
    )


def refuse_changed(run_key: str) -> None:
    """Refuse to run what the records of a candidate, its snapshot or its version name, unless the ledger says the same.

    :param run_key: the key of the candidate's training
    :raises ChangedRecordError: when a record differs from its entry
    """
    with reading() as connection:
        message = why_changed(connection, run_key)
    if message:
        raise ChangedRecordError(
            f"{message}. Nothing of it is run. Find out who changed the database, and restore the row from a backup "
            f"(`evergreen verify-ledger` lists all that differs)."
        )


def why_not_approved(connection: sa.Connection, version: RegisteredVersion) -> str:
    """Say why a version may not become champion by itself.

    :param connection: any that reads
    :param version: the registered version
    :returns: a sentence without its full stop; empty when no approval is required, or the newest answer gives it
    """
    if not version.approval_because:
        return ""
    answer = newest_answer(connection, version.model, version.version)
    subject = f"{version.model} version {version.version}"
    if answer is None:
        return f"{subject} needs a person's approval ({version.approval_because}), and the database has none"
    if answer.verdict != "approved":
        return f"{subject} was {answer.message}"
    return ledger.why_unbound(connection, approvals, id=answer.id)


def why_not_servable(connection: sa.Connection, version: RegisteredVersion) -> str:
    """Say why a champion may not serve, though the record calls it so.

    An approval that let it become champion is not undone by a later answer: a rollback does that.

    :param connection: any that reads
    :param version: the version, which is champion or was
    :returns: a sentence without its full stop; empty when it may serve
    """
    if message := why_not_blessed(connection, version):
        return message
    if not version.approval_because:
        return ""
    approved = sa.select(approvals.c.id).filter_by(model=version.model, version=version.version, verdict="approved")
    number = connection.execute(approved.order_by(approvals.c.id.desc()).limit(1)).scalar()
    if number is None:
        return f"{version.model} version {version.version} is champion without the approval that it needs"
    return ledger.why_unbound(connection, approvals, id=number)


def newest_verdict(connection: sa.Connection, run_key: str) -> str:
    """Find the gate's newest verdict on a candidate.

    :param connection: any that reads
    :param run_key: the key of the candidate's training
    :returns: ``blessed``, ``rejected`` or ``not_evaluated``; empty when nothing was decided
    """
    newest = sa.select(decisions.c.verdict).where(decisions.c.run_key == run_key).order_by(decisions.c.id.desc()).limit(1)
    return connection.execute(newest).scalar() or ""


def _blessed_candidate(model: str, run_key: str) -> sa.Row[Any]:
    with reading() as connection:
        candidate = connection.execute(candidates.select().where(candidates.c.run_key == run_key)).first()
        verdict = newest_verdict(connection, run_key)
        changed = why_changed(connection, run_key) if candidate is not None else ""
    if changed:
        raise UnearnedError(f"{changed}, so it is not registered.")
    if candidate is None or candidate.model != model or verdict != "blessed":
        last = f" (the newest is {verdict})" if verdict and candidate is not None and candidate.model == model else ""
        raise UnearnedError(f"{model}: run key {run_key[:12]} has no blessed decision in the database{last}, so it is not registered.")
    return candidate


def _record(connection: sa.Connection, candidate: sa.Row[Any], number: int, why_ask: WhyAsk) -> None:
    """Another process may have registered the run under a number of its own: then that one stands."""
    model, run_key = candidate.model, candidate.run_key
    other = connection.execute(model_versions.select().filter_by(model=model, version=number)).first()
    if other is not None and other.run_key != run_key:
        raise DataError(
            f"{model}: MLflow gave the new version the number {number}, which our record has for run key {other.run_key[:12]} already. "
            f"Is MLFLOW_TRACKING_URI the registry that the earlier versions are in? Restore it, then register again."
        )
    semver = next_semver(_newest_recipe(connection, model), candidate.signature_digest, candidate.recipe_digest)
    promoted = sa.select(promotions.c.id).where(promotions.c.model == model).order_by(promotions.c.id.desc()).limit(1)
    is_first = connection.execute(promoted).first() is None
    decided = decisions.select().where(decisions.c.run_key == run_key).order_by(decisions.c.id.desc()).limit(1)
    asked = why_ask(semver, is_first, list(connection.execute(decided).one().criteria))
    values = {"model": model, "version": number, "semver": semver, "as_of": candidate.as_of, "approval_because": asked,
              "recorded_at": clock.now()}  # fmt: skip
    if insert_once(connection, model_versions, {"run_key": run_key}, values):
        digests = ("artifact_digest", "recipe_digest", "signature_digest", "snapshot_digest")
        evidence = {name: candidate._mapping[name] for name in digests}
        ledger.bind(connection, model_versions, {"run_key": run_key}, kind="registration", evidence=evidence)


def _newest_recipe(connection: sa.Connection, model: str) -> tuple[str, str, str] | None:
    query = (
        sa.select(model_versions.c.semver, candidates.c.signature_digest, candidates.c.recipe_digest)
        .join(candidates)
        .where(model_versions.c.model == model)
        .order_by(model_versions.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return (row.semver, row.signature_digest, row.recipe_digest) if row else None
