"""Which labels a row finds, and when all of them have come."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.features.build import labelled_frame
from include.evergreen.features.columns import TARGET
from include.evergreen.features.labels import KNOWN_BY_NOW, join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import DAILY, Partition
from tests.unit.late_labels import MODEL, WITHIN, chargebacks, day, declare, deliver, disputed, payments

D = day(6)
LAST = WITHIN + 6  # the number of the last day on which a label of D may come


@pytest.fixture
def catalog(home: Path, tmp_path: Path) -> Catalog:
    return declare(tmp_path / "include")


@pytest.fixture
def model(catalog: Catalog) -> ModelConfig:
    return catalog.model(MODEL)


@pytest.fixture
def all_came(home: Path) -> None:
    """The labels of D that the law says, in the partitions of all days on which they may come."""
    for number in range(6, LAST + 1):
        deliver("chargebacks", day(number))


def labels_of(catalog: Catalog, model: ModelConfig, as_of: Partition = KNOWN_BY_NOW) -> pd.Series:
    cache = PartitionCache(as_of, model=model)
    return join_labels(catalog, model, payments(D), known_labels(catalog, model, D, cache), cache)


def undisputed() -> list[tuple[int, int]]:
    """Place and number of each payment of D that is not charged back, by the law."""
    rows = payments(D)
    return list(rows.loc[~rows["disputed"], "payment"].astype(int).items())  # type: ignore[arg-type]


def missing(catalog: Catalog, model: ModelConfig, as_of: Partition = KNOWN_BY_NOW) -> list[int]:
    found = known_labels(catalog, model, D, PartitionCache(as_of, model=model)).missing
    return [(DAILY.number(partition) - DAILY.number(day(0))) for partition in found]


@pytest.mark.usefixtures("all_came")
def test_each_row_finds_its_label_in_whatever_partition_it_came_and_the_others_are_negative(catalog: Catalog, model: ModelConfig) -> None:
    assert labels_of(catalog, model).tolist() == payments(D)["disputed"].astype(float).tolist()


@pytest.mark.usefixtures("all_came")
def test_without_a_word_on_absent_labels_a_row_without_one_is_unlabelled(catalog: Catalog, tmp_path: Path) -> None:
    catalog = declare(tmp_path / "other", target="within: 5 days")
    labels = labels_of(catalog, catalog.model(MODEL))
    assert labels.fillna(0).tolist() == payments(D)["disputed"].astype(float).tolist()
    assert set(labels.dropna()) == {1.0}


@pytest.mark.usefixtures("all_came")
def test_until_all_could_have_come_no_row_is_negative_and_none_is_learnt_from(catalog: Catalog, model: ModelConfig) -> None:
    deliver("payments", D)
    eve, mature = day(LAST), day(LAST + 1)  # the last partition is known when its day is over
    assert missing(catalog, model, eve) == [LAST]
    assert set(labels_of(catalog, model, eve).dropna()) == {1.0}
    assert labelled_frame(catalog, model, D, PartitionCache(eve, model=model)) is None
    assert missing(catalog, model, mature) == []
    frame = labelled_frame(catalog, model, D, PartitionCache(mature, model=model))
    assert frame is not None and frame[TARGET].tolist() == payments(D)["disputed"].astype(float).tolist()


@pytest.mark.usefixtures("all_came")
def test_a_training_frame_names_every_partition_that_may_hold_a_label_whether_or_not_one_stood_in_it(
    catalog: Catalog, model: ModelConfig
) -> None:
    deliver("payments", D)
    deliver("chargebacks", day(LAST), disputed())
    cache = PartitionCache(day(LAST + 1), model=model)
    labelled_frame(catalog, model, D, cache)
    read = [(dataset, partition) for dataset, partition, _ in cache.read]
    assert sorted(read) == [*(("chargebacks", day(number)) for number in range(6, LAST + 1)), ("payments", D)]


def test_a_partition_that_never_arrives_is_waited_for_and_a_label_beyond_the_wait_is_none(catalog: Catalog, model: ModelConfig) -> None:
    number = int(payments(D)["payment"][0])
    for other in (6, 7, 9, 10, 11):
        deliver("chargebacks", day(other), disputed())
    deliver("chargebacks", day(LAST + 1), disputed(number))
    assert missing(catalog, model) == [8]
    deliver("chargebacks", day(8), disputed())
    assert missing(catalog, model) == []
    assert labels_of(catalog, model)[0] == 0.0


def test_no_partition_at_all_is_not_taken_for_all_of_them(catalog: Catalog, model: ModelConfig, tmp_path: Path) -> None:
    assert missing(catalog, model) == list(range(6, LAST + 1))
    monthly = declare(tmp_path / "monthly", cron="0 0 1 * *")
    assert missing(monthly, monthly.model(MODEL)) == [LAST]


def test_days_on_which_the_dataset_never_has_a_partition_are_not_waited_for(tmp_path: Path, home: Path) -> None:
    catalog = declare(tmp_path / "include", cron="0 0 * * 1-5")  # 7 January 2024 was a Sunday, and so D and D+6
    for number in (7, 8, 9, 10):
        deliver("chargebacks", day(number), disputed())
    assert missing(catalog, catalog.model(MODEL)) == [11]
    deliver("chargebacks", day(11), disputed())
    assert missing(catalog, catalog.model(MODEL)) == []


@pytest.mark.usefixtures("all_came")
def test_of_several_labels_the_one_in_the_newest_partition_counts_and_may_withdraw_it(catalog: Catalog, model: ModelConfig) -> None:
    (one, first), (other, second) = undisputed()[:2]
    deliver("chargebacks", day(8), disputed(first, second))
    deliver("chargebacks", day(10), pd.concat([disputed(first, value=False), disputed(second, value=None)]))
    labels = labels_of(catalog, model)
    assert labels[one] == 0.0
    assert pd.isna(labels[other]), "it has a label, which says nothing: absent labels are others"


@pytest.mark.usefixtures("all_came")
def test_a_correction_is_in_what_is_read_from_when_it_was_known(catalog: Catalog, model: ModelConfig) -> None:
    before = labels_of(catalog, model, day(LAST + 1))
    place, number = undisputed()[0]
    late = pd.concat([chargebacks(day(8)), disputed(number)])
    deliver("chargebacks", day(8), late, known=DAILY.start(day(LAST + 3)))
    assert labels_of(catalog, model, day(LAST + 2)).equals(before)
    assert labels_of(catalog, model, day(LAST + 3))[place] == 1.0


@pytest.mark.usefixtures("all_came")
def test_many_small_partitions_are_matched_together_as_one_by_one(
    catalog: Catalog, model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, first = undisputed()[0]
    deliver("chargebacks", day(8), disputed(first))
    deliver("chargebacks", day(9), disputed(first, value=False))
    together = labels_of(catalog, model)
    monkeypatch.setattr("include.evergreen.features.labels.ROWS_AT_ONCE", 1)
    pd.testing.assert_series_equal(labels_of(catalog, model), together)
    assert together[place] == 0.0 and together.sum()


@pytest.mark.parametrize("lots", [1, 20_000])
def test_two_labels_of_one_row_in_one_partition_are_refused(
    lots: int, catalog: Catalog, model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.evergreen.features.labels.ROWS_AT_ONCE", lots)
    number = int(payments(D)["payment"][0])
    deliver("chargebacks", day(8), pd.concat([disputed(number), disputed(number, value=False)]))
    with pytest.raises(
        DataError, match=r"chargeback: chargebacks 2024-01-09 \(version 1\) has several labels for one row: .* share payment"
    ):
        labels_of(catalog, model)


def test_labels_that_become_known_row_by_row_are_not_mature_before_the_rule_says_so(catalog: Catalog, model: ModelConfig) -> None:
    for number in range(6, LAST):
        deliver("chargebacks", day(number), disputed())
    version = deliver("chargebacks", day(LAST), disputed(), known=DAILY.start(day(LAST)))
    assert version.knowledge_column is None and missing(catalog, model, day(LAST)) == []
    one_by_one = {"knowledge_column": "known", "knowledge": {"hours_after_partition": 24}}
    known = disputed(1).assign(known=pd.Series([DAILY.start(day(LAST))], dtype="datetime64[us, UTC]"))
    deliver("chargebacks", day(LAST), known, known=DAILY.start(day(LAST)), **one_by_one)
    assert missing(catalog, model, day(LAST)) == [LAST]
    assert missing(catalog, model, day(LAST + 1)) == []


# --- keys -------------------------------------------------------------------------------------------------------------


ROWS = pd.DataFrame(
    {
        "customer": pd.array([7, 7, 8, 9], dtype="Int64"),
        "hour": pd.array([1, 2, 1, 1], dtype="Int64"),
        "shop": pd.array(["a", "a", "b", "b"], dtype="string"),
    }
)
LABELS = pd.DataFrame({"customer": pd.array([8, 7], dtype="Int64"), "left": [1.0, 0.0]})
DATASET = """\
name: {name}
description: x
owner: x
source: {{type: files, path: "{{partition}}"}}
schedule: {{cron: "0 0 * * *", start: 2024-01-01}}
knowledge: {{hours_after_partition: 0}}
columns: [{{name: customer, type: {type}, description: x}}, {{name: hour, type: integer, description: x}},
  {{name: shop, type: string, description: x}}, {{name: left, type: number, nullable: true, description: x}}]
