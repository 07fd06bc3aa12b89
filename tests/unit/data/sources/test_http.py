from __future__ import annotations

import email.utils
import gzip
import json
import time
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from include.evergreen.config import DatasetConfig
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import current_partition
from include.evergreen.data.sources import Delivery, make_source
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.state import storage
from tests.servers import HttpServer
from tests.servers.http import Request
from tools.ports import reserved_port

DAY = "2013-02-09"
ROW = {"shop": "north", "count": 3}
SECRET = "gooseberries&cream"
CSV = b"shop,count\nnorth,3\n"
COLUMNS = [
    {"name": "shop", "type": "string", "nullable": True, "description": "Which shop"},
    {"name": "count", "type": "integer", "description": "Sales"},
]


@pytest.fixture(autouse=True)
def _nothing_between_us_and_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def access(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> HttpServer:
    """The connection `shop_api`, with a password, to the server."""
    extra = {"x-team": "fruit", "timeout": 7}
    given = {"conn_type": "http", "host": http_server.url, "login": "evergreen", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_API", json.dumps(given))
    return http_server


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_a_list_of_records_is_a_partition(http_server: HttpServer) -> None:
    answers(http_server, [ROW, {"count": -4, "shop": None, "note": "x"}, {"count": 5}])
    delivery = opened(http_server)
    assert rows(delivery) == [ROW, {"shop": None, "count": -4}, {"shop": None, "count": 5}]
    assert delivery.undeclared == ["note"]
    assert delivery.places == [f"{http_server.url}/sales"]


def test_the_partition_is_bound_into_path_and_parameters_and_encoded_as_urls_are(http_server: HttpServer) -> None:
    http_server.answers["/sales/2013-02-09"] = lambda request: request.answer(200, b"[]")
    params = {"day": "{partition}", "since": "{start}", "until": "{end}", "zone": "a&b=c d/é", "literal": "{other}"}
    assert rows(opened(http_server, url=f"{http_server.url}/sales/{{partition}}", params=params)) == []
    assert http_server.requests[0].params == {
        "day": "2013-02-09", "since": "2013-02-09T00:00:00Z", "until": "2013-02-10T00:00:00Z", "zone": "a&b=c d/é", "literal": "{other}",
    }  # fmt: skip


def test_a_connection_gives_the_address_the_credentials_and_the_headers(access: HttpServer) -> None:
    answers(access, [ROW])
    assert rows(opened(access, url="/sales", connection="shop_api")) == [ROW]
    headers = access.requests[0].headers
    assert headers["authorization"].startswith("Basic ") and headers["x-team"] == "fruit" and "timeout" not in headers


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("csv", b"count,shop\n3,north\n"),
        ("jsonl", b'{"shop": "north", "count": 3}\n'),
        ("json", b'\xef\xbb\xbf[{"shop":"north","count":3}]'),
    ],
)
def test_csv_json_lines_and_json_give_the_same_rows(http_server: HttpServer, form: str, body: bytes) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(200, body)
    assert rows(opened(http_server, format=form)) == [ROW]


def test_answers_are_unpacked_be_it_by_the_protocol_or_by_the_files_name(http_server: HttpServer) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(200, gzip.compress(CSV), content_encoding="gzip")
    http_server.answers["/sales.csv.gz"] = lambda request: request.answer(200, gzip.compress(CSV))
    assert (
        rows(opened(http_server, format="csv")) == rows(opened(http_server, url=f"{http_server.url}/sales.csv.gz", format="csv")) == [ROW]
    )


def test_no_content_is_a_partition_without_rows_and_an_empty_answer_is_not(http_server: HttpServer) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(204)
    assert rows(opened(http_server)) == []
    http_server.answers["/sales"] = lambda request: request.answer(200, b"")
    with pytest.raises(DataError, match="is not JSON"):
        rows(opened(http_server))
    with pytest.raises(DataError, match="is empty"):
        rows(opened(http_server, format="csv"))


