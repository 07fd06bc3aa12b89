"""A model whose labels come within days: what it is trained on, what of it is monitored when, and what a label's arrival starts."""

from __future__ import annotations

import importlib
from pathlib import Path

import pandas as pd
import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.check import check_catalog
from include.evergreen.config.labels import LabelSource
from include.evergreen.data.conditions import Conditions
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.span import Span
from include.evergreen.monitoring import list_observations, monitor
from include.evergreen.monitoring.triggers import fire_if_tripped, replay_rules, rule_outlooks
from include.evergreen.operations.diagnose import why
from include.evergreen.operations.erasure.erase import erase
from include.evergreen.operations.local_run import partitions_needed
from include.evergreen.operations.missed import GRACE, missed_work
from include.evergreen.operations.reproduce import reproduce
from include.evergreen.operations.trace import find_logged
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.registry import champions
from include.evergreen.scoring import readiness
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from include.evergreen.state.stage_status import find_stage
from include.evergreen.training.recipes import build_recipe, signature_digest
from include.evergreen.training.take_snapshot import take_snapshot
from tests.unit.flights import registered_as_of
from tests.unit.late_labels import (
    AS_OF,
    MODEL,
    ROWS_A_DAY,
    WITHIN,
    chargebacks,
    day,
    declare,
    delays,
    deliver,
    disputed,
    live,
    payments,
    settle_champion,
    settle_mature,
)

LABELS = LabelSource("chargebacks", Span(WITHIN, "day"))
D = AS_OF  # the number of the first day that the champion scores
LAST = D + WITHIN  # of the last on which a label of D may come


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path / "include"))
    settle_champion()
    return declare(tmp_path / "include")


@pytest.fixture
def model(catalog: Catalog) -> ModelConfig:
    return catalog.model(MODEL)


@pytest.fixture
def night(catalog: Catalog) -> object:
    """Live a day: its payments come, are scored and monitored, and its chargebacks arrive; returns what their event starts."""

    def night(number: int) -> list[int]:
        live(catalog, number)
        return started_by(number)

    return night


@pytest.fixture
def mature(catalog: Catalog) -> None:
    """D has all its labels, and is monitored with them."""
    settle_mature()


def arrive(number: int, frame: pd.DataFrame | None = None) -> list[int]:
    """The chargebacks of a day arrive; returns the numbers of the days whose monitoring their event starts."""
    deliver("chargebacks", day(number), frame)
    return started_by(number)


def started_by(number: int) -> list[int]:
    return [(DAILY.number(partition) - DAILY.number(day(0))) for partition in readiness.monitorings_started_by(MODEL, day(number), LABELS)]


def figures(number: int) -> dict[str, float]:
    return {figure.metric: figure.value for figure in list_observations(MODEL, first=day(number), last=day(number))}


def share_that_came(number: int, until: int) -> float:
    """Of a day's payments, by the law, those whose chargeback came up to another day."""
    came = pd.concat([chargebacks(day(other)) for other in range(number, until + 1)])
    return float(payments(day(number))["payment"].astype("string").isin(came["payment"]).mean())


def test_the_example_of_the_guide_is_a_model_that_check_accepts(tmp_path: Path) -> None:
    guide = (PROJECT_ROOT / "docs/guides/declaring-a-model.md").read_text().split("### Labels that come late")[1]
    example = guide.split("```yaml\n")[1].split("```")[0]
    include = declare(tmp_path / "guide")
    path = include.model_path(MODEL)
    others = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith(("target:", "train:"))]
    path.write_text("".join([*others, example]))
    assert check_catalog(Catalog(include.root)) == []
    assert Catalog(include.root).model(MODEL).target.within == Span(60, "day")


# --- what it is trained on --------------------------------------------------------------------------------------------


