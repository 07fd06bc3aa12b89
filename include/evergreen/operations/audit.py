"""The nightly audit: verifies the ledger, its anchors, and every champion's alias and files. It removes nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import sqlalchemy as sa

from include.evergreen.data.partitions.store import differing_versions
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.registry import champions, servable
from include.evergreen.registry.history import differing_places
from include.evergreen.scoring.predictions import differing_scorings
from include.evergreen.state import ledger, mlflow_store
from include.evergreen.state.alerts import raise_alert, resolve_alert
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import promotions

log = logging.getLogger(__name__)
LEDGER_ALERT = "ledger/damage"
LONGEST_LIST = 5


@dataclass(frozen=True)
class Audited:
    """What the audit of the champions of ``models`` models found, a message each.

    ``corrected``: deviations that were corrected; ``damaged``: those that were not; ``unanswered``: what could not be checked.
    """

    models: int
    corrected: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


def verify_records() -> ledger.LedgerVerification:
    """Verify the ledger, and compare with it every row that is bound to an entry.

    :returns: as `ledger.verified`, with a sentence for each row that says otherwise than its entry
    """
    verification = ledger.verified()
    with reading() as connection:
        differing = chain(
            ledger.compare(connection), differing_places(connection), differing_scorings(connection), differing_versions(connection)
        )
        return replace(verification, problems=[*verification.problems, *islice(differing, ledger.MOST_PROBLEMS)])


def audit_ledger() -> ledger.LedgerVerification:
    """Verify the ledger; damage raises one critical alert, resolved when the ledger is intact again.

    :returns: how many entries and which anchors were verified
    :raises DataError: when anything is wrong; the message lists the first `LONGEST_LIST` problems
    """
    verification = verify_records()
    problems = verification.problems
    if not problems:
        resolve_alert(LEDGER_ALERT)
        log.info("the ledger is intact: %d entries, %d anchors", verification.entries, len(verification.anchors))
        return verification
    told = "\n".join(f"- {problem}" for problem in problems[:LONGEST_LIST])
    message = f"The records cannot be trusted: {problems[0]}. Run `evergreen verify-ledger`; restore a backup beside it."
    raise_alert(LEDGER_ALERT, model="", severity="critical", message=message, evidence={"problems": problems})
    raise DataError(
        f"The ledger, or records that it vouches for, were changed after they were written, in {len(problems)} places:\n{told}\n"
        f"Compare it with a backup (`evergreen verify-ledger --file` verifies an export) and find out who changed the database. "
        "Delete nothing."
    )


def audit_champions() -> Audited:
    """Check the alias in MLflow and the files of every model's champion. A failure of one does not stop the others.

    No YAML is read, so a broken one hides nothing. Alerts are raised and resolved by what finds them.

    :returns: what was found, by model name; `raise_audit_errors` fails the task for it
    """
    with reading() as connection:
        models = connection.execute(sa.select(promotions.c.model).distinct().order_by(promotions.c.model)).scalars().all()
    audited = Audited(len(models))
    for model in models:
        try:
            audited.corrected.extend(champions.reconcile(model))
            audited.damaged.extend(_damaged(model))
        except TransientError as error:
            audited.unanswered.append(f"{model}: {error}")
        except DataError as error:
            audited.damaged.append(f"{model}: {error}")
    for correction in audited.corrected:
        log.warning("%s", correction)
    return audited


def raise_audit_errors(audited: Audited) -> None:
    """Fail the task of an audit that found damage, or could not check everything.

    :param audited: what the audit found
    :raises DataError: when anything is damaged; the message lists that, and what did not answer
    :raises TransientError: when nothing is damaged, but something did not answer, so that another try may help
    """
    lines = "\n".join(f"- {problem}" for problem in (*audited.damaged, *audited.unanswered))
    message = f"Of {audited.models} models with a champion, these failed the audit:\n{lines}"
    if audited.damaged:
        raise DataError(message)
    if audited.unanswered:
        raise TransientError(message)


def _damaged(model: str) -> list[str]:
    version = champions.champion(model)
    if version is None:
        return []
    try:
        mlflow_store.verify_artifact(version.artifact_uri, version.artifact_digest)
    except mlflow_store.ArtifactError as error:
        servable.damaged(version, error)
        return [f"{model}: version {version.version}: {error}"]
    servable.verified(version)
    return []