keys: [{keys}]
"""


def joined(folder: Path, labels: pd.DataFrame, *, keys: str, kind: str = "integer", rows: pd.DataFrame = ROWS) -> list[float | None]:
    catalog = declare(folder / "include")
    for name, declared in (("payments", DATASET.format(name="payments", type="integer", keys="customer, hour, shop")),
                           ("chargebacks", DATASET.format(name="chargebacks", type=kind, keys=keys))):  # fmt: skip
        catalog.dataset_path(name).write_text(declared)
    model = catalog.model(MODEL)
    target = type(model.target).model_validate({"dataset": "chargebacks", "column": "left"})
    asking = model.model_copy(update={"target": target})
    deliver("chargebacks", D, labels)
    cache = PartitionCache(KNOWN_BY_NOW, model=model)
    found = join_labels(Catalog(catalog.root), asking, rows, known_labels(catalog, asking, D, cache), cache)
    assert found.index.equals(rows.index)
    return [None if pd.isna(value) else value for value in found]


@pytest.mark.usefixtures("home")
class TestKeys:
    def test_a_label_by_customer_is_that_of_every_row_of_the_customer(self, tmp_path: Path) -> None:
        assert joined(tmp_path, LABELS, keys="customer") == [0.0, 0.0, 1.0, None]

    def test_keys_in_another_order_are_the_same_keys(self, tmp_path: Path) -> None:
        labels = ROWS.assign(left=[1.0, 2.0, 3.0, 4.0]).iloc[::-1]
        assert joined(tmp_path, labels, keys="shop, hour, customer", rows=ROWS.iloc[[2, 0, 1, 3]]) == [3.0, 1.0, 2.0, 4.0]

    def test_two_rows_of_one_label_are_refused_where_they_have_its_keys(self, tmp_path: Path) -> None:
        labels, twice = ROWS.assign(left=[1.0, 2.0, 3.0, 4.0]), pd.concat([ROWS, ROWS.iloc[:1]], ignore_index=True)
        with pytest.raises(DataError, match=r"chargeback: several rows of payments share customer, hour, shop, .* as their keys"):
            joined(tmp_path, labels, keys="customer, hour, shop", rows=twice)

    @pytest.mark.parametrize(
        ("kind", "customers"),
        [
            ("string", pd.array(["8", "7"], dtype="string")),
            ("string", pd.array(["8", "07"], dtype="string")),
            ("number", [8.0, 7.0]),
            ("number", [8.0, 7.5]),
        ],
    )
    def test_a_number_finds_the_text_of_that_number_and_no_other(self, kind: str, customers: object, tmp_path: Path) -> None:
        is_seven = str(customers[1]) in ("7", "7.0")  # type: ignore[index]
        first = 0.0 if is_seven else None
        assert joined(tmp_path, LABELS.assign(customer=customers), keys="customer", kind=kind) == [first, first, 1.0, None]

    def test_a_partition_that_was_stored_when_its_key_had_another_type_is_joined_with_the_others(self, tmp_path: Path) -> None:
        stored = LABELS.assign(customer=pd.array(["8", "7"], dtype="string"))
        assert joined(tmp_path, stored, keys="customer", kind="integer") == [0.0, 0.0, 1.0, None]