def test_a_snapshot_holds_the_days_that_are_mature_and_every_partition_that_may_hold_a_label_of_theirs(
    catalog: Catalog, model: ModelConfig
) -> None:
    snapshot = take_snapshot(catalog, model, day(AS_OF))
    newest = AS_OF - WITHIN - 1  # the last partition of its labels is known when its day is over
    frame = snapshot.frame()
    assert sorted(frame["partition"].unique()) == [str(day(number)) for number in range(AS_OF - 20, newest + 1)]
    made = pd.concat([payments(day(number)) for number in range(AS_OF - 20, newest + 1)])
    assert frame["target"].tolist() == made["disputed"].astype(float).tolist()
    labels = [name for name in snapshot.members if name.startswith("chargebacks/")]
    assert labels == [f"chargebacks/{day(number)}/v1" for number in range(AS_OF - 20, newest + WITHIN + 1)]


def test_what_arrives_after_the_as_of_changes_no_bit_of_a_snapshot(catalog: Catalog, model: ModelConfig) -> None:
    before = take_snapshot(catalog, model, day(AS_OF))
    for number in range(AS_OF, AS_OF + 3):
        deliver("chargebacks", day(number))
    late = pd.concat([chargebacks(day(10)), disputed(*payments(day(9))["payment"].astype(int)[:5])])
    deliver("chargebacks", day(10), late, known=DAILY.start(day(AS_OF + 1)))
    assert take_snapshot(catalog, model, day(AS_OF)) == before
    assert take_snapshot(catalog, model, day(AS_OF + 1)).frame()["target"].sum() != before.frame()["target"].sum()


def test_a_version_is_trained_again_from_its_record_bit_for_bit_whatever_came_since(catalog: Catalog) -> None:
    deliver("chargebacks", day(20), disputed())
    deliver("chargebacks", day(AS_OF))
    assert reproduce(catalog, MODEL, 1).is_identical


def test_days_that_are_not_mature_do_not_count_for_the_least_history(catalog: Catalog, tmp_path: Path) -> None:
    longer = declare(tmp_path / "other", train="window: 20 days, min_history: 16 days, holdout: 3 days")
    with pytest.raises(DataError, match=r"only 15 of the 20 days before it have rows, inputs and labels that were known then"):
        take_snapshot(longer, longer.model(MODEL), day(AS_OF))


def test_a_first_training_needs_the_partitions_in_which_labels_of_its_rows_may_stand(catalog: Catalog, model: ModelConfig) -> None:
    needed = [
        partition for dataset, partition in partitions_needed(catalog, model, day(AS_OF), Span(10, "day")) if dataset.name == "chargebacks"
    ]
    assert needed == [day(number) for number in range(AS_OF - 10, AS_OF)], "those of later are not known yet"


def test_keys_that_are_not_said_change_no_digest(catalog: Catalog, tmp_path: Path) -> None:
    said = declare(tmp_path / "said", target="within: 0 days, absent: unlabelled")
    unsaid = declare(tmp_path / "unsaid", target="positive_above: null")
    digests = [(build_recipe(other, other.model(MODEL)).digest, signature_digest(other.model(MODEL))) for other in (said, unsaid, catalog)]
    assert digests[0] == digests[1]
    assert digests[2][0] != digests[0][0] and digests[2][1] != digests[0][1]


# --- what is monitored when -------------------------------------------------------------------------------------------


def test_performance_is_measured_once_all_labels_could_have_come_over_all_rows(catalog: Catalog, model: ModelConfig, night) -> None:  # type: ignore[no-untyped-def]
    for number in range(D, LAST + 1):
        assert not [name for name in figures(D) if name.startswith("performance")]
        assert night(number) == ([D] if number == LAST else [])
    monitor(catalog, model, day(D), "live")
    [measured] = list_observations(MODEL, "performance.log_loss")
    assert (measured.partition, measured.rows) == (day(D), ROWS_A_DAY)
    assert figures(D)["labels.share"] == 1.0


def test_monitoring_says_how_much_of_the_truth_has_come_of_the_days_whose_labels_are_still_coming(night) -> None:  # type: ignore[no-untyped-def]
    for number in range(D, LAST):
        night(number)
        for other in range(D, number):  # what came by the night before is measured when the new day is monitored
            assert figures(other)["labels.share"] == pytest.approx(share_that_came(other, number - 1))
            assert len(figures(other)) == len(figures(number))
    assert 0 < figures(D)["labels.share"] < 0.5


