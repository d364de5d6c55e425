"""The protocols' own rules, and random bodies: never a failure of the server; what is accepted is stored once."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.intake.deliveries import NOW, rows, taken
from upswing.server.bodies import read_json
from upswing.server.errors import ServerError
from upswing.server.intake import clicks, growthbook, plain, segment, sensors
from upswing.server.intake.clock import corrected, read_moment
from upswing.server.intake.events import Delivery

LIMIT = 1 << 20


def take_segment(body: bytes, delivery: Delivery) -> None:
    segment.take_batch(read_json(body), delivery)


def take_sensors(body: bytes, delivery: Delivery) -> None:
    sensors.take_messages(sensors.read_messages({"data_list": base64.b64encode(body).decode()}, LIMIT), delivery)


def take_growthbook(body: bytes, delivery: Delivery) -> None:
    growthbook.take_events(read_json(body), delivery)


def take_plain(body: bytes, delivery: Delivery) -> None:
    plain.take_events(body, delivery, zone=UTC)


PARSERS: dict[str, Callable[[bytes, Delivery], None]] = {
    "segment": take_segment, "sensors": take_sensors, "growthbook": take_growthbook, "plain": take_plain,
}  # fmt: skip

IDS = st.one_of(st.none(), st.text(max_size=6), st.integers(-5, 5), st.booleans(), st.lists(st.integers(), max_size=1))
TIMES = st.one_of(
    st.none(), st.text(max_size=10), st.floats(), st.integers(-(10**25), 10**25),
    st.sampled_from(["2026-11-22T10:00:00Z", "2026-11-22T10:00:00.5+08:00", "0001-01-01T00:00:00+14:00", 1795300000,
                     1795300000123, "9999-12-31T23:59:59-14:00", "2026-11-22"]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda v: st.one_of(st.lists(v, max_size=2), st.dictionaries(st.text(max_size=5), v, max_size=3)),
    max_leaves=5,
)
FIELDS = {
    "segment": {
        "type": st.sampled_from(["track", "identify", "page", "screen", "group", "alias", "x"]), "userId": IDS,
        "anonymousId": IDS, "event": IDS, "timestamp": TIMES, "messageId": IDS, "properties": VALUES, "traits": VALUES,
        "context": VALUES, "previousId": IDS, "name": VALUES, "groupId": IDS,
    },
    "sensors": {
        "type": st.sampled_from(["track", "track_signup", "track_id_bind", "profile_set", "item_set", "y"]),
        "distinct_id": IDS, "original_id": IDS, "event": IDS, "time": TIMES, "properties": VALUES, "_track_id": IDS,
        "_flush_time": TIMES, "identities": VALUES, "login_id": IDS, "anonymous_id": IDS,
    },
    "growthbook": {"event_name": IDS, "properties_json": VALUES, "user_id": IDS, "device_id": IDS, "context_json": VALUES},
    "plain": {"user": IDS, "anonymous_id": IDS, "event": IDS, "time": TIMES, "id": IDS, "properties": VALUES, "x": VALUES},
}  # fmt: skip
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bodies(protocol: str) -> st.SearchStrategy[bytes]:
    message = st.one_of(st.fixed_dictionaries({}, optional=FIELDS[protocol]), VALUES)
    several = st.lists(message, max_size=5)
    if protocol == "segment":
        whole = st.fixed_dictionaries({"batch": several}, optional={"sentAt": TIMES, "context": VALUES})
        return whole.map(_written)
    if protocol == "plain":
        lines = several.map(lambda found: b"\n".join(map(_written, found)))
        return st.one_of(several.map(_written), message.map(_written), lines)
    return several.map(_written)


def _written(body: object) -> bytes:
    return json.dumps(body).encode()


def refusal(parse: Callable[[], None]) -> int | None:
    """The status that a parser refuses with."""
    try:
        parse()
    except ServerError as error:
        return error.status
    return None


@pytest.mark.parametrize("protocol", PARSERS)
@QUICK
@given(data=st.data())
def test_any_body_is_read_or_refused_with_a_client_error(protocol: str, data: st.DataObject) -> None:
    body = data.draw(st.one_of(bodies(protocol), st.binary(max_size=60), st.text(max_size=30).map(str.encode)))
    delivery = Delivery(NOW)
    refused = refusal(lambda: PARSERS[protocol](body, delivery))
    assert refused in (None, 400, 413)
    frame = delivery.frame()
    assert refused or frame is None or len(frame.split(b"\n")) == delivery.events + 1


@pytest.mark.parametrize("protocol", PARSERS)
@SLOW
@given(data=st.data())
def test_what_is_accepted_is_stored_once(tmp_path: Path, protocol: str, data: st.DataObject) -> None:
    """Every message is stored, set aside, ignored, or repeats the id of another; a retry of all adds nothing."""
    made = []
    for body in data.draw(st.lists(bodies(protocol), min_size=1, max_size=3)):
        delivery = Delivery(NOW)
        try:
            PARSERS[protocol](body, delivery)
        except ServerError:
            continue
        made.append(delivery)
    with taken(tmp_path / "w", *made, *made) as store:
        ids = [json.loads(line)["i"] for one in made for line in one.frame_lines()]
        assert rows(store).keys() == set(ids)
        assert store.count("SELECT count(*) FROM quarantine WHERE reason NOT IN ('alias_refused')") == 2 * sum(
            len(one.refused) for one in made
        )


# -- Segment ------------------------------------------------------------------------------------------------------


def segment_rows(tmp_path: Path, *messages: dict[str, object], **batch: object) -> tuple[list[object], Delivery]:
    delivery = Delivery(NOW)
    segment.take_batch({"batch": list(messages), **batch}, delivery)
    with taken(tmp_path / "w", delivery) as store:
        names = {p.column: n for n, p in store.properties().items()}
        table = store.connection.execute("SELECT u.user_id, e.* FROM events AS e JOIN users AS u USING (user_key) "
                                         "ORDER BY e.rowid")  # fmt: skip
        columns = [c[0] for c in table.description]
        found: list[object] = []
        for values in table.fetchall():
            row = dict(zip(columns, values, strict=True))
            held = {names[c]: v for c, v in row.items() if c in names and v is not None}
            found.append((row["user_id"], row["event"], held))
    return found, delivery


def test_segment_messages_become_events(tmp_path: Path) -> None:
    common = {"userId": "u"}
    found, _ = segment_rows(
        tmp_path,
        {**common, "type": "track", "event": "付款", "properties": {"金额": 9.5, "s": {"a": "😀"}}},
        {**common, "type": "identify", "traits": {"plan": "pro"}},
        {**common, "type": "page", "name": "首页", "category": "c", "properties": {"url": "/"}},
        {**common, "type": "screen", "name": "Home"},
        {**common, "type": "group", "groupId": "g1", "traits": {"size": 3}},
        context={"library": {"name": "x"}},
    )
    lib = {"context.library.name": "x"}
    assert found == [
        ("u", "付款", {"金额": 9.5, "s.a": "😀", **lib}),
        ("u", "identify", {"traits.plan": "pro", **lib}),
        ("u", "page", {"name": "首页", "category": "c", "url": "/", **lib}),
        ("u", "screen", {"name": "Home", **lib}),
        ("u", "group", {"group_id": "g1", "traits.size": 3, **lib}),
    ]


def test_segment_batch_context_yields_to_the_messages_own(tmp_path: Path) -> None:
    found, _ = segment_rows(
        tmp_path,
        {"type": "track", "event": "e", "userId": "u", "context": {"ip": "1"}},
        context={"ip": "2", "os": "x"},
    )
    assert found == [("u", "e", {"context.ip": "1", "context.os": "x"})]


@given(st.integers(0, 10**9), st.integers(-(10**9), 10**9), st.integers(0, 10**6))
def test_clock_of_the_client_does_not_matter(age_ms: int, wrong_ms: int, travel_ms: int) -> None:
    """Segment: timestamp = receivedAt - (sentAt - originalTimestamp)."""
    true = datetime(2026, 11, 23, tzinfo=UTC)
    wrong = timedelta(milliseconds=wrong_ms)
    happened, sent = true + wrong, true + timedelta(milliseconds=age_ms) + wrong
    received = NOW + (age_ms + travel_ms) * 1000
    at = corrected(read_moment(happened.isoformat()), read_moment(sent.isoformat()), received)
    assert at == NOW + travel_ms * 1000


def test_segment_import_leaves_times_alone() -> None:
    body = {"batch": [{"type": "track", "event": "e", "userId": "u", "timestamp": "2020-01-01T00:00:00Z"}],
            "sentAt": "2020-01-01T00:00:00Z"}  # fmt: skip
    for past, at in ((False, NOW), (True, read_moment("2020-01-01T00:00:00Z"))):
        delivery = Delivery(NOW)
        segment.take_batch(body, delivery, past=past)
        assert [json.loads(line)["t"] for line in delivery.frame_lines()] == [at]


def test_segment_identity() -> None:
    delivery = Delivery(NOW)
    for message in (
        {"type": "track", "event": "e", "anonymousId": "a"},
        {"type": "track", "event": "e", "anonymousId": "a", "userId": "u", "timestamp": "2026-11-22T00:00:00Z"},
        {"type": "track", "event": "e", "anonymousId": "a", "userId": "u", "timestamp": "2026-11-22T01:00:00Z"},
        {"type": "alias", "previousId": "old", "userId": "u", "timestamp": "2026-11-22T02:00:00Z"},
        {"type": "alias", "previousId": "", "userId": "u"},
    ):
        segment.take_call(message, message["type"], delivery)
    day = read_moment("2026-11-22")
    assert day is not None
    assert delivery.aliases == [("a", "u", day), ("old", "u", day + 7_200_000_000)]
    assert (delivery.accepted, [r.reason for r in delivery.refused]) == (4, ["missing_user"])


# -- 神策 -----------------------------------------------------------------------------------------------------------


def test_sensors_forms() -> None:
    message = {
        "type": "track",
        "distinct_id": "u",
        "event": "购买",
        "time": 1795300000123,
        "properties": {"$os": "iOS"},
    }
    written = json.dumps(message).encode()
    forms = [
        {"data": base64.b64encode(written).decode()},
        {"data": base64.b64encode(gzip.compress(written)).decode(), "gzip": "1"},
        {"data_list": base64.b64encode(gzip.compress(b"[" + written + b"]")).decode(), "gzip": "1"},
        {"data": base64.urlsafe_b64encode(written).decode()},
    ]
    for form in forms:
        assert sensors.read_messages(sensors.read_form(urlencode(form).encode()), LIMIT) == [message]
    delivery = Delivery(NOW)
    sensors.take_messages([message], delivery)
    row = json.loads(delivery.frame_lines()[0])
    assert (row["u"], row["e"], row["t"], row["s"]) == ("u", "购买", 1795300000123000, {"$os": "iOS"})


@pytest.mark.parametrize("form", [{}, {"data": "%"}, {"data": "bm90IGpzb24="}, {"data": "e30=", "gzip": "9"}])
def test_sensors_form_that_cannot_be_read(form: dict[str, str]) -> None:
    with pytest.raises(ServerError) as refused:
        sensors.read_messages(form, LIMIT)
    assert refused.value.status == 400


def test_sensors_bomb_is_stopped_at_the_limit() -> None:
    bomb = base64.b64encode(gzip.compress(b" " * (64 << 20))).decode()
    with pytest.raises(ServerError) as refused:
        sensors.read_messages({"data": bomb, "gzip": "1"}, LIMIT)
    assert refused.value.status == 413


def test_sensors_identity_profiles_and_what_is_ignored() -> None:
    delivery = Delivery(NOW)
    at = 1795300000000
    sensors.take_messages(
        [
            {"type": "track_signup", "distinct_id": "u", "original_id": "d", "event": "$SignUp", "time": at},
            {"type": "profile_set", "distinct_id": "u", "time": at, "properties": {"城市": "上海"}},
            {"type": "track", "distinct_id": "u", "login_id": "u", "anonymous_id": "d2", "event": "e", "time": at},
            {"type": "track_id_bind", "distinct_id": "u", "event": "$BindID", "time": at,
             "identities": {"$identity_login_id": "u", "$identity_mobile": "139"}},
            {"type": "item_set", "item_id": "1"},
            {"type": "profile_unset", "distinct_id": "u"},
        ],
        delivery,
    )  # fmt: skip
    assert [(a, c) for a, c, _ in delivery.aliases] == [("d", "u"), ("d2", "u"), ("$identity_mobile+139", "u")]
    assert [json.loads(line)["e"] for line in delivery.frame_lines()] == ["$SignUp", "profile_set", "e", "$BindID"]
    assert json.loads(delivery.frame_lines()[1])["s"] == {"traits.城市": "上海"}
    assert delivery.ignored == ["item_set", "profile_unset"]


def test_sensors_repeat_is_the_same_event_and_a_chance_number_is_not() -> None:
    delivery = Delivery(NOW)
    same = {"type": "track", "distinct_id": "u", "event": "e", "time": 1795300000000, "_track_id": 7}
    sensors.take_messages([same, dict(same), {**same, "distinct_id": "v"}], delivery)
    ids = [json.loads(line)["i"] for line in delivery.frame_lines()]
    assert ids[0] == ids[1] != ids[2]


# -- GrowthBook, plain, clicks ------------------------------------------------------------------------------------


def test_growthbook_exposures_have_one_name_and_one_spelling() -> None:
    delivery = Delivery(NOW)
    growthbook.take_events(
        [
            {"event_name": "Experiment Viewed", "properties_json": {"experimentId": "onb", "variationId": "1"},
             "user_id": "u", "device_id": "d", "url": "", "context_json": {"country": "CN"}},
            {"event_name": "$$experiment_viewed", "properties_json": {"experiment_id": "onb", "variation_id": 1},
             "user_id": "u"},
            {"event_name": "支付", "properties_json": '{"amount": 3}', "device_id": "d"},
        ],
        delivery,
    )  # fmt: skip
    found = [json.loads(line) for line in delivery.frame_lines()]
    for row in found[:2]:
        assert row["e"] == "Experiment Viewed"
        assert row["s"]["experiment_id"] == "onb"
        assert row["s"]["variation_id"] == "1"
    assert found[0]["s"]["context.country"] == "CN"
    assert (found[2]["u"], found[2]["e"], found[2]["k"]) == ("d", "支付", {"amount": 3})
    assert [(a, c) for a, c, _ in delivery.aliases] == [("d", "u")]


@pytest.mark.parametrize(
    "body",
    [
        b'{"user":"u","event":"e","id":"1"}',
        b'[{"user":"u","event":"e","id":"1"}]',
        b'{"user":"u","event":"e","id":"1"}\n',
        b'\xef\xbb\xbf{\n "user": "u",\n "event": "e", "id": "1"\n}',
        b'{"user_id":"u","event_name":"e","event_id":1}\r\n\r\n',
    ],
)
def test_plain_json_in_its_forms(body: bytes) -> None:
    delivery = Delivery(NOW)
    take_plain(body, delivery)
    assert [(json.loads(x)["u"], json.loads(x)["e"], json.loads(x)["i"]) for x in delivery.frame_lines()] == [
        ("u", "e", "1")
    ]


def test_bad_line_is_set_aside_alone() -> None:
    delivery = Delivery(NOW)
    take_plain(b'{"user":"u","event":"e"}\n{"user":\n{"user":"u","event":"f"}\n7', delivery)
    assert delivery.events == 2
    assert [(r.index, r.reason, r.raw) for r in delivery.refused] == [
        (1, "invalid_json", '{"user":'),
        (3, "malformed_event", "7"),
    ]


@pytest.mark.parametrize(
    ("body", "place"), [(b'[{"a": 1},\n {"b" 2}]', "line 2 column 7"), (b"[1, NaN]", "NaN"), (b'["\xff"]', "0xff"),
                        (b"[" * 100_000, "nested"), (b"9" * 10_000, "digits")]
)  # fmt: skip
def test_body_that_cannot_be_read_names_the_place(body: bytes, place: str) -> None:
    with pytest.raises(ServerError) as refused:
        take_plain(body, Delivery(NOW))
    assert refused.value.status == 400
    assert place in str(refused.value.message)


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ("2026-11-23T00:00:00Z", NOW), ("2026-11-23 08:00:00+08:00", NOW), (NOW // 10**6, NOW), (NOW // 10**3, NOW),
        (NOW, NOW), (NOW * 1000, NOW), (str(NOW // 10**6), NOW), (NOW / 10**6 + 0.25, NOW + 250_000), ("x", None),
        (True, None), ({}, None), (float("inf"), None), ("0001-01-01T00:00:00+14:00", -62135647200000000),
    ],
)  # fmt: skip
def test_times_as_clients_write_them(written: object, micros: int | None) -> None:
    assert read_moment(written) == micros


TENCENT = (  # Tencent Ads' own sample of a link after its macros were replaced
    "adgroup_id=228691429&ad_id=251986746&muid=8d3ebd3654fb46a2832296669cf1b536&click_time=1795391000"
    "&callback=http%3A%2F%2Ftracking.e.qq.com%2Fconv%3Fcb%3DMTIzYWJjNDU2ZGVm%26conv_id%3D12345678"
)


def test_click_links() -> None:
    delivery = Delivery(NOW)
    clicks.take_click("tencent", sensors.read_form(TENCENT.encode()), delivery)
    clicks.take_click("tencent", sensors.read_form(TENCENT.encode()), delivery)
    clicks.take_click(
        "ocean",
        {"promotion_id": "7", "cid": "8", "ts": "1795391000123", "request_id": "r1", "idfa": "__IDFA__", "key": "k",
         "oaid": "o", "callback_param": "cb"},
        delivery,
    )  # fmt: skip
    first, again, ocean = delivery.clicks
    assert first.fields == {
        "campaign_id": "228691429", "ad_id": "251986746", "imei": "8d3ebd3654fb46a2832296669cf1b536",
        "callback": "http://tracking.e.qq.com/conv?cb=MTIzYWJjNDU2ZGVm&conv_id=12345678",
    }  # fmt: skip
    assert first.click_id == again.click_id  # no id in the link: the parameters are the click
    assert (ocean.click_id, ocean.time) == ("r1", 1795391000123000)
    assert ocean.fields == {"ad_id": "7", "creative_id": "8", "oaid": "o", "callback": "cb"}
    assert "key" not in ocean.parameters
    assert "idfa" not in ocean.parameters


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=30), max_size=6), st.text(max_size=12))
def test_any_link_is_a_click_or_a_client_error(parameters: dict[str, str], platform: str) -> None:
    delivery = Delivery(NOW)
    refused = refusal(lambda: clicks.take_click(platform, parameters, delivery))
    assert refused in (None, 400)
    assert refused or len(delivery.clicks) + len(delivery.refused) == 1
    assert refused or delivery.frame()
