"""Which version serves, which did when, and how one comes to.

Our database decides: a promotion or a roll-back is one row with its ledger entry, under the lock of `writing`. MLflow's aliases are
set after it, and put back when they say something else.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.evergreen import clock, ledger
from include.evergreen.alerts import Severity, raise_alert, resolve_alert
from include.evergreen.approvals import keep_answer, newest_answer
from include.evergreen.database import reading, writing
from include.evergreen.database.tables import decisions, model_versions, promotions
from include.evergreen.effects import side_effect
from include.evergreen.errors import ConfigError, DataError, TransientError
from include.evergreen.pauses import standing_pause
from include.evergreen.reasons import checked_reason
from include.evergreen.registry import mlflow_store
from include.evergreen.registry.versions import (
    RegisteredVersion,
    UnearnedError,
    alarming,
    newest_verdict,
    next_semver,
    raise_bypass,
    register,
    select_versions,
    version_number,
    versions_of,
    why_not_approved,
    why_not_blessed,
    why_not_servable,
)

__all__ = [
    "NO_VERSION",
    "ChampionChangedError",
    "History",
    "Promotion",
    "RegisteredVersion",
    "UnearnedError",
    "challenger",
    "challenger_for",
    "champion",
    "champion_at",
    "champion_for",
    "champions_for",
    "damaged",
    "history",
    "next_semver",
    "obstacle",
    "promote",
    "promote_judged",
    "reconcile",
    "register",
    "roles",
    "rollback",
    "serving",
    "show_challenger",
    "verified",
    "version_number",
    "versions_of",
]

log = logging.getLogger(__name__)
NO_VERSION = 0
LONGEST_REASON, LONGEST_ACTOR = 500, 120  # what the database's columns hold
BY_HAND = "promotion by hand"  # the request under which a person's promotion is kept as the approval that it is
TIMES_AT_ONCE = 10  # promotions that may overtake another one before it gives up
SECOND_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Promotion:
    """The outcome of asking for a promotion or a roll-back: whether ``version`` serves as was asked for, and why or why not."""

    promoted: bool
    version: int
    words: str


@dataclass(frozen=True)
class History:
    """What the promotions of one model come to.

    ``line`` holds the versions that are or were champion, each once, the one that serves last; a roll-back goes back along it, and
    what it leaves is ``withdrawn``, with the roll-back that did so: nothing but a person's force brings it back.
    """

    line: tuple[int, ...]
    withdrawn: dict[int, sa.Row[Any]]
    rows: tuple[sa.Row[Any], ...]

    @property
    def champion(self) -> int:
        """0: there is none."""
        return self.line[-1] if self.line else NO_VERSION


class ChampionChangedError(TransientError):
    """Another champion serves than the one that the decision judged against: it must be judged again."""


# --- who serves, and who did ------------------------------------------------------------------------------------------


def champion(model: str) -> RegisteredVersion | None:
    """The version that serves now."""
    with reading() as connection:
        return _version(connection, model, history(connection, model).champion)


def champion_for(model: str, partition: dt.date) -> RegisteredVersion | None:
    """The version that may score ``partition``: the first of `champions_for`."""
    return next(iter(champions_for(model, partition)), None)


def champions_for(model: str, partition: dt.date) -> list[RegisteredVersion]:
    """The champions, of now and before, that had not seen ``partition`` yet and were not withdrawn; who was promoted last comes first."""
    with reading() as connection:
        line = history(connection, model).line
        wanted = (model_versions.c.model == model, model_versions.c.version.in_(line), model_versions.c.as_of <= partition)
        known = {each.version: each for each in select_versions(connection, *wanted)}
    return [known[number] for number in reversed(line) if number in known]


def champion_at(model: str, when: dt.datetime) -> RegisteredVersion | None:
    """The version that was champion at a moment of the wall clock."""
    with reading() as connection:
        return _version(connection, model, history(connection, model, until=when).champion)


def challenger(model: str) -> RegisteredVersion | None:
    """The newest version registered after the champion, with no earlier as_of, that was not withdrawn.

    One trained as of the past challenges nobody.
    """
    with reading() as connection:
        past = history(connection, model)
        current = _version(connection, model, past.champion)
        later = (model_versions.c.version > current.version, model_versions.c.as_of >= current.as_of) if current else ()
        found = list(select_versions(connection, model_versions.c.model == model, *later))
    return next((each for each in reversed(found) if each.version not in past.withdrawn), None)


def challenger_for(model: str, partition: dt.date) -> RegisteredVersion | None:
    """The challenger, to score ``partition`` in the champion's shadow; none when it has seen that day."""
    found = challenger(model)
    return found if found and found.as_of <= partition else None


