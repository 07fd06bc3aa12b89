"""The comparator of a non-inferiority test: an earlier champion, which keeps many small losses from adding up to a large one.

Each decision names the comparator of the next: the champion, once it is surely better than the comparator, and until then the same one.
docs/decisions/how-a-gate-decides.md has the figures behind this.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

from include.evergreen.config.gate import ChampionCriterion, Gate
from include.evergreen.foundation.errors import EvergreenError, TransientError
from include.evergreen.gates.decision import find_blessing
from include.evergreen.gates.scored import NoComparisonError, Rival
from include.evergreen.registry.history import find_place
from include.evergreen.registry.versions import ChangedRecordError, RegisteredVersion, select_versions
from include.evergreen.state import ledger
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import decisions, model_versions, promotions
from include.evergreen.state.database.tables import ledger as entries

log = logging.getLogger(__name__)
COMPARATORS_TRIED = 3  # champions since the comparator, when it is nothing to compare with


@dataclass(frozen=True)
class Comparator:
    """``version`` is what the decision names; ``rival`` is None where that is the champion, or cannot be compared.

    ``passed_over``: a sentence for each version that the champion's decision, or the order of champions, named before it.
    """

    version: int
    rival: Rival | None = None
    passed_over: tuple[str, ...] = ()


def find_comparators(gate: Gate, champion: RegisteredVersion, compare: Callable[[RegisteredVersion], Rival]) -> dict[str, Comparator]:
    """The comparator of each metric that a criterion asks not to be worse.

    Raises `ChangedRecordError` when a record was changed in the database, and `TransientError` when a comparator cannot be reached.

    :param gate: the gate as model.yaml declares it, with its criteria
    :param champion: the champion, whose own decision names the comparators
    :param compare: makes a rival of a version
    :returns: by metric; the champion itself where no decision names another, or a person forced it
    """
    metrics = {
        criterion.metric for criterion in gate.criteria if isinstance(criterion, ChampionCriterion) and criterion.must == "not_worse"
    }
    named = _named(champion) if metrics else {}
    first = {metric: named.get(metric, champion.version) for metric in metrics}
    comparators = {number: _nearest(champion, number, compare) for number in set(first.values())}
    return {metric: comparators[number] for metric, number in first.items()}


def _named(champion: RegisteredVersion) -> dict[str, int]:
    """The comparators that the champion's own decision names, by metric; none when a person forced it, who answers for what was lost."""
    blessing = find_blessing(champion.run_key)
    with reading() as connection:
        place = find_place(connection, champion.model, champion.version)
        body = connection.execute(entries.select().where(entries.c.sequence == place.entry)).first() if place else None
        if blessing is None or (body and json.loads(body.body).get("forced")):
            return {}
        if changed := ledger.why_unbound(connection, decisions, id=blessing.id):
            raise ChangedRecordError(f"{champion.model}: {changed}, so its comparator is not known. See `evergreen verify-ledger`.")
    details = [(criterion["metric"], criterion.get("details") or {}) for criterion in blessing.criteria if criterion["kind"] == "champion"]
    return {metric: said["comparator"] for metric, said in details if "comparator" in said}


def _nearest(champion: RegisteredVersion, number: int, compare: Callable[[RegisteredVersion], Rival]) -> Comparator:
    """Version ``number``, or else the next one of the champions since that can be compared; or else the champion."""
    passed_over: list[str] = []
    for version in _champions_since(champion, number) if number != champion.version else ():
        try:
            return Comparator(version.version, compare(version), tuple(passed_over))
        except (TransientError, MemoryError, ChangedRecordError):
            raise
        except NoComparisonError as error:
            passed_over.append(f"there is no comparator {error}")
        except Exception as error:  # of its own features.py, too: what was once good enough must not keep others from being judged
            told = f": {str(error).rstrip('.')}" if isinstance(error, EvergreenError) else ""
            passed_over.append(f"version {version.version} is no comparator, as it cannot be evaluated ({type(error).__name__}{told})")
        log.warning("%s: %s", champion.model, passed_over[-1])
    return Comparator(champion.version, None, tuple(passed_over))


def _champions_since(champion: RegisteredVersion, number: int) -> list[RegisteredVersion]:
    """The champions from version ``number`` on that came before this one and were not rolled back, the oldest first."""
    own = promotions.c
    with reading() as connection:
        place = find_place(connection, champion.model, champion.version)
        before = (own.model == champion.model, own.ended_by.is_(None), own.version >= number, own.id < (place.id if place else 0))
        numbers = connection.execute(promotions.select().where(*before).order_by(own.id).limit(COMPARATORS_TRIED)).all()
        return [
            version
            for row in numbers
            for version in select_versions(connection, model_versions.c.model == champion.model, model_versions.c.version == row.version)
        ]
