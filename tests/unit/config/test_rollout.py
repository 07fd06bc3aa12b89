"""The ``rollout`` section: what makes no sense is refused before any run, with file and line, and what takes long is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.config.check import catalog_warnings, check_catalog
from include.evergreen.config.rollout import Rollout
from tests.unit.config.conftest import Change

CHAMPION = "{kind: champion, metric: mae, margin: 1}"


def test_by_default_nothing_is_rolled_out() -> None:
    assert Rollout().steps == ()
    assert [Rollout.model_validate({"strategy": name}).steps for name in ("shadow", "canary", "ab")] == [(0,), (0.05, 0.25, 0.5), (0.5,)]


@pytest.mark.parametrize(
    ("rollout", "criterion", "problem"),
    [
        ("{strategy: canary, shares: [0.1, 0.5], partitions: 7}", CHAMPION, ""),
        ("{strategy: blue_green}", CHAMPION, "rollout.strategy: 'blue_green' is not allowed; allowed: all_at_once, shadow, canary, ab"),
        ("{strategy: canary, shares: [0.5, 1]}", CHAMPION, "rollout.shares[1]: "),
        ("{strategy: canary, shares: [0.5, 0.1]}", CHAMPION, "rollout.shares: must grow from step to step, got 0.5, 0.1"),
        ("{strategy: ab, share: 0}", CHAMPION, "rollout.share: "),
        ("{strategy: ab, shares: [0.1]}", CHAMPION, "rollout.shares: is for strategy canary, and this is ab; remove it"),
        ("{strategy: shadow, share: 0.1}", CHAMPION, "rollout.share: is for strategy ab, and this is shadow; remove it"),
        ("{partitions: 3}", CHAMPION, "rollout.partitions: is for the other strategies, and this is all_at_once"),
        ("{strategy: shadow, partitions: 1}", CHAMPION, "rollout.partitions: 1 does not show how days differ"),
        ("{strategy: shadow}", "{kind: absolute, metric: mae, at_most: 15}",
         "rollout.strategy: shadow compares with the champion, and no criterion of the gate says by which metric and margin"),
    ],
)  # fmt: skip
def test_a_rollout_that_could_never_be_decided(
    include: Path, change_model: Change, rollout: str, criterion: str, problem: str
) -> None:  # fmt: skip
    change_model("{kind: absolute, metric: mae, at_most: 15}", criterion)
    file = change_model("retrain:\n", f"rollout: {rollout}\nretrain:\n")
    found = check_catalog(Catalog(include))
    if not problem:
        assert found == []
    else:
        assert len(found) == 1 and found[0].startswith(f"{file}:17: {problem}")


def test_rows_without_keys_cannot_be_divided(include: Path, change_model: Change, change_dataset: Change) -> None:
    change_dataset("keys: [shop]\n", "")
    change_model("{kind: absolute, metric: mae, at_most: 15}", CHAMPION)
    change_model("retrain:\n", "rollout: {strategy: ab}\nretrain:\n")
    assert any(
        "rollout.strategy: ab divides the rows by their keys, and sales has none" in problem for problem in check_catalog(Catalog(include))
    )


def test_few_days_and_labels_that_come_later_than_a_step_lasts_are_a_warning(
    include: Path, change_model: Change, change_dataset: Change
) -> None:  # fmt: skip
    change_model("{kind: absolute, metric: mae, at_most: 15}", CHAMPION)
    file = change_model("retrain:\n", "rollout: {strategy: canary, partitions: 3}\nretrain:\n")
    [few] = catalog_warnings(Catalog(include))
    assert few.startswith(f"{file}:17: rollout.partitions: 3 days are few to show how days differ, so only large differences are seen;")
    change_model("{dataset: sales, column: amount}", "{dataset: sales, column: amount, within: 20 days}")
    [_, late] = catalog_warnings(Catalog(include))
    assert late == (
        f"{file}:17: rollout.partitions: the labels of a day come 19 days after it, so that each step of 3 days is decided so much later: "
        f"a whole roll-out takes about 66 days"
    )