def roles(model: str) -> dict[int, str]:
    """What each version that is or was more than registered is: champion, challenger, an earlier champion, or withdrawn."""
    with reading() as connection:
        past = history(connection, model)
    rival = challenger(model)
    return {
        **({rival.version: "challenger"} if rival else {}),
        **dict.fromkeys(past.line, "was champion"),
        **{version: f"withdrawn by {row.actor}: {row.reason}" for version, row in past.withdrawn.items()},
        **({past.champion: "champion"} if past.champion else {}),
    }


def history(connection: sa.Connection, model: str, until: dt.datetime | None = None) -> History:
    """All promotions and roll-backs of a model, up to a moment, told as the line of its champions."""
    query = promotions.select().where(promotions.c.model == model).order_by(promotions.c.id)
    rows = connection.execute(query.where(promotions.c.promoted_at <= until) if until else query).all()
    line: list[int] = []
    withdrawn: dict[int, sa.Row[Any]] = {}
    for row in rows:
        if row.kind == "rollback":
            kept = line.index(row.version) + 1 if row.version in line else 0
            withdrawn.update({left: row for left in line[kept:]})
            line = [*line[:kept], *([] if kept else [row.version])]
        else:
            withdrawn.pop(row.version, None)
            line = [*(each for each in line if each != row.version), row.version]
    return History(tuple(line), withdrawn, tuple(rows))


def serving(model: str, partition: dt.date) -> list[RegisteredVersion]:
    """The `champions_for` of a partition that may serve by our own record; the one that does not makes the one critical alert.

    Their artifacts are still to be verified: `verified` and `damaged` keep the alerts on those.
    """
    found = champions_for(model, partition)
    may = []
    for each in found:
        with reading() as connection:
            words = why_not_servable(connection, each)
        if words:
            raise_bypass(model, each.run_key, f"{words}. The last champion that has them serves.")
        else:
            may.append(each)
    if found and not may:
        raise DataError(f"{model}: none of its champions may serve {partition}: see its open alerts.")
    return may


def damaged(version: RegisteredVersion, error: DataError, *, is_champion: bool = True) -> None:
    """Raise the one alert on a champion whose artifact was changed or lost; for a challenger it is no more than a warning."""
    role, then = (
        ("champion", "The last champion whose files verify serves.") if is_champion else ("challenger", "The champion serves alone.")
    )
    words = f"{version.model} version {version.version} is {role} and cannot score: {error} {then}"
    evidence = {"version": version.version, "artifact": version.artifact_uri, "digest": version.artifact_digest}
    severity: Severity = "critical" if is_champion else "warning"
    raise_alert(_artifact_key(version), model=version.model, severity=severity, words=words, evidence=evidence)


def verified(version: RegisteredVersion) -> None:
    """Its artifact is as it was recorded: an alert that said otherwise is over."""
    resolve_alert(_artifact_key(version))


# --- how one comes to -------------------------------------------------------------------------------------------------


def promote(model: str, version: int, *, actor: str, reason: str, force: bool = False) -> Promotion:
    """A person makes a blessed version champion, which also is the approval, where one is required.

    Nothing happens to one that the champion's as_of outruns, that was refused, withdrawn, or rejected since, unless ``force``: then
    the ledger has an override. Raises `UnearnedError`, and the alert, for one that was never blessed, forced or not; `DataError`
    for a damaged artifact. Safe to repeat: deed and ledger entry are one transaction, and the alias is set after it, each time.
    """
    reason = checked_reason(model, reason)
    wanted = version_number(model, version)
    mlflow_store.verify_artifact(wanted.artifact_uri, wanted.artifact_digest)
    with alarming(model, wanted.run_key), side_effect("promote.record"), writing() as connection:
        past = history(connection, model)
        if why_not := why_not_blessed(connection, wanted):
            raise UnearnedError(f"{why_not}, so it is not promoted.")
        outcome = _promote_by_hand(connection, past, wanted, actor=actor[:LONGEST_ACTOR], reason=reason, force=force)
    _show(model)
    log.info("%s: %s", model, outcome.words)
    return outcome


