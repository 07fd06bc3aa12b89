"""A triggerer takes all models of a fleet, however many there are when it starts."""

import pytest

from evergreen_airflow.capacity import triggerer_capacity


@pytest.mark.parametrize(("setting", "models", "expected"), [(None, 3, 1000), (None, 600, 1200), ("10", 6, 12), ("10000", 600, 10000)])
def test_a_triggerer_takes_two_tasks_for_each_model_and_no_fewer_than_it_is_set_to(monkeypatch, tmp_path, setting, models, expected):
    for number in range(models):
        (tmp_path / "models" / f"model_{number}").mkdir(parents=True)
        (tmp_path / "models" / f"model_{number}" / "model.yaml").touch()
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(tmp_path))
    assert triggerer_capacity({"AIRFLOW__TRIGGERER__CAPACITY": setting} if setting else {}) == expected