# --- what rows may not be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"rows": []', "is not JSON: "),
        (b"[" * 100_000, "is not JSON: it is nested too deeply"),
        (b'["\xff"]', "is not JSON: byte 2 is not UTF-8"),
        (b'[{"shop": "a", "count": NaN}]', "NaN is no JSON number"),
        (b'[{"shop": "a", "count": 1, "count": 2}]', "the key 'count' is there 2 times"),
        (b'{"rows": []}', "has no list at its top; it has the keys rows. Say in source.records where"),
        (b"[1]", "has as record 1 at its top a int, not an object"),
        (b'[{"shop": "a"}]', "lacks the column 'count'; it has: shop"),
        (b'[{"shop":"a","count":1},{"shop":"b","count":"x"}]', "/sales, record 2: count is 'x', which is not a valid integer"),
        (b'[{"shop":"a","count":9223372036854775808}]', "record 1: count is '9223372036854775808'.*past 64 bits"),
        (b'[{"shop":"a","count":1e999}]', "record 1: count is 'inf'"),
        (b'[{"shop":{"name":"a"},"count":1}]', "record 1: shop is .*it is of the type dict"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_page_is_named_by_place_record_column_and_value(http_server: HttpServer, body: bytes, complaint: str) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(200, body)
    with pytest.raises(DataError, match=complaint):
        rows(opened(http_server))


def test_records_are_found_by_their_path_and_a_wrong_one_is_named_beside_what_there_is(http_server: HttpServer) -> None:
    answers(http_server, {"data": {"items": [ROW]}, "count": 1})
    assert rows(opened(http_server, records="data.items")) == [ROW]
    with pytest.raises(DataError, match="has nothing at 'data.rows'; there is: items"):
        rows(opened(http_server, records="data.rows"))


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/csv"])
def test_a_web_page_with_status_200_is_not_taken_for_data(http_server: HttpServer, kind: str) -> None:
    page = b"\n<!-- login --><!DOCTYPE html><html><body>shop,count</body></html>"
    http_server.answers["/sales"] = lambda request: request.answer(200, page, content_type=kind)
    with pytest.raises(DataError, match="answers with a web page .* where csv was asked for"):
        rows(opened(http_server, format="csv"))


# --- pages ------------------------------------------------------------------------------------------------------------


def test_pages_are_followed_by_a_link_in_their_json(http_server: HttpServer) -> None:
    def page(request: Request) -> None:
        number = int(request.params.get("page", "1"))
        following = f"/sales?page={number + 1}" if number < 3 else None
        request.answer(200, json.dumps({"items": [{"shop": "a", "count": number}], "paging": {"next": following}}).encode())

    http_server.answers["/sales"] = page
    delivery = opened(http_server, records="items", pagination={"kind": "next", "path": "paging.next"})
    assert [row["count"] for row in rows(delivery)] == [1, 2, 3]
    assert delivery.places == [f"{http_server.url}/sales", f"{http_server.url}/sales (page 2)", f"{http_server.url}/sales (page 3)"]


def test_pages_are_followed_by_a_cursor_that_a_parameter_takes(http_server: HttpServer) -> None:
    def page(request: Request) -> None:
        cursor = request.params.get("cursor", "")
        request.answer(200, json.dumps({"items": [{"shop": cursor, "count": 1}], "next": {"": "b&c", "b&c": ""}[cursor]}).encode())

    http_server.answers["/sales"] = page
    pagination = {"kind": "next", "path": "next", "parameter": "cursor"}
    found = rows(opened(http_server, records="items", params={"day": "{partition}"}, pagination=pagination))
    assert [row["shop"] for row in found] == ["", "b&c"]
    assert [request.params.get("day") for request in http_server.requests] == ["2013-02-09"] * 2


def test_pages_are_followed_by_the_link_header(http_server: HttpServer) -> None:
    def page(request: Request) -> None:
        number = int(request.params.get("page", "1"))
        headers = {"link": f'<{http_server.url}/sales?page={number + 1}>; rel="next", </sales>; rel="first"'} if number < 3 else {}
        request.answer(200, f"shop,count\na,{number}\n".encode(), **headers)

    http_server.answers["/sales"] = page
    assert [row["count"] for row in rows(opened(http_server, format="csv", pagination={"kind": "link_header"}))] == [1, 2, 3]


@pytest.mark.parametrize(("form", "last"), [("json", b"[]"), ("jsonl", b""), ("csv", b"shop,count\n"), ("csv", b"")])
def test_numbered_pages_end_with_the_first_one_without_rows(http_server: HttpServer, form: str, last: bytes) -> None:
    def page(request: Request) -> None:
        number = int(request.params["p"])
        row = {"json": f'[{{"shop":"a","count":{number}}}]', "jsonl": f'{{"shop":"a","count":{number}}}', "csv": f"shop,count\na,{number}"}[
            form
        ]
        request.answer(200, row.encode() if number < 2 else last)

    http_server.answers["/sales"] = page
    found = rows(opened(http_server, format=form, pagination={"kind": "page_number", "parameter": "p", "first": 0}))
    assert [row["count"] for row in found] == [0, 1]


def test_endless_pages_end_at_the_limit(http_server: HttpServer) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(200, b'[{"shop":"a","count":%s}]' % request.params["page"].encode())
    with pytest.raises(DataError, match=r"comes after 5 pages, the most that source\.pagination\.max_pages allows"):
        rows(opened(http_server, pagination={"kind": "page_number", "max_pages": 5}))
    assert len(http_server.requests) == 5


def test_pages_that_lead_back_are_refused(http_server: HttpServer) -> None:
    def page(request: Request) -> None:
        request.answer(200, json.dumps({"items": [ROW], "next": "/sales?page=2" if not request.params else "/sales"}).encode())

    http_server.answers["/sales"] = page
    with pytest.raises(DataError, match="is named as the next page a second time"):
        rows(opened(http_server, records="items", pagination={"kind": "next", "path": "next"}))


def test_a_server_that_gives_the_same_page_for_every_number_is_noticed(http_server: HttpServer) -> None:
    answers(http_server, [ROW])
    with pytest.raises(DataError, match="gives page 2 with the content of the page before"):
        rows(opened(http_server, pagination={"kind": "page_number"}))


def test_a_wrong_path_to_the_next_page_does_not_pass_for_the_last_page(http_server: HttpServer) -> None:
    answers(http_server, {"items": [ROW], "paging": {"next": None}})
    with pytest.raises(DataError, match="has nothing at 'pages'; there is: items, paging"):
        rows(opened(http_server, records="items", pagination={"kind": "next", "path": "pages.next"}))


def test_a_page_that_fails_half_way_through_the_pages_fails_the_partition(http_server: HttpServer, home: Path) -> None:
    def page(request: Request) -> None:
        number = int(request.params["page"])
        request.answer(200 if number < 3 else 500, b'[{"shop":"a","count":%d}]' % number)

    http_server.answers["/sales"] = page
    with pytest.raises(TransientError, match="500 Internal Server Error"):
        ingestion.fetch(dataset(http_server, pagination={"kind": "page_number"}), DAY)
    assert [path for path in (home / "storage").rglob("*") if path.is_file()] == []


# --- servers that misbehave -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_a_server_that_stumbles_is_asked_again(http_server: HttpServer, status: int) -> None:
    http_server.answers["/sales"] = lambda request: (
        request.answer(status, b"not now", retry_after="0") if len(http_server.requests) < 3 else request.answer(200, b"[]")
    )
    assert rows(opened(http_server)) == []
    assert len(http_server.requests) == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_goes_on_stumbling_is_worth_a_later_retry(http_server: HttpServer, status: int) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(status, b"not now")
    with pytest.raises(TransientError, match=rf"sales: {http_server.url}/sales answers {status} .* \(3 tries\)"):
        rows(opened(http_server, retries=2))
    assert len(http_server.requests) == 3


def test_the_wait_is_as_long_as_the_server_asks_for(http_server: HttpServer) -> None:
    moments: list[float] = []

    def page(request: Request) -> None:
        moments.append(time.monotonic())
        until = email.utils.formatdate(time.time() + 2, usegmt=True)
        wait = {1: "1", 2: until}.get(len(moments))
        request.answer(503, b"", retry_after=wait) if wait else request.answer(200, b"[]")

    http_server.answers["/sales"] = page
    rows(opened(http_server, max_wait_seconds=5))
    assert moments[1] - moments[0] >= 1
    assert moments[2] - moments[1] >= 0.9  # dates have whole seconds


def test_a_server_that_asks_for_a_long_rest_is_left_alone_until_a_later_retry(http_server: HttpServer) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(429, b"", retry_after="3600")
    with pytest.raises(TransientError, match="asks to be left alone for 3600 seconds"):
        rows(opened(http_server))
    assert len(http_server.requests) == 1


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, ConfigError, "401 Unauthorized to connection 'shop_api'. Look at its credentials"),
        (403, ConfigError, "403 Forbidden to connection 'shop_api'"),
        (400, ConfigError, "400 Bad Request: the request itself is wrong"),
        (404, DataError, "404 Not Found. Has the system that delivers it done so?"),
        (410, DataError, "410 Gone"),
        (206, DataError, "206 Partial Content, which is no whole page"),
        (304, DataError, "304 Not Modified, which is no whole page"),
    ],
)
def test_other_refusals_are_named_with_who_must_act_and_not_asked_again(
    access: HttpServer, status: int, error: type[EvergreenError], words: str
) -> None:
    access.answers["/sales"] = lambda request: request.answer(status)
    with pytest.raises(error, match=words.replace("(", r"\(")):
        rows(opened(access, url="/sales", connection="shop_api"))
    assert len(access.requests) == 1


