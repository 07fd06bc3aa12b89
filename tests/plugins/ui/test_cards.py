"""The page of a version's model card: the stored card, with what has happened since above it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates
from tests.plugins.ui.test_versions import promoted, registered

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.plugins.conftest import LogIn

pytestmark = pytest.mark.usefixtures("home")
PAGE = "/evergreen/dags/air_time.train/cards/1"
STYLE = "\nbody { margin: 0; }\n"
BODY = "<body><main><!-- since registration --><h1>air_time</h1></main></body>"
CARD = f"<!doctype html><html lang='en'><head><style>{STYLE}</style></head>{BODY}</html>"


def carded(version: int = 1, html: str = CARD) -> str:
    """A registered version with this card; returns the card's path."""
    path = f"cards/air_time/{version}-{hashlib.sha256(html.encode()).hexdigest()[:16]}.html"
    storage.write_bytes(path, html.encode())
    registered(version, card=path)
    return path


def test_the_card_is_shown_as_it_was_stored_with_what_became_of_the_version_above_it(reader: TestClient) -> None:
    carded()
    assert "It is now the challenger." in reader.get(PAGE).text
    promoted(1, actor="grace", reason="looks <sound>")
    page = reader.get(PAGE)
    assert page.status_code == 200
    assert page.text.index("It is now the champion.") < page.text.index("<h1>air_time</h1>")
    assert "promoted by grace" in page.text
    assert "looks &lt;sound&gt;" in page.text
    carded(2)
    promoted(2)
    assert "It is no longer the champion." in reader.get(PAGE).text


def test_a_version_that_cannot_be_reproduced_any_more_says_so_above_its_card(reader: TestClient) -> None:
    carded()
    with writing() as connection:
        connection.execute(candidates.update().values(irreproducible_because="rows of schedules were erased"))
    assert "It can no longer be reproduced: rows of schedules were erased." in reader.get(PAGE).text


def test_the_page_allows_its_own_style_sheet_and_nothing_else(reader: TestClient) -> None:
    carded()
    page = reader.get(PAGE)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = page.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert not re.search(r"\sstyle=|<script", page.text)


def test_a_card_that_was_changed_in_the_storage_is_not_shown(reader: TestClient) -> None:
    storage.write_bytes(carded(), CARD.replace("air_time", "<script>alert(1)</script>").encode())
    page = reader.get(PAGE)
    assert page.status_code == 404
    assert "was changed after it was written" in page.text
    assert "alert(1)" not in page.text


def test_a_lost_card_and_one_that_was_never_written_say_what_to_do(reader: TestClient) -> None:
    storage.remove(carded())
    assert reader.get(PAGE).status_code == 404
    assert "is not in the storage" in reader.get(PAGE).text
    registered(2)
    page = reader.get(PAGE.replace("/1", "/2"))
    assert page.status_code == 404
    assert "evergreen card air_time 2" in page.text


@pytest.mark.parametrize("version", ["7", "junk", "1; drop table", "01"])
def test_a_version_that_is_not_registered_has_no_card(reader: TestClient, version: str) -> None:
    carded()
    page = reader.get(f"/evergreen/dags/air_time.train/cards/{version}")
    assert page.status_code == 404
    assert "No version with this number is registered." in page.text


def test_a_card_belongs_to_the_dag_that_trains_its_model(reader: TestClient, log_in: LogIn) -> None:
    carded()
    assert reader.get(PAGE.replace("air_time.train", "air_time.score")).status_code == 404
    assert reader.get(PAGE.replace("air_time", "flight_delay")).status_code == 404
    assert log_in(None).get(PAGE).status_code == 403
