from __future__ import annotations

import numpy as np

from include.evergreen.serving import likeliest as stored

FEW = np.random.default_rng(0).dirichlet(np.ones(7), 50).astype("float32").astype("float64")
MANY = np.random.default_rng(1).dirichlet(np.full(1000, 0.05), 50)
ALL_KNOWN = np.ones(1000, dtype=bool)


def test_of_few_classes_nothing_is_left_out() -> None:
    predicted = stored.likeliest(FEW)
    assert predicted.shape == (50, 15)
    for number in range(7):
        assert np.array_equal(stored.probability(predicted, number, ALL_KNOWN[:7]), FEW[:, number])
    assert np.array_equal(stored.decided(predicted), FEW.argmax(axis=1))


def test_of_many_classes_the_likeliest_are_kept_and_the_others_share_the_rest() -> None:
    predicted = stored.likeliest(MANY)
    assert predicted.shape == (50, 2 * stored.KEPT + 1)
    probabilities = np.stack([stored.probability(predicted, number, ALL_KNOWN) for number in range(1000)], axis=1)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    kept = np.argsort(-MANY, axis=1)[:, : stored.KEPT]
    assert np.allclose(np.take_along_axis(probabilities, kept, axis=1), np.take_along_axis(MANY, kept, axis=1), atol=1e-6)
    assert all(len(set(row[np.setdiff1d(np.arange(1000), of)])) == 1 for row, of in zip(probabilities, kept, strict=True))


def test_equally_likely_classes_stand_in_the_order_of_their_numbers() -> None:
    assert stored.numbers(stored.likeliest(np.full((1, 4), 0.25))).tolist() == [[0, 1, 2, 3]]


def test_of_equally_likely_ones_of_many_those_with_the_lower_numbers_are_kept() -> None:
    rows = np.random.default_rng(2).integers(0, 4, (50, 200)).astype(float)
    rows /= rows.sum(axis=1, keepdims=True)
    expected = np.argsort(-rows.astype("float32"), axis=1, kind="stable")[:, : stored.KEPT]
    assert np.array_equal(stored.numbers(stored.likeliest(rows)), expected)


def test_a_class_that_a_version_does_not_know_has_no_probability() -> None:
    known = ALL_KNOWN.copy()
    known[-1] = False
    predicted = stored.likeliest(MANY[:, :-1])
    assert not stored.probability(predicted, 999, known).any()
    assert not stored.probability(predicted, 1000, known).any()
    assert not stored.probability(predicted, stored.NO_CLASS, known).any()


def test_classes_are_numbered_otherwise_and_what_nobody_asks_for_is_beyond_them() -> None:
    predicted = stored.likeliest(np.array([[0.5, 0.3, 0.2]]))
    renumbered = stored.renumbered(predicted, ["a", "b", "c"], ["c", "a"])
    assert stored.numbers(renumbered).tolist() == [[1, 2, 0]]
    assert np.array_equal(stored.values(renumbered), stored.values(predicted))
    assert stored.numbers(predicted).tolist() == [[0, 1, 2]], "the given one is not changed"


def test_versions_of_few_and_of_more_classes_stand_below_each_other() -> None:
    joined = stored.joined([stored.likeliest(np.array([[0.6, 0.4]])), stored.likeliest(np.array([[0.5, 0.3, 0.2]]))])
    assert stored.numbers(joined).tolist() == [[0, 1, stored.NO_CLASS], [0, 1, 2]]
    assert stored.probability(joined, 2, ALL_KNOWN[:3]).round(3).tolist() == [0, 0.2]


def test_a_day_without_rows_has_no_predictions() -> None:
    assert stored.likeliest(np.empty((0, 7))).shape == (0, 15)
