"""Watches a scored partition: monitors it, and decides what its labels allow a roll-out to decide."""

from __future__ import annotations

from dataclasses import replace

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.foundation.grain import Partition
from include.evergreen.monitoring import monitor
from include.evergreen.promotion.rollouts import advance_rollout
from include.evergreen.state.stage_status import Outcome


def watch(catalog: Catalog, model: ModelConfig, partition: Partition, origin: str) -> Outcome:
    """Monitor a partition, and then see to the model's roll-out, if one runs. Passes on what `monitor` raises.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param partition: the day that was scored
    :param origin: ``live`` or ``backfill``, for the record of the observations
    :returns: what became of the monitoring; its message says what became of the roll-out, too
    """
    outcome = monitor(catalog, model, partition, origin)
    told = advance_rollout(catalog, model)
    return replace(outcome, message=f"{outcome.message}; {told}") if told else outcome