def promote_judged(wanted: RegisteredVersion, decision: int, *, actor: str, reason: str) -> Promotion:
    """The automatic promotion, by a decision (its id in our database) that blessed the version against the champion of now.

    Raises `ChampionChangedError` when another one serves by now, `UnearnedError`, and the alert, without the blessing or the approval
    that is required, `DataError` for a damaged artifact. What else stands in the way (see `obstacle`) is told in the outcome.
    """
    mlflow_store.verify_artifact(wanted.artifact_uri, wanted.artifact_digest)
    with alarming(wanted.model, wanted.run_key), side_effect("promote.record"), writing() as connection:
        outcome = _promote_judged(connection, wanted, decision, actor[:LONGEST_ACTOR], reason.strip()[:LONGEST_REASON])
    _show(wanted.model)
    log.info("%s: %s", wanted.model, outcome.words)
    return outcome


def rollback(model: str, *, to: int | None = None, actor: str, reason: str, request: str = "") -> Promotion:
    """Make the previous champion, or the earlier one ``to``, serve again; what is left, back to it, is withdrawn.

    Rolling back once more goes further back, and not to and fro. A repetition of the same ``request`` (an Airflow run's id) is the
    same roll-back. Raises `ConfigError` when there is nothing to go back to, `DataError` when that one's artifact is damaged.
    """
    reason = checked_reason(model, reason)
    for _ in range(TIMES_AT_ONCE):
        with reading() as connection:
            past = history(connection, model)
        target = version_number(model, _rollback_target(model, past, to, request))
        mlflow_store.verify_artifact(target.artifact_uri, target.artifact_digest)
        with alarming(model, target.run_key), side_effect("rollback.record"), writing() as connection:
            now = history(connection, model)
            if len(now.rows) != len(past.rows):
                continue  # another promotion or roll-back came in between: look again
            if why_not := why_not_servable(connection, target):
                raise UnearnedError(f"{why_not}, so it is not rolled back to.")
            outcome = _roll_back(connection, now, target, actor=actor[:LONGEST_ACTOR], reason=reason, request=request)
        _show(model)
        log.info("%s: %s", model, outcome.words)
        return outcome
    raise TransientError(
        f"{model}: its champion changed {TIMES_AT_ONCE} times while it was rolled back. Look who promotes, then try again."
    )


def obstacle(wanted: RegisteredVersion) -> Promotion | None:
    """What keeps a version from being promoted by itself for now, if anything, or that it is champion already.

    Raises `UnearnedError`, and the alert, when it was never blessed, or lacks the approval that is required.
    """
    with alarming(wanted.model, wanted.run_key), reading() as connection:
        return _obstacle(connection, history(connection, wanted.model), wanted)


def reconcile(model: str) -> list[str]:
    """Make MLflow's aliases name what our record names; one sentence for each that did not.

    A champion's alias that a hand moved makes one critical alert, which stays until a person resolves it; one that a killed promotion
    left behind makes none.
    """
    return _show(model)


# --- within the lock --------------------------------------------------------------------------------------------------


def _promote_by_hand(
    connection: sa.Connection, past: History, wanted: RegisteredVersion, *, actor: str, reason: str, force: bool
) -> Promotion:
    current = _version(connection, wanted.model, past.champion)
    if current and current.version == wanted.version:
        return _champion_already(wanted)
    against = [words for words in (_why_withdrawn(past, wanted), _why_older(current, wanted)) if words]
    answer = newest_answer(connection, wanted.model, wanted.version)
    if answer and answer.verdict == "refused":
        against.append(f"version {wanted.version} was {answer.words}")
    if (verdict := newest_verdict(connection, wanted.run_key)) != "blessed":
        against.append(f"the gate's newest decision on version {wanted.version} is {verdict}")
    if against and not force:
        return Promotion(False, past.champion, f"{'; '.join(against)}; a person may force it, with a reason")
    if wanted.approval_because:
        request = f"{BY_HAND} {len(past.rows) + 1}"
        keep_answer(connection, wanted.model, wanted.version, request=request, verdict="approved", actor=actor, reason=reason)
    if against:
        body = {"version": wanted.version, "actor": actor, "reason": reason, "overridden": against}
        ledger.append(connection, kind="override", model=wanted.model, body=body)
    return _write(connection, current, wanted, kind="promotion", actor=actor, reason=reason, evidence={"forced": bool(against)})


