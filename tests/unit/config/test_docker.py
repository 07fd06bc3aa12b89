"""``train.run_in: docker`` and ``train.docker``."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.evergreen.config.training import Train

LEAST = {"estimator": "sklearn.linear_model.Ridge"}


def test_the_guides_example_is_read() -> None:
    import yaml

    from include.evergreen import PROJECT_ROOT

    example = (PROJECT_ROOT / "docs" / "guides" / "containers.md").read_text().split("```yaml\n")[1].split("```")[0]
    train = Train.model_validate({**LEAST, **yaml.safe_load(example)["train"]})
    assert train.run_in == "docker"
    assert train.docker is not None
    assert (train.docker.cpus, train.docker.memory_mb, train.docker.timeout_minutes) == (2, 4096, 120)


def test_a_container_without_an_image_is_refused() -> None:
    with pytest.raises(ValidationError, match="run_in is docker; add docker: {image: NAME}"):
        Train.model_validate({**LEAST, "run_in": "docker"})


@pytest.mark.parametrize("wrong", [{"image": ""}, {"image": "two words"}, {"cpus": 0}, {"memory_mb": 10}, {"timeout_minutes": 301}])
def test_limits_that_no_container_can_have_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Train.model_validate({**LEAST, "docker": {"image": "evergreen:1", **wrong}})
