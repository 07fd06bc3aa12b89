"""Which version serves, which did when, and how one comes to."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen import clock, ledger
from include.evergreen.database import reading, writing
from include.evergreen.database.tables import candidates, decisions, model_versions, promotions
from include.evergreen.database.upsert import insert_once
from include.evergreen.errors import ConfigError, DataError
from include.evergreen.registry import mlflow_store

log = logging.getLogger(__name__)
NO_VERSION = 0
LONGEST_REASON = 500


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry, with what is needed to serve and to explain it."""

    model: str
    version: int
    semver: str
    run_key: str
    as_of: dt.date
    artifact_uri: str
    artifact_digest: str
    signature_digest: str
    recipe_digest: str
    reference_path: str
    mlflow_run_id: str
    metrics: dict[str, float]
    irreproducible_because: str | None = None


@dataclass(frozen=True)
class Promotion:
    """The outcome of asking for a promotion: whether it was done, and why or why not."""

    promoted: bool
    version: int
    words: str


def register(model: str, run_key: str) -> RegisteredVersion:
    """Register a blessed candidate as a version, and as challenger unless the champion knows more; again finds it.

    Raises `DataError` when our own database has no blessed decision on it.
    """
    with reading() as connection:
        candidate = connection.execute(candidates.select().where(candidates.c.run_key == run_key)).first()
        if candidate is None or candidate.model != model or not _is_blessed(connection, run_key):
            raise DataError(f"{model}: run key {run_key[:12]} has no blessed decision in the database, so it is not registered.")
    tags = {"evergreen.as_of": str(candidate.as_of), "evergreen.snapshot": candidate.snapshot_digest}
    serving = champion(model)
    version = mlflow_store.register_version(
        model, run_key, candidate.mlflow_run_id, candidate.artifact_uri, tags, is_challenger=not serving or candidate.as_of >= serving.as_of
    )
    with writing() as connection:
        semver = next_semver(_newest_recipe(connection, model), candidate.signature_digest, candidate.recipe_digest)
        values = {"model": model, "version": version, "semver": semver, "as_of": candidate.as_of, "recorded_at": clock.now()}
        if insert_once(connection, model_versions, {"run_key": run_key}, values):
            body = {"version": version, "semver": semver, "run_key": run_key, "as_of": candidate.as_of,
                    "artifact_digest": candidate.artifact_digest}  # fmt: skip
            ledger.append(connection, kind="registration", model=model, body=body)
        row = connection.execute(_versions().where(model_versions.c.run_key == run_key)).one()
        registered = _registered(row)  # another process may have registered the run under a number of its own
    log.info("%s: version %d (%s) as of %s is registered", model, registered.version, registered.semver, registered.as_of)
    return registered


def next_semver(newest: tuple[str, str, str] | None, signature: str, recipe: str) -> str:
    """Major: features or target changed. Minor: estimator, parameters or features.py. Patch: only newer data.

    ``newest`` is (semver, signature digest, recipe digest) of the newest version, or None for the first.
    """
    if newest is None:
        return "1.0.0"
    major, minor, patch = (int(part) for part in newest[0].split("."))
    if signature != newest[1]:
        return f"{major + 1}.0.0"
    if recipe != newest[2]:
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def promote(model: str, version: int, *, actor: str, reason: str, force: bool = False) -> Promotion:
    """Make ``version`` champion, unless the champion has a later as_of and nobody forces it.

    Verified in our own database: a blessed decision, and the artifact's digest. Safe to repeat: the promotion and its
    ledger entry are one transaction, and MLflow's alias is set after it, again each time.
    """
    if len(reason) > LONGEST_REASON:
        raise ConfigError(f"{model}: the reason has {len(reason)} characters; at most {LONGEST_REASON} go into the ledger. Shorten it.")
    wanted = version_number(model, version)
    mlflow_store.load_model(wanted.artifact_uri, wanted.artifact_digest)
    with writing() as connection:
        if not _is_blessed(connection, wanted.run_key):
            raise DataError(f"{model} version {version} has no blessed decision in the database, so it is not promoted.")
        current = _current(connection, model)
        outcome = _promotion_outcome(wanted, current, force)
        if outcome.promoted and (current is None or current.version != version):
            previous = current.version if current else NO_VERSION
            record = {
                "model": model,
                "version": version,
                "as_of": wanted.as_of,
                "previous_version": previous,
                "actor": actor,
                "reason": reason,
            }
            connection.execute(promotions.insert().values(**record, promoted_at=clock.now()))
            ledger.append(connection, kind="promotion", model=model, body={**record, "forced": force})
    serving = champion(model)
    assert serving is not None
    mlflow_store.set_champion_alias(model, serving.version)
    log.info("%s: %s", model, outcome.words)
    return outcome