def _promote_judged(connection: sa.Connection, wanted: RegisteredVersion, decision: int, actor: str, reason: str) -> Promotion:
    past = history(connection, wanted.model)
    if found := _obstacle(connection, past, wanted):
        return found
    current = _version(connection, wanted.model, past.champion)
    row = connection.execute(decisions.select().where(decisions.c.id == decision)).first()
    if row is None or row.run_key != wanted.run_key or row.verdict != "blessed":
        raise UnearnedError(f"{wanted.model} version {wanted.version} is not blessed by decision {decision}, so it is not promoted.")
    if row.champion_version != past.champion:
        raise ChampionChangedError(
            f"{wanted.model} version {wanted.version} was judged against version {row.champion_version}, and {past.champion} serves now."
        )
    evidence = {"forced": False, "decision": decision}
    return _write(connection, current, wanted, kind="promotion", actor=actor, reason=reason, evidence=evidence)


def _obstacle(connection: sa.Connection, past: History, wanted: RegisteredVersion) -> Promotion | None:
    if past.champion == wanted.version:
        return _champion_already(wanted)
    if why_not := why_not_blessed(connection, wanted) or why_not_approved(connection, wanted):
        raise UnearnedError(f"{why_not}, so it is not promoted.")
    current = _version(connection, wanted.model, past.champion)
    words = _why_withdrawn(past, wanted) or _why_older(current, wanted)
    if words:
        return Promotion(False, past.champion, f"{words}; a person may force it, with a reason")
    if pause := standing_pause():
        return Promotion(False, past.champion, f"version {wanted.version} is not promoted: {pause.words}")
    return None


def _roll_back(connection: sa.Connection, past: History, target: RegisteredVersion, *, actor: str, reason: str, request: str) -> Promotion:
    if past.champion == target.version:
        return _champion_already(target)
    current = _version(connection, target.model, past.champion)
    left = list(past.line[past.line.index(target.version) + 1 :])
    return _write(connection, current, target, kind="rollback", actor=actor, reason=reason, request=request, evidence={"withdrawn": left})


def _rollback_target(model: str, past: History, to: int | None, request: str) -> int:
    if request and any(row.kind == "rollback" and row.request == request for row in past.rows):
        return past.champion  # it was done already
    earlier = past.line[:-1]
    if to is None:
        if not earlier:
            raise ConfigError(f"{model} has no earlier champion to roll back to. Promote a version by hand, or train another one.")
        return earlier[-1]
    if to in past.line:
        return to
    allowed = ", ".join(str(each) for each in earlier) or "none"
    why = "was withdrawn by a roll-back" if to in past.withdrawn else "never was champion"
    raise ConfigError(
        f"{model} cannot be rolled back to version {to}, which {why}; earlier champions: {allowed}. Promote it by hand instead."
    )


def _write(
    connection: sa.Connection, current: RegisteredVersion | None, wanted: RegisteredVersion, *, kind: str, actor: str, reason: str,
    evidence: dict[str, Any], request: str = "",
) -> Promotion:  # fmt: skip
    """The one place where a champion is made: the row and its ledger entry."""
    record = {"model": wanted.model, "version": wanted.version, "as_of": wanted.as_of, "actor": actor, "reason": reason,
              "previous_version": current.version if current else NO_VERSION}  # fmt: skip
    connection.execute(promotions.insert().values(**record, kind=kind, request=request, promoted_at=clock.now()))
    ledger.append(connection, kind=kind, model=wanted.model, body={**record, **evidence, "artifact_digest": wanted.artifact_digest})
    again = " again" if kind == "rollback" else ""
    words = f"version {wanted.version} ({wanted.semver}) as of {wanted.as_of} is champion{again}"
    return Promotion(True, wanted.version, f"{words}, in the place of version {current.version}" if current else words)


