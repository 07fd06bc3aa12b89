import csv

import pytest

from tools.landing_zone import COLUMNS, lay_out


@pytest.fixture(scope="module")
def landing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("landing")
    lay_out(folder)
    return folder


def test_every_flight_of_the_year_is_in_the_file_of_its_day(landing):
    for dataset, rows in (("schedules", 336_776), ("outcomes", 336_776), ("weather", 26_115)):
        files = sorted((landing / dataset).glob("*.csv"))
        assert files[0].name == "2013-01-01.csv"
        assert sum(len(file.read_text().splitlines()) - 1 for file in files) == rows


def test_a_file_has_the_columns_of_its_source(landing):
    for dataset, columns in COLUMNS.items():
        with (landing / dataset / "2013-02-09.csv").open() as file:
            assert next(csv.reader(file)) == columns


def test_a_schedule_tells_nothing_of_the_outcome():
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} & set(COLUMNS["schedules"])


def test_a_file_that_a_person_corrected_stays_corrected(landing):
    file = landing / "weather" / "2013-05-05.csv"
    file.write_text("corrected\n")
    (landing / ".complete").unlink()
    lay_out(landing)
    assert file.read_text() == "corrected\n"
