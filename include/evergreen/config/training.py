"""What `model.yaml` says under ``train``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from include.evergreen.config.base import Strict
from include.evergreen.config.docker import Docker
from include.evergreen.config.schedule import LONGEST_WINDOW_DAYS, PartitionSchedule


class Train(Strict):
    schedule: PartitionSchedule | None = Field(default=None, description="Trains by the clock; none trains by hand and by firing alone.")
    window_days: int = Field(default=60, ge=2, le=LONGEST_WINDOW_DAYS, description="Days of rows before as_of that a training run reads.")
    min_days: int = Field(default=14, ge=2, description="Fewer days than this with rows and labels stop the training.")
    holdout_days: int = Field(default=7, ge=1, description="The newest days of the window, kept from fitting and used by the gate.")
    estimator: str = Field(description="Import path of a scikit-learn compatible estimator.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="The estimator's keyword arguments.")
    seed: int = 0
    run_in: Literal["worker", "docker"] = Field(
        default="worker", description="Where the training step runs: in the worker, or in a container."
    )
    docker: Docker | None = Field(default=None, description="run_in: docker. The container's image and limits.")

    @model_validator(mode="after")
    def _holdout_leaves_rows_to_fit(self) -> Train:
        if not self.holdout_days < self.min_days <= self.window_days:
            got = f"{self.holdout_days}, {self.min_days}, {self.window_days}"
            raise ValueError(f"need holdout_days < min_days <= window_days, got {got}")
        return self