def test_a_body_that_ends_early_is_asked_for_again_and_then_worth_a_retry(http_server: HttpServer) -> None:
    def page(request: Request) -> None:
        request.answer(200, b'[{"shop":', content_length="100")
        request.drop()

    http_server.answers["/sales"] = page
    with pytest.raises(TransientError, match=r"ends its answer before it is whole.*\(2 tries\)"):
        rows(opened(http_server, retries=1))


def test_chunks_that_stop_coming_are_no_end(http_server: HttpServer) -> None:
    def page(request: Request) -> None:
        request.begin(200, transfer_encoding="chunked")
        request.send(b"a\r\nshop,count\r\n")  # ten bytes are promised, and the last chunk never comes
        request.drop()

    http_server.answers["/sales"] = page
    with pytest.raises(TransientError, match="ends its answer before it is whole"):
        rows(opened(http_server, format="csv", retries=0))


def test_a_truncated_gzip_body_is_worth_a_retry(http_server: HttpServer) -> None:
    packed = gzip.compress(b"shop,count\n" + b"north,3\n" * 1000)[:-20]
    http_server.answers["/sales"] = lambda request: request.answer(200, packed, content_encoding="gzip")
    with pytest.raises(TransientError, match="body that is cut off"):
        rows(opened(http_server, format="csv", retries=0))