def _champion_already(version: RegisteredVersion) -> Promotion:
    return Promotion(True, version.version, f"version {version.version} ({version.semver}) is champion already")


def _why_withdrawn(past: History, wanted: RegisteredVersion) -> str:
    row = past.withdrawn.get(wanted.version)
    return (
        f"version {wanted.version} was withdrawn by {row.actor}'s roll-back at {row.promoted_at:%Y-%m-%d %H:%M} UTC: {row.reason}"
        if row
        else ""
    )


def _why_older(current: RegisteredVersion | None, wanted: RegisteredVersion) -> str:
    if current is None or current.as_of <= wanted.as_of:
        return ""
    return (
        f"version {wanted.version} as of {wanted.as_of} does not take the place of champion {current.version} "
        f"as of {current.as_of}, which knows more"
    )


def _version(connection: sa.Connection, model: str, number: int) -> RegisteredVersion | None:
    if number == NO_VERSION:
        return None
    return next(select_versions(connection, model_versions.c.model == model, model_versions.c.version == number))


def _artifact_key(version: RegisteredVersion) -> str:
    return f"artifact/{version.model}/{version.version}"


# --- MLflow's aliases -------------------------------------------------------------------------------------------------


def show_challenger(model: str) -> None:
    """Make MLflow's alias name our challenger, or nothing."""
    found = challenger(model)
    wanted = found.version if found else None
    if mlflow_store.alias(model, "challenger") != wanted:
        with side_effect("register.alias"):
            mlflow_store.set_alias(model, "challenger", wanted)


def _show(model: str) -> list[str]:
    """Set MLflow's aliases by our record, and again while somebody else changes that."""
    told: list[str] = []
    ours: set[int | None] = set()  # what this call set itself
    for _ in range(TIMES_AT_ONCE):
        with reading() as connection:
            past = history(connection, model)
        wanted = past.champion or None
        seen = mlflow_store.alias(model, "champion")
        if seen != wanted:
            told.append(_put_back(model, past, seen, ours))
            ours.add(wanted)
        if not past.rows or _is_shown(model, past):
            break
    show_challenger(model)
    return told


def _put_back(model: str, past: History, seen: int | None, ours: set[int | None]) -> str:
    """Set the champion's alias, after the alert when a hand had moved it."""
    wanted = past.champion or None
    was = f"version {seen}" if seen else "no version"
    words = f"{model}: MLflow's alias champion named {was}"
    if seen not in _left_behind(past.rows) | ours and _is_still(model, seen):
        record = f"version {wanted}, which serves on" if wanted else "none"
        words += (
            f", which no promotion of ours did; our record has {record}. The alias was put back. Find out who moved it, then resolve this."
        )
        raise_alert(f"alias/{model}", model=model, severity="critical", words=words, evidence={"alias": seen, "champion": wanted})
    else:
        words += f"; it now names {f'version {wanted}' if wanted else 'none'}"
    with side_effect("promote.alias"):
        if not mlflow_store.set_alias(model, "champion", wanted):
            words = f"{model}: MLflow has no version {wanted} any more, though it is champion, and serves on. Somebody deleted it there."
            raise_alert(f"alias/{model}", model=model, severity="critical", words=words, evidence={"alias": seen, "champion": wanted})
    return words


def _left_behind(rows: Sequence[sa.Row[Any]]) -> set[int | None]:
    """What the alias may rightly name: what it last was seen to, or any champion since, whose promotions a crash cut short."""
    may: set[int | None] = {None} if not rows else set()
    for row in reversed(rows):
        may.add(row.version)
        if row.shown_at is not None:
            break
        may.add(row.previous_version or None)
    return may


def _is_still(model: str, seen: int | None) -> bool:
    """Another process may be between its record and its alias: look twice before anybody is woken."""
    time.sleep(SECOND_LOOK_SECONDS)
    return mlflow_store.alias(model, "champion") == seen


def _is_shown(model: str, past: History) -> bool:
    """Note that the alias names the newest champion; False when another promotion came in between."""
    newest = past.rows[-1]
    if newest.shown_at is None:
        with side_effect("promote.alias"), writing() as connection:
            connection.execute(promotions.update().where(promotions.c.id == newest.id).values(shown_at=clock.now()))
    with reading() as connection:
        return len(history(connection, model).rows) == len(past.rows)
