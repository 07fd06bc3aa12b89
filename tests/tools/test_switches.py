"""What `make serve` switches on: what follows others, once, and never what somebody has switched."""

import datetime as dt
import re

import pytest

from include.evergreen.config import Catalog
from include.evergreen.foundation.errors import TransientError
from tests.tools.fake_airflow import FakeApi
from tools.dags import expected_dags, follows_others, list_dag_ids
from tools.example import DATASETS, MODELS
from tools.switches import Switches

TODAY = dt.date(2024, 6, 1)


def on(api):
    return api.dags - api.paused


def test_a_model_of_one_s_own_works_at_once_and_its_dataset_waits_for_its_switch_while_it_goes_on(own_beside):
    api, said = FakeApi(expected_dags(Catalog())), []
    Switches(api, said.append).update()
    assert list_dag_ids([], ["income"]) < on(api)
    assert {"census.ingest", "evergreen.maintenance"} <= api.paused
    assert said[-1].startswith("Still paused, because they run on a schedule: census.ingest, evergreen.audit, evergreen.maintenance.")


def test_the_example_has_ended_and_is_all_on(own_beside):
    api = FakeApi(expected_dags(Catalog()))
    Switches(api, print).update()
    assert list_dag_ids(DATASETS, MODELS) < on(api)


MONTHLY = 'cron: "0 6 3 * *", run_offset: -1, grain: month'  # May is fetched on the third of June


@pytest.mark.parametrize(
    ("schedule", "end", "is_over"),
    [
        ('cron: "0 0 * * *"', "2024-05-31", True),
        ('cron: "0 0 * * *"', "2024-06-01", False),
        ('cron: "0 2 * * *", run_offset: -1', "2024-05-30", True),
        ('cron: "0 2 * * *", run_offset: -1', "2024-05-31", False),
        (MONTHLY, "2024-04-30", True),
        (MONTHLY, "2024-05-15", False),
        (MONTHLY, None, False),
    ],
)
def test_a_schedule_is_over_when_its_last_run_has_begun(own_beside, schedule, end, is_over):
    file = own_beside / "datasets/census/dataset.yaml"
    declared = f"schedule: {{{schedule}, start: 2024-01-01, end: {end or 'null'}}}"
    text, replaced = re.subn("^schedule: .*$", declared, file.read_text(), flags=re.MULTILINE)
    assert replaced == 1
    file.write_text(text)
    assert follows_others(Catalog(), "census.ingest", TODAY) is is_over


def test_a_scheduled_training_stays_paused(own_beside):
    assert follows_others(Catalog(), "income.train", TODAY)
    file = own_beside / "models/income/model.yaml"
    file.write_text(file.read_text().replace("train: {", 'train: {schedule: {cron: "0 6 * * 1", start: 2024-01-01}, '))
    assert not follows_others(Catalog(), "income.train", TODAY)


def test_what_somebody_switched_off_stays_off(own_beside):
    api = FakeApi(expected_dags(Catalog()), switched=["income.score"])
    Switches(api, print).update()
    assert "income.score" in api.paused


def test_a_dag_that_is_switched_off_while_it_serves_stays_off(own_beside):
    api = FakeApi(expected_dags(Catalog()))
    switches = Switches(api, print)
    switches.update()
    api.pause("income.score", paused=True)
    switches.update()
    assert "income.score" in api.paused


def test_what_is_declared_while_it_serves_is_switched_on_when_it_is_read(own_beside):
    api, said = FakeApi(expected_dags(Catalog()) - {"income.score"}), []
    switches = Switches(api, said.append)
    switches.update()
    assert switches.unparsed() == {"income.score"}
    api.dags.add("income.score")
    api.paused.add("income.score")
    said.clear()
    switches.update()
    assert "income.score" not in api.paused
    assert said == ["Unpaused, because they run only manually or by asset events: income.score."]


def test_dags_that_are_not_ours_and_those_of_a_broken_file_are_left_alone(own_beside):
    (own_beside / "models/income/model.yaml").write_text("name: [")
    api = FakeApi({*expected_dags(Catalog()), "income.invalid_model", "our.report"})
    switches = Switches(api, print)
    switches.update()
    assert {"income.invalid_model", "our.report"} <= api.paused
    assert switches.unparsed() == set()


def test_an_airflow_that_does_not_answer_once_is_asked_again(own_beside, monkeypatch):
    api = FakeApi(expected_dags(Catalog()))
    switches = Switches(api, print)
    monkeypatch.setattr("tools.switches.UPDATE_EVERY_SECONDS", 0)
    answers = iter([TransientError("database is locked"), set(api.dags)])

    def paused():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(api, "paused_dag_ids", paused)
    switches.update_periodically()
    switches.update_periodically()
    assert "income.score" not in api.paused