def test_a_second_answer_that_is_whole_replaces_the_first_that_was_not(http_server: HttpServer) -> None:
    def page(request: Request) -> None:
        if len(http_server.requests) == 1:
            request.answer(200, b"shop,count\nsouth,1\nsouth,2\nsou", content_length="1000")
            request.drop()
        else:
            request.answer(200, CSV)

    http_server.answers["/sales"] = page
    assert rows(opened(http_server, format="csv")) == [ROW]


def test_a_server_that_keeps_silent_is_not_waited_for_for_ever(http_server: HttpServer) -> None:
    http_server.answers["/sales"] = lambda request: http_server.leaving.wait() and None
    with pytest.raises(TransientError, match="keeps silent for too long"):
        rows(opened(http_server, timeout_seconds=0.3, retries=1))
    assert not http_server.leaving.is_set(), "it has never answered"


def test_a_server_that_drips_is_not_waited_for_for_ever(http_server: HttpServer) -> None:
    def page(request: Request) -> None:
        request.begin(200, content_length="100000")
        while not http_server.leaving.wait(0.1):
            request.send(b" ")

    http_server.answers["/sales"] = page
    with pytest.raises(TransientError, match="takes longer than the 1 seconds allowed"):
        rows(opened(http_server, deadline_seconds=1))