def test_a_day_that_waits_says_for_what(catalog: Catalog, model: ModelConfig, night) -> None:  # type: ignore[no-untyped-def]
    night(D)
    record = find_stage(MODEL, "monitor", day(D))
    assert record is not None
    assert record.message.endswith("labels may still come: of chargebacks, 2024-01-26 to 2024-01-31 are not there yet")
    told = why(catalog, model, day(D))
    assert told[1].startswith("1 of the 6 partitions of chargebacks that may hold labels are there. Monitoring compares predictions with")
    assert "chargebacks/2024-01-27" in told[1] and told[-1].startswith("Next: ")


def test_a_broken_declaration_of_the_labels_is_named_as_the_reason(catalog: Catalog, model: ModelConfig, night) -> None:  # type: ignore[no-untyped-def]
    night(D)
    catalog.dataset_path("chargebacks").write_text("name: chargebacks\n")
    told = why(Catalog(catalog.root), model, day(D))
    assert "will not come: the dataset's declaration is broken" in told[1]


def test_the_card_says_how_long_a_label_may_take(catalog: Catalog, model: ModelConfig) -> None:
    champion = champions.champion(MODEL)
    assert champion is not None
    card = storage.read_bytes(ensure_card(catalog, model, champion)).decode()
    assert "A label may come up to 5 days after its row&#39;s own day, so no newer days are counted." in card
    assert "A row for which none has come by then is negative." in card


def test_a_partition_of_labels_that_arrives_in_order_starts_the_day_that_it_makes_mature_and_no_other(night) -> None:  # type: ignore[no-untyped-def]
    started = [night(number) for number in range(D, D + 12)]
    assert started == [[]] * WITHIN + [[D + more] for more in range(12 - WITHIN)]


def test_labels_that_arrive_out_of_order_start_each_day_once_by_the_one_that_completes_it(catalog: Catalog, model: ModelConfig) -> None:
    for number in range(D, D + 3):
        deliver("payments", day(number))
        score(catalog, model, day(number), "live")
    order = [D, LAST + 2, D + 3, D + 5, LAST + 1, D + 2, D + 4, D + 1]
    assert [arrive(number) for number in order] == [[], [], [], [], [], [], [D + 2], [D, D + 1]]
    assert [arrive(number) for number in order[:6]] == [[]] * 6, "an event that comes late leaves them to the last one's"
    assert arrive(order[-1]) == [D, D + 1], "as that of a publisher that died before it, and is tried again"


@pytest.mark.usefixtures("mature")
def test_a_correction_starts_the_mature_days_whose_labels_it_may_change_and_replaces_their_figures(
    catalog: Catalog, model: ModelConfig
) -> None:
    before = list_observations(MODEL)
    corrected = pd.concat([chargebacks(day(D + 2)), disputed(*payments(day(D))["payment"].astype(int)[::2])]).drop_duplicates("payment")
    assert arrive(D + 2, corrected) == [D], "the days after it are not mature, and those before it were not scored"
    monitor(catalog, model, day(D), "live")
    after = list_observations(MODEL)
    assert [(figure.partition, figure.metric, figure.version) for figure in after] == [
        (figure.partition, figure.metric, figure.version) for figure in before
    ]
    log_loss = next(figure.value for figure in before if figure.metric == "performance.log_loss")
    assert figures(D)["performance.log_loss"] > log_loss + 0.3
    assert arrive(D + 2, corrected) == []


@pytest.mark.usefixtures("mature")
def test_predictions_that_are_made_again_are_monitored_again_and_what_was_read_is_not(catalog: Catalog, model: ModelConfig) -> None:
    assert not readiness.monitoring(MODEL, day(D), LABELS).is_due
    assert monitor(catalog, model, day(D), "live").status == "unchanged"
    deliver("payments", day(D), payments(day(D))[["payment", "amount"]].iloc[1:])
    score(catalog, model, day(D), "live")
    assert [news.name for news in readiness.monitoring(MODEL, day(D), LABELS).news] == ["predictions"]


