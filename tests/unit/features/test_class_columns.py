from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from include.evergreen.features.class_columns import as_table, class_columns, read_classes, stored_names
from include.evergreen.features.columns import CHALLENGER, PREDICTION
from include.evergreen.serving.likeliest import joined, likeliest, numbers

CLASSES = [f"defect {number}" for number in range(1000)]


def test_what_is_stored_is_read_back_to_the_bit(tmp_path: Path) -> None:
    predicted = likeliest(np.random.default_rng(0).dirichlet(np.full(1000, 0.1), 500))
    columns = class_columns(predicted, CLASSES)
    assert list(columns) == stored_names()
    pq.write_table(as_table(columns), tmp_path / "predictions.parquet")
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert np.array_equal(read_classes(table, CLASSES), predicted)
    assert table[PREDICTION].to_pylist() == [CLASSES[int(number)] for number in numbers(predicted)[:, 0]]
    assert table["served:classes"][0].as_py()[0] == table[PREDICTION][0].as_py()
    assert table.to_pandas()["served:probabilities"][0].dtype == "float32"


def test_a_row_of_a_thousand_classes_takes_little_room(tmp_path: Path) -> None:
    rows = 2000
    predicted = likeliest(np.random.default_rng(0).dirichlet(np.full(1000, 0.1), rows))
    pq.write_table(as_table(class_columns(predicted, CLASSES)), tmp_path / "predictions.parquet", compression="zstd")
    assert (tmp_path / "predictions.parquet").stat().st_size / rows < 300  # of 8,000 bytes that a thousand floats take


def test_a_challenger_stands_beside_and_versions_may_know_other_classes() -> None:
    ours, theirs = likeliest(np.array([[0.7, 0.3]])), likeliest(np.array([[0.2, 0.3, 0.5]]))
    columns = class_columns(ours, ["a", "b"]).join(class_columns(theirs, ["b", "c", "d"], CHALLENGER))
    table = as_table(columns)
    wanted = ["a", "b", "c"]
    assert numbers(read_classes(table, wanted)).tolist() == [[0, 1]]
    assert numbers(read_classes(table, wanted, CHALLENGER)).tolist() == [[3, 2, 1]], "d is none of those that are asked for"


def test_rows_of_two_versions_in_one_file_are_read_together() -> None:
    import pandas as pd

    both = pd.concat(
        [
            class_columns(likeliest(np.array([[0.7, 0.3]])), ["a", "b"]),
            class_columns(likeliest(np.array([[0.2, 0.3, 0.5]])), ["a", "b", "c"]),
        ],
        ignore_index=True,
    )
    expected = joined([likeliest(np.array([[0.7, 0.3]])), likeliest(np.array([[0.2, 0.3, 0.5]]))])
    assert np.array_equal(read_classes(as_table(both), ["a", "b", "c"]), expected)


def test_no_rows_are_read_as_none() -> None:
    table = as_table(class_columns(likeliest(np.empty((0, 2))), ["a", "b"]))
    assert read_classes(table, ["a", "b"]).shape == (0, 5)