def test_a_server_that_is_not_there_is_worth_a_retry(http_server: HttpServer) -> None:
    with reserved_port() as port, pytest.raises(TransientError, match=f"http://127.0.0.1:{port}/sales cannot be reached"):
        rows(opened(http_server, url=f"http://127.0.0.1:{port}/sales", retries=1))


def test_an_answer_that_is_too_large_is_cut_off_while_it_is_read(http_server: HttpServer) -> None:
    sent = 0

    def page(request: Request) -> None:
        nonlocal sent
        request.begin(200, content_length=str(10**9))
        for _ in range(1000):
            request.send(b"x" * 10**6)
            sent += 10**6

    http_server.answers["/sales"] = page
    with pytest.raises(DataError, match=r"is larger, unpacked, than source\.max_bytes allows \(1000000 bytes\)"):
        rows(opened(http_server, format="csv", max_bytes=10**6))
    assert sent < 10**8


def test_a_gzip_bomb_is_cut_off_while_it_is_unpacked(http_server: HttpServer) -> None:
    import psutil

    bomb = gzip.compress(gzip.compress(b"\0" * 10**8, 9), 9)
    http_server.answers["/sales"] = lambda request: request.answer(200, gzip.compress(b" " * 200_000_000, 1), content_encoding="gzip")
    http_server.answers["/sales.csv.gz"] = lambda request: request.answer(200, bomb, content_encoding="gzip")
    before = psutil.Process().memory_info().rss
    with pytest.raises(DataError, match=r"larger, unpacked, than source\.max_page_bytes allows \(67108864 bytes\)"):
        rows(opened(http_server))
    with pytest.raises(DataError, match="max_bytes"):
        rows(opened(http_server, url=f"{http_server.url}/sales.csv.gz", format="csv", max_bytes=10**6))
    assert psutil.Process().memory_info().rss - before < 150e6


def test_all_pages_together_stay_within_the_limit(http_server: HttpServer) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(200, f"shop,count\n{'x' * 1000},{request.params['page']}".encode())
    with pytest.raises(DataError, match=r"source\.max_bytes allows \(10000 bytes\)"):
        rows(opened(http_server, format="csv", max_bytes=10_000, pagination={"kind": "page_number"}))
    assert len(http_server.requests) == 10


# --- other hosts, and secrets -----------------------------------------------------------------------------------------


def test_a_redirect_on_the_same_server_is_followed_and_endless_ones_are_not(http_server: HttpServer) -> None:
    http_server.answers["/sales"] = lambda request: request.answer(302, location="/v2/sales?day=1")
    http_server.answers["/v2/sales"] = lambda request: request.answer(200, json.dumps([ROW]).encode())
    assert rows(opened(http_server)) == [ROW]
    http_server.answers["/v2/sales"] = http_server.answers["/sales"]
    with pytest.raises(DataError, match="redirects more than 5 times"):
        rows(opened(http_server))


@pytest.mark.parametrize("target", ["{other}/latest/meta-data", "file:///etc/passwd", "http://169.254.169.254/latest", "//127.0.0.2/x"])
def test_a_redirect_to_another_server_is_refused_and_never_asked(access: HttpServer, target: str) -> None:
    with HttpServer() as other:
        access.answers["/sales"] = lambda request: request.answer(307, location=target.format(other=other.url))
        with pytest.raises(ConfigError, match="redirects to .* which is another server"):
            rows(opened(access, url="/sales", connection="shop_api"))
        assert other.requests == []