def test_a_day_that_became_mature_and_whose_event_was_lost_is_missed_work(
    catalog: Catalog,
    night,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    for number in range(D, LAST + 2):
        night(number)
    now = clock.now() + 2 * GRACE
    monkeypatch.setattr(clock, "now", lambda: now)
    missed = [(work.stage, work.partition, work.news) for work in missed_work(catalog)]
    assert missed == [("monitor", day(D + more), (f"chargebacks/{day(LAST + more)}",)) for more in range(2)]


def test_what_became_of_one_row_is_told_as_soon_as_its_label_is_there(catalog: Catalog, night) -> None:  # type: ignore[no-untyped-def]
    night(D)
    night(D + 1)
    came = chargebacks(day(D + 1))["payment"].astype(int)
    number = next(number for number in came if number >= 10_000 * D)
    [logged] = find_logged(catalog, MODEL, [f"payment={number}"]).matches
    [other] = find_logged(catalog, MODEL, [f"payment={10_000 * D + ROWS_A_DAY - 1}"]).matches
    assert (logged.label, other.label) == (1.0, None)


# --- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("mature")
def test_a_rule_on_performance_fires_a_training_as_of_the_day_on_which_it_could_be_measured(model: ModelConfig) -> None:
    replayed = replay_rules(model, list_observations(MODEL))
    assert [trip.partition for trip in replayed] == [day(LAST)]
    fired = fire_if_tripped(model)
    assert fired is not None
    assert (fired.as_of, fired.partition) == (day(LAST), day(D))


@pytest.mark.usefixtures("mature")
def test_a_new_champion_is_not_judged_by_labels_of_its_predecessors_days(catalog: Catalog, model: ModelConfig) -> None:
    second = registered_as_of(model, day(LAST), catalog)
    champions.promote(MODEL, second.version, actor="a person", reason="newer")
    deliver("payments", day(LAST + 1))
    score(catalog, model, day(LAST + 1), "live")
    monitor(catalog, model, day(LAST + 1), "live")
    assert {figure.version for figure in list_observations(MODEL, "performance.log_loss")} == {1}
    assert fire_if_tripped(model) is None
    assert [outlook.would_fire for outlook in rule_outlooks(model)] == [False]


# --- persons ----------------------------------------------------------------------------------------------------------


def test_the_erasure_of_a_label_takes_its_row_out_of_the_frames_of_the_days_of_which_it_may_speak(catalog: Catalog) -> None:
    snapshot = take_snapshot(catalog, catalog.model(MODEL), day(AS_OF))
    made = payments(day(8)).assign(delay=delays)
    number = int(made.loc[made["disputed"] & (made["delay"] > 1), "payment"].iloc[0])
    before = snapshot.frame()
    subject = Conditions({"payment": str(number)})
    erase(catalog, catalog.dataset("chargebacks"), subject, actor="ann", reason="request 17")
    assert snapshot.frame().equals(before[before["key:payment"] != number].reset_index(drop=True))
    assert len(snapshot.frame()) == len(before) - 1


# --- what may go wrong ------------------------------------------------------------------------------------------------


def test_a_file_of_predictions_that_is_lost_leaves_the_share_of_its_day_and_all_else_is_done(
    catalog: Catalog,
    model: ModelConfig,
    night,
    caplog: pytest.LogCaptureFixture,  # type: ignore[no-untyped-def]
) -> None:
    night(D)
    shares = importlib.import_module("include.evergreen.monitoring.label_share")
    scored = shares.list_predictions(MODEL, day(D), day(D))[0]
    shares.storage.remove(scored.path)
    before = figures(D)
    deliver("payments", day(D + 1))
    score(catalog, model, day(D + 1), "live")
    assert monitor(catalog, model, day(D + 1), "live").status == "done"
    assert figures(D) == before
    assert f"chargeback {day(D)}: how many labels have come is not measured" in caplog.text