def champion(model: str) -> RegisteredVersion | None:
    """The version that serves now."""
    with reading() as connection:
        return _current(connection, model)


def champion_for(model: str, partition: dt.date) -> RegisteredVersion | None:
    """The version that may score ``partition``: the one promoted last among those that had not seen that day yet."""
    with reading() as connection:
        return _current(connection, model, promotions.c.as_of <= partition)


def champion_at(model: str, when: dt.datetime) -> RegisteredVersion | None:
    """The version that was champion at a moment of the wall clock."""
    with reading() as connection:
        return _current(connection, model, promotions.c.promoted_at <= when)


def challenger(model: str) -> RegisteredVersion | None:
    """The newest version registered after the champion, with no earlier as_of: one trained as of the past challenges nobody."""
    with reading() as connection:
        current = _current(connection, model)
        query = _versions().where(model_versions.c.model == model)
        if current:
            query = query.where(model_versions.c.version > current.version, model_versions.c.as_of >= current.as_of)
        row = connection.execute(query.order_by(model_versions.c.version.desc()).limit(1)).first()
    return _registered(row) if row else None


def challenger_for(model: str, partition: dt.date) -> RegisteredVersion | None:
    """The challenger, to score ``partition`` in the champion's shadow; none when it has seen that day."""
    found = challenger(model)
    return found if found and found.as_of <= partition else None


def version_number(model: str, version: int) -> RegisteredVersion:
    """The registered version, or `ConfigError` with those that there are."""
    with reading() as connection:
        rows = connection.execute(_versions().where(model_versions.c.model == model)).all()
    for row in rows:
        if row.version == version:
            return _registered(row)
    known = ", ".join(str(row.version) for row in rows[-20:]) or "none"
    raise ConfigError(f"{model} has no version {version}; registered: {known}.")


def _promotion_outcome(wanted: RegisteredVersion, current: RegisteredVersion | None, force: bool) -> Promotion:
    if current and current.version == wanted.version:
        return Promotion(True, wanted.version, f"version {wanted.version} ({wanted.semver}) is champion already")
    if current and current.as_of > wanted.as_of and not force:
        words = (
            f"version {wanted.version} as of {wanted.as_of} does not take the place of champion {current.version} "
            f"as of {current.as_of}, which knows more; a person may force it, with a reason"
        )
        return Promotion(False, current.version, words)
    words = f"version {wanted.version} ({wanted.semver}) as of {wanted.as_of} is champion"
    return Promotion(True, wanted.version, f"{words}, in the place of version {current.version}" if current else words)


def _current(connection: sa.Connection, model: str, *conditions: Any) -> RegisteredVersion | None:
    newest = promotions.select().where(promotions.c.model == model, *conditions).order_by(promotions.c.id.desc()).limit(1)
    promoted = connection.execute(newest).first()
    if promoted is None:
        return None
    wanted = _versions().where(model_versions.c.model == model, model_versions.c.version == promoted.version)
    return _registered(connection.execute(wanted).one())


def _versions() -> sa.Select[Any]:
    return sa.select(model_versions, candidates.c.artifact_uri, candidates.c.artifact_digest,
        candidates.c.signature_digest, candidates.c.recipe_digest, candidates.c.reference_path,
                     candidates.c.mlflow_run_id, candidates.c.metrics, candidates.c.irreproducible_because).join(candidates)  # fmt: skip


def _registered(row: sa.Row[Any]) -> RegisteredVersion:
    return RegisteredVersion(**{name: row._mapping[name] for name in RegisteredVersion.__dataclass_fields__})


def _is_blessed(connection: sa.Connection, run_key: str) -> bool:
    query = sa.select(decisions.c.id).where(decisions.c.run_key == run_key, decisions.c.verdict == "blessed").limit(1)
    return connection.execute(query).first() is not None


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