@pytest.mark.parametrize("kind", ["next", "link_header"])
def test_a_next_page_on_another_server_is_refused_and_never_asked(access: HttpServer, kind: str) -> None:
    with HttpServer() as other:
        body = json.dumps({"items": [ROW], "next": f"{other.url}/steal"}).encode()
        access.answers["/sales"] = lambda request: request.answer(200, body, link=f'<{other.url}/steal>; rel="next"')
        pagination = {"kind": kind, **({"path": "next"} if kind == "next" else {})}
        with pytest.raises(DataError, match="names its next page at .*/steal, which is another server"):
            rows(opened(access, url="/sales", connection="shop_api", records="items", pagination=pagination))
        assert other.requests == []


def test_credentials_are_sent_to_no_server_but_their_own(access: HttpServer) -> None:
    with HttpServer() as other, pytest.raises(ConfigError, match="credentials are sent to no other server"):
        rows(opened(access, url=f"{other.url}/sales", connection="shop_api"))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({"url": "file:///etc/passwd"}, "is not an HTTP URL"),
        ({"url": "ftp://example.org/x"}, "is not an HTTP URL"),
        ({"url": "/sales"}, "is only a path; write the whole URL, or name a connection"),
        ({"url": "https://me:secret@example.org/sales"}, "the URL holds credentials; put them into an Airflow connection"),
        ({"url": "https://example.org", "format": "csv", "records": "data"}, "is for json, and the format is csv"),
        ({"url": "https://example.org", "format": "csv", "pagination": {"kind": "next", "path": "x"}}, "of kind next is for json"),
        ({"url": "https://example.org", "pagination": {"kind": "offset"}}, "offset"),
    ],
)
def test_sources_that_make_no_sense_are_refused_with_the_yaml(http_server: HttpServer, source: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        dataset(http_server, **source)
    assert complaint in str(refused.value)


def test_a_scheme_that_a_variable_brings_in_is_refused_before_anything_is_asked(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API", "file:///etc")
    with pytest.raises(ConfigError, match="allowed: http:// and https://"):
        opened(http_server, url="${API}/passwd")


def test_secrets_are_in_no_place_no_log_and_no_error(access: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="include")
    access.answers["/sales"] = lambda request: request.answer(200, json.dumps([ROW]).encode())
    delivery = opened(access, url="/sales", connection="shop_api", params={"token": SECRET})
    rows(delivery)
    told = [*delivery.places, caplog.text]
    for status in (400, 401, 404, 500):
        access.answers["/sales"] = lambda request, status=status: request.answer(status, SECRET.encode())
        with pytest.raises(EvergreenError) as refused:
            rows(opened(access, url="/sales", connection="shop_api", params={"token": SECRET}))
        told += [str(refused.value), *traceback.format_exception(refused.value)]
    assert not [each for each in told if SECRET in each or httpx.QueryParams({"": SECRET})[""] in each or "gooseberries" in each]


# --- ETags ------------------------------------------------------------------------------------------------------------


def test_a_partition_that_is_unchanged_is_not_sent_again_and_has_the_same_rows(http_server: HttpServer, home: Path) -> None:
    tag_and_answer(http_server, '"v1"', CSV.replace(b"count", b"count,extra").replace(b"3", b"3,x"))
    first = ingestion.fetch(dataset(http_server, format="csv"), DAY)
    again = ingestion.fetch(dataset(http_server, format="csv"), DAY)
    assert [request.headers["if-none-match"] for request in http_server.requests] == [None, '"v1"']
    assert {**again, "arrived": "", "began": ""} == {**first, "arrived": "", "began": ""}
    assert first["undeclared"] == ["extra"]
    assert storage.exists(f"{first['path']}.etag.json")  # maintenance keeps it as long as the rows whose name it bears
    tag_and_answer(http_server, '"v2"', CSV.replace(b"3", b"4"))
    assert ingestion.fetch(dataset(http_server, format="csv"), DAY)["digest"] != first["digest"]
    assert http_server.requests[-1].headers["if-none-match"] == '"v1"'


def test_what_is_remembered_goes_for_its_own_partition_request_and_columns_alone(http_server: HttpServer, home: Path) -> None:
    tag_and_answer(http_server, '"v1"', CSV)
    ingestion.fetch(dataset(http_server, format="csv"), DAY)
    ingestion.fetch(dataset(http_server, format="csv"), DAILY.shift(DAY, 1))
    ingestion.fetch(dataset(http_server, format="csv", params={"v": "2"}), DAY)
    ingestion.fetch(dataset(http_server, format="csv", columns=COLUMNS[:1]), DAY)
    assert [request.headers["if-none-match"] for request in http_server.requests] == [None] * 4


@pytest.mark.parametrize("damaged", [b"", b'{"request": "', b'{"request": "of another release"}', b"[]", b"\xff"])
def test_where_what_is_remembered_is_damaged_the_server_is_asked_for_all_of_it(
    damaged: bytes, http_server: HttpServer, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tag_and_answer(http_server, '"v1"', CSV)
    first = ingestion.fetch(dataset(http_server, format="csv"), DAY)
    storage.write_bytes(f"{first['path']}.etag.json", damaged)
    assert ingestion.fetch(dataset(http_server, format="csv"), DAY)["digest"] == first["digest"]
    assert [request.headers["if-none-match"] for request in http_server.requests] == [None, None]
    assert f"{first['path']}.etag.json is damaged" in caplog.text


def test_without_the_raw_rows_the_server_is_asked_for_all_of_it(http_server: HttpServer, home: Path) -> None:
    tag_and_answer(http_server, '"v1"', CSV)
    first = ingestion.fetch(dataset(http_server, format="csv"), DAY)
    storage.remove(first["path"])
    assert ingestion.fetch(dataset(http_server, format="csv"), DAY)["digest"] == first["digest"]
    assert [request.headers["if-none-match"] for request in http_server.requests] == [None, None]


def test_unchanged_content_makes_no_new_version(http_server: HttpServer, home: Path) -> None:
    tag_and_answer(http_server, '"v1"', CSV)
    for _ in range(2):
        ingestion.ingest(dataset(http_server, format="csv"), DAY, "live")
    version = current_partition("sales", DAY)
    assert version is not None and version.version == 1


# --- helpers ----------------------------------------------------------------------------------------------------------


def dataset(server: HttpServer, columns: list[dict[str, Any]] | None = None, **source: Any) -> DatasetConfig:
    defaults = {"type": "http", "url": f"{server.url}/sales", "max_wait_seconds": 0.02}
    return DatasetConfig.model_validate(
        {
            "name": "sales",
            "whole_table": True,  # most of these ask for the same rows whichever day it is
            "description": "Sales of a day.",
            "owner": "shop",
            "source": {**defaults, **source},
            "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
            "knowledge": {"hours_after_partition": 24},
            "columns": columns or COLUMNS,
        }
    )


def opened(server: HttpServer, **source: Any) -> Delivery:
    return make_source(dataset(server, **source)).open(DAY)


def rows(delivery: Delivery) -> list[dict[str, Any]]:
    return [row for batch in delivery.batches for row in batch.to_pylist()]


def answers(server: HttpServer, document: object) -> None:
    server.answers["/sales"] = lambda request: request.answer(200, json.dumps(document).encode(), content_type="application/json")


def tag_and_answer(server: HttpServer, etag: str, body: bytes) -> None:
    server.answers["/sales"] = lambda request: (
        request.answer(304, etag=etag) if request.headers["if-none-match"] == etag else request.answer(200, body, etag=etag)
    )
