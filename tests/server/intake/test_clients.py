"""The clients that apps use, unmodified, against a server over HTTP; their events arrive, Chinese and emoji intact.

The JavaScript clients run where node is, and their packages: ``npm install --prefix tests/clients``, or another folder
named by ``UPSWING_NODE_MODULES``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.server.intake.serving import KEY, Served, served
from upswing.events.store import EventStore

CLIENTS = Path(__file__).resolve().parents[2] / "clients"
Event = tuple[str, str, dict[str, object]]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, fsync=False) as made:
        yield made


def events(store: EventStore) -> list[Event]:
    """User, event and values by property, in the order of their users and times."""
    names = {p.column: n for n, p in store.properties().items()}
    table = store.connection.execute(
        "SELECT u.user_id, e.event, e.* EXCLUDE (user_key, event, time, event_id, import_id)"
        " FROM events AS e JOIN users AS u USING (user_key) ORDER BY e.event, e.time"
    )
    columns = [names.get(c[0], c[0]) for c in table.description]
    rows = [dict(zip(columns, values, strict=True)) for values in table.fetchall()]
    return [
        (str(r.pop("user_id")), str(r.pop("event")), {k: v for k, v in r.items() if v is not None}) for r in rows
    ]  # fmt: skip


def some(values: dict[str, object], *names: str) -> dict[str, object]:
    return {name: values[name] for name in names if name in values}


def aliases(store: EventStore) -> set[tuple[object, ...]]:
    return set(store.rows("SELECT alias, canonical FROM aliases"))


def test_segment_python(running: Served) -> None:
    from segment.analytics.client import Client

    failed: list[object] = []
    client = Client(
        KEY, host=running.url, gzip=True, on_error=lambda error, items: failed.append(error), upload_size=10
    )
    client.identify("用户1", traits={"城市": "上海"}, anonymous_id="设备1")
    for i in range(25):
        client.track("用户1", "下单😀", {"金额": i + 0.5, "商品": "奶茶🧋"}, message_id=f"m{i}",
                     timestamp=datetime(2026, 11, 20, 8, 0, i, tzinfo=UTC))  # fmt: skip
    client.page("用户1", name="首页")
    client.group("用户1", "团队", {"人数": 3})
    client.alias("旧id", "用户1")
    client.track("用户1", "下单😀", message_id="m3")  # a repeat
    client.shutdown()
    assert failed == []
    with running.settle() as store:
        found = events(store)
        orders = [values for user, event, values in found if event == "下单😀"]
        assert {user for user, _, _ in found} == {"用户1"}
        assert [some(v, "金额", "商品") for v in orders] == [{"金额": i + 0.5, "商品": "奶茶🧋"} for i in range(25)]
        assert [some(v, "traits.城市") for _, e, v in found if e == "identify"] == [{"traits.城市": "上海"}]
        assert [some(v, "group_id", "traits.人数") for _, e, v in found if e == "group"] == [
            {"group_id": "团队", "traits.人数": 3}
        ]
        assert orders[0]["context.library.name"] == "analytics-python"
        assert aliases(store) == {("设备1", "用户1"), ("旧id", "用户1")}
        at = store.count("SELECT epoch_us(min(time)) FROM events WHERE event_id = 'm0'")
        assert abs(at - 1795161600_000_000) < 60_000_000  # 2026-11-20 08:00 UTC, but for the clock's correction


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("consumer", ["DefaultConsumer", "BatchConsumer", "AsyncBatchConsumer"])
def test_sensors_python(running: Served, consumer: str) -> None:
    import sensorsanalytics

    made = getattr(sensorsanalytics, consumer)(f"{running.url}/sa?project=default&token={KEY}")
    client = sensorsanalytics.SensorsAnalytics(made)
    client.track("设备1", "browse", {"page_name": "首页😀"})
    client.track_signup("用户1", "设备1")
    client.track("用户1", "buy", {"amount": 19.9, "$time": datetime(2026, 11, 20, 8)}, is_login_id=True)
    client.profile_set("用户1", {"city": "上海", "likes": ["茶", "书"]}, is_login_id=True)
    client.item_set("product", "1", {"name": "奶茶"})
    client.close()
    with running.settle() as store:
        found = {event: (user, values) for user, event, values in events(store)}
        assert found.keys() == {"browse", "$SignUp", "buy", "profile_set"}
        assert found["browse"][0] == "设备1"
        assert found["browse"][1]["page_name"] == "首页😀"
        assert some(found["buy"][1], "amount", "$is_login_id") == {"amount": 19.9, "$is_login_id": True}
        assert some(found["profile_set"][1], "traits.city", "traits.likes") == {
            "traits.city": "上海", "traits.likes": '["茶","书"]',
        }  # fmt: skip
        assert aliases(store) == {("设备1", "用户1")}


def test_growthbook_python(running: Served) -> None:
    from growthbook import GrowthBook
    from growthbook.plugins import growthbook_tracking_plugin

    gb = GrowthBook(
        client_key=KEY,
        attributes={"id": "设备2", "user_id": "用户2", "国家": "中国"},
        features={"新首页": {"defaultValue": False, "rules": [{"key": "onboarding", "variations": [False, True],
                                                            "weights": [0, 1]}]}},
        plugins=[growthbook_tracking_plugin(ingestor_host=running.url, batch_size=100)],
    )  # fmt: skip
    assert gb.is_on("新首页")
    gb.log_event("付款💰", {"金额": 12.5})
    gb.destroy()
    wait_for(running, 2)
    with running.settle() as store:
        check_growthbook(store)


def check_growthbook(store: EventStore) -> None:
    found = {event: (user, values) for user, event, values in events(store)}
    user, values = found["Experiment Viewed"]
    assert user == "用户2"
    assert some(values, "experiment_id", "variation_id") == {"experiment_id": "onboarding", "variation_id": "1"}
    assert values["context.国家"] == "中国"
    assert found["付款💰"][1]["金额"] == 12.5
    assert found["Feature Evaluated"][1]["feature_key"] == "新首页"
    assert aliases(store) == {("设备2", "用户2")}


def wait_for(running: Served, events: int) -> None:
    """Clients that send from a thread of their own without a way to wait for it."""
    end = time.monotonic() + 15
    while running.intake.counts.accepted < events and time.monotonic() < end:
        time.sleep(0.05)
    assert running.intake.counts.accepted >= events


def node(client: str, running: Served) -> None:
    modules = Path(os.environ.get("UPSWING_NODE_MODULES", CLIENTS / "node_modules"))
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    if not (modules / "@segment" / "analytics-node").is_dir():
        pytest.skip("the JavaScript clients are not installed: npm install --prefix tests/clients")
    done = subprocess.run(
        [program, str(CLIENTS / "send.mjs"), client, running.url, KEY],
        env={**os.environ, "UPSWING_NODE_MODULES": str(modules)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_segment_node(running: Served) -> None:
    node("segment", running)
    with running.settle() as store:
        found = events(store)
        assert sorted(event for _, event, _ in found) == sorted(
            ["下单😀"] * 7 + ["group", "identify", "page", "screen"]
        )
        assert [some(v, "金额", "商品", "n") for _, e, v in found if e == "下单😀"] == [
            {"金额": i + 0.5, "商品": "奶茶🧋", "n": i} for i in range(7)
        ]
        assert [(u, some(v, "name", "url")) for u, e, v in found if e == "page"] == [
            ("设备1", {"name": "首页", "url": "https://例子.example/"})
        ]
        assert aliases(store) == {("设备1", "用户1"), ("旧id", "用户1")}


def test_growthbook_javascript(running: Served) -> None:
    node("growthbook", running)
    with running.settle() as store:
        check_growthbook(store)
