"""Which versions may serve, and the alerts on those that cannot: by our own record, by their files, or in the gate's eyes."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.registry.history import champion, champions_for, find_place
from include.evergreen.registry.rollouts import governing_rollout, why_rollout_unbound
from include.evergreen.registry.versions import RegisteredVersion, raise_bypass, why_not_servable
from include.evergreen.state import ledger
from include.evergreen.state.alerts import Severity, open_alerts, raise_alert, resolve_alert
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import promotions

DAMAGED_CHAMPION: tuple[str, str, Severity] = ("champion", "The last champion whose files verify is serving.", "critical")
DAMAGED_CHALLENGER: tuple[str, str, Severity] = ("challenger", "The champion is serving alone.", "warning")


def serving(model: str, partition: Partition) -> Iterator[RegisteredVersion]:
    """The `champions_for` of a partition that may serve by our own record; one that may not makes the one critical alert.

    Each is looked at when it is asked for: the next one only where one cannot serve. Their artifacts are still to be verified:
    `verified` and `damaged` keep the alerts on those.

    :param model: name of the model
    :param partition: the day whose rows are scored, on which none of them was trained
    :yields: the champions that may serve, who was promoted last first
    :raises DataError: there are champions, and none may serve
    """
    refused, may = False, False
    for version in champions_for(model, partition):
        with reading() as connection:
            message = why_not_servable(connection, version) or _why_no_champion(connection, version)
        if message:
            refused = True
            raise_bypass(model, version.run_key, f"{message}. The last champion that has them is serving.")
        else:
            may = True
            yield version
    if refused and not may:
        raise DataError(f"{model}: none of its champions may serve {partition}; see its open alerts.")


def may_serve_share(version: RegisteredVersion, partition: Partition) -> bool:
    """Tell whether our own record lets the version of a roll-out serve keys of a partition; if not, it makes the one critical alert.

    :param version: the challenger
    :param partition: the day whose rows are scored
    :returns: whether the roll-out stands in the ledger as it is, and the gate, and a person where that is needed, let the version serve;
        true where no roll-out governs the partition
    """
    with reading() as connection:
        rollout = governing_rollout(connection, version.model, partition)
        if rollout is None:
            return True
        message = why_rollout_unbound(connection, rollout) or why_not_servable(connection, version)
    if message:
        raise_bypass(version.model, version.run_key, f"{message}. The champion is serving alone.")
    return not message


def damaged(version: RegisteredVersion, error: DataError, *, is_champion: bool = True) -> None:
    """Raise the one alert on a version whose artifact was changed or lost; for a challenger it is no more than a warning.

    :param version: the registered version
    :param error: what was found, which the alert quotes
    :param is_champion: whether it is champion, or was; else it is the challenger
    """
    role, then, severity = DAMAGED_CHAMPION if is_champion else DAMAGED_CHALLENGER
    message = f"{version.model} version {version.version} is {role} and cannot score: {error} {then}"
    evidence = {"version": version.version, "artifact": version.artifact_uri, "digest": version.artifact_digest}
    raise_alert(_artifact_key(version), model=version.model, severity=severity, message=message, evidence=evidence)


def verified(version: RegisteredVersion) -> None:
    """Its artifact is as it was recorded: an alert that said otherwise is over.

    :param version: the registered version
    """
    resolve_alert(_artifact_key(version))


def cannot_be_compared(version: RegisteredVersion, message: str) -> None:
    """Raise the one alert on a champion that the gate could not compute, so that candidates are judged without it.

    :param version: the champion
    :param message: the alert's sentences, which say what follows of it
    """
    raise_alert(
        _comparison_key(version.model), model=version.model, severity="critical", message=message, evidence={"version": version.version}
    )  # fmt: skip


def can_be_compared(model: str) -> None:
    """The champion was computed, or there is none that should be: an alert that said otherwise is over.

    :param model: name of the model
    """
    resolve_alert(_comparison_key(model))


def champion_may_have_changed(model: str) -> None:
    """Resolve the alert that a champion cannot be compared, where another one serves by now.

    :param model: name of the model
    """
    serves = champion(model)
    broken = [alert.evidence["version"] for alert in open_alerts(model) if alert.key == _comparison_key(model)]
    if broken and not (serves and serves.version in broken):
        can_be_compared(model)


def _why_no_champion(connection: sa.Connection, version: RegisteredVersion) -> str:
    """What is wrong with the promotion by which a version stands among the champions; empty when the ledger agrees."""
    place = find_place(connection, version.model, version.version)
    assert place is not None  # that is how it was found
    return ledger.why_unbound(connection, promotions, id=place.id)


def _comparison_key(model: str) -> str:
    return f"comparison/{model}"


def _artifact_key(version: RegisteredVersion) -> str:
    return f"artifact/{version.model}/{version.version}"
