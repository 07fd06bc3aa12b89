"""What every model that is declared under EVERGREEN_INCLUDE (by default include/) promises of its features.

A team's own models are found by themselves, and need no data for it: see include/evergreen/testkit and
docs/guides/features.md. `make test` runs this; so does `pytest tests/models`.
"""

from __future__ import annotations

import pytest

from include.evergreen.config import Catalog
from include.evergreen.testkit import CHECKS, examine


def test_at_least_one_model_is_declared() -> None:
    catalog = Catalog()
    assert catalog.model_names(), f"{catalog.root}/models declares no model, so nothing is promised"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("model", Catalog().model_names())
def test_features_keep_their_promise(model: str, check: str) -> None:
    findings = examine(Catalog(), model, check)
    assert not findings, "\n".join(each.message for each in findings)
