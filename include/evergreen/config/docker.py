"""The ``train.docker`` section of `model.yaml`: the container that a training runs in."""

from __future__ import annotations

from pydantic import Field

from include.evergreen.config.base import Strict

LONGEST_MINUTES = 300  # the DAG run itself ends after six hours


class Docker(Strict):
    """One container for one training, which gets its declaration and rows as files, and nothing else: with limits on CPU and memory."""

    image: str = Field(min_length=1, pattern=r"^\S+$", description="The image that holds this distribution, such as evergreen:3.3.2.")
    cpus: float = Field(default=1.0, ge=0.01, description="Cores that the container may use, and no more, however idle the others are.")
    memory_mb: int = Field(default=2048, ge=64, description="Memory in MiB, without swap; a training that needs more is killed.")
    timeout_minutes: float = Field(
        default=240, gt=0, le=LONGEST_MINUTES, description="Minutes after which the training is stopped, and its container removed."
    )
