"""Events that exist already, in Parquet files or a table: the same answers as after an import, nothing written."""

import json

import duckdb
import pytest
from click.testing import CliRunner

from upswing.cli.main import _register, cli
from upswing.core.errors import UpswingError
from upswing.workspace import Workspace

COLUMNS = "columns: {time: ts, user: uid, event: name}"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    with duckdb.connect(str(root / "warehouse.duckdb")) as c:
        c.execute(
            "CREATE TABLE events AS SELECT 'u' || (i % 40) AS uid, TIMESTAMP '2026-01-05' + INTERVAL (i * 37) MINUTE AS ts, "
            "['view', 'cart', '支付'][1 + (i * 7 % 11) % 3] AS name, "
            "CASE WHEN i % 40 < 20 THEN 'ios' ELSE 'web' END AS platform, i * 1.5 AS amount FROM range(600) t(i)"
        )
        (root / "folder").mkdir()
        c.execute(f"COPY events TO '{root}/all.parquet'")
        c.execute(f"COPY events TO '{root}/all.csv'")
        for part in (0, 1):
            c.execute(
                f"COPY (SELECT * FROM events WHERE CAST(amount / 1.5 AS INTEGER) % 2 = {part}) TO '{root}/folder/{part}.parquet'"
            )
    with Workspace.create(root / "imported") as workspace:
        workspace.import_events([root / "all.csv"], user="uid", time="ts", event="name")
    return root


def pointed(root, folder, source):
    (root / folder).mkdir(exist_ok=True)
    (root / folder / "upswing.yml").write_text(f"schema: 1\nsource:\n  {source}\n  {COLUMNS}\n")
    return root / folder


def ask(folder, *arguments):
    _register()
    done = CliRunner().invoke(cli, [*map(str, arguments), "--json", "-w", str(folder)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    body = json.loads(done.stdout)
    for key in ("timings", "engine", "sql"):
        body.pop(key, None)
    return body


ASKED = (
    ("funnel", "--step", "view", "--step", "支付[amount > 50]", "--within", "7d", "--by", "platform"),
    ("retention", "--start", "view", "--period", "day", "--periods", "3"),
    ("lifecycle", "--period", "day", "--by", "platform"),
    ("paths", "--session-gap", "2h"),
    ("distribution", "--event", "支付", "--measure", "sum", "--property", "amount"),
    ("users", "--of", "lifecycle", "--period", "day", "--in", "2026-01-07", "--state", "new"),
)


@pytest.mark.parametrize("arguments", ASKED, ids=[a[0] for a in ASKED])
@pytest.mark.parametrize(
    "source",
    [
        "path: ../all.parquet",
        "path: ../folder",
        "path: ../folder/*.parquet",
        "path: ../warehouse.duckdb\n  table: events",
    ],
)
def test_answers_are_those_of_an_import(root, source, arguments):
    folder = pointed(root, "pointed", source)
    assert ask(folder, *arguments) == ask(root / "imported", *arguments)


def test_the_catalogue_of_what_is_there(root):
    folder = pointed(root, "pointed", "path: ../folder")
    found, truth = ask(folder, "events"), ask(root / "imported", "events")
    assert found["events"] == truth["events"]
    assert [(p["name"], p["filled"]) for p in found["properties"]] == [("platform", 600), ("amount", 600)]
    assert dict(found["properties"][0]["top"]) == {"ios": 300, "web": 300}
    assert [w["code"] for w in found["warnings"]] == ["not_checked"]


@pytest.mark.parametrize("verb", [("import", "all.csv"), ("alias", "a", "b"), ("compact",), ("quarantine",)])
def test_nothing_is_written_to_it(root, verb):
    folder = pointed(root, "pointed", "path: ../folder")
    before = {p: p.stat().st_mtime_ns for p in (root / "folder").iterdir()}
    _register()
    done = CliRunner().invoke(cli, [*verb, "-w", str(folder)], standalone_mode=False)
    assert isinstance(done.exception, UpswingError)
    assert done.exception.code == "UP708"
    assert {p: p.stat().st_mtime_ns for p in (root / "folder").iterdir()} == before


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("path: ../nowhere.parquet", "UP702", "nothing to read"),
        ("path: ../nowhere.duckdb\n  table: events", "UP702", "nothing to read"),
        ("path: ../warehouse.duckdb", "UP316", "which table"),
        ("path: ../warehouse.duckdb\n  table: evnts", "UP317", "did you mean 'events'"),
        ("path: ../broken.parquet", "UP325", "truncated"),
        ("path: ../all.parquet\n  columns: {time: ts, user: uidd, event: name}", "UP313", "did you mean 'uid'"),
        ("path: ../all.parquet\n  columns: {time: platform, user: uid, event: name}", "UP330", "holds no times"),
    ],
)
def test_what_cannot_be_read(root, source, code, words):
    (root / "broken.parquet").write_bytes((root / "all.parquet").read_bytes()[:900])
    folder = root / "broken"
    folder.mkdir(exist_ok=True)
    (folder / "upswing.yml").write_text(
        f"schema: 1\nsource:\n  {source}\n" + ("" if "columns" in source else f"  {COLUMNS}\n")
    )
    with pytest.raises(UpswingError) as caught:
        ask(folder, "lifecycle")
    assert caught.value.code == code
    assert words in str(caught.value)


def test_a_server_that_cannot_be_reached(tmp_path):
    pytest.importorskip("clickhouse_connect")
    (tmp_path / "upswing.yml").write_text(
        "schema: 1\nengine: {type: clickhouse, url: 'clickhouse://reader:secret@127.0.0.1:1/app'}\n"
    )
    with pytest.raises(UpswingError) as caught:
        ask(tmp_path, "lifecycle")
    assert caught.value.code == "UP702"
    assert "secret" not in str(caught.value)


def test_a_password_comes_from_the_environment(tmp_path, monkeypatch):
    driver = pytest.importorskip("clickhouse_connect")
    said = {}

    def get_client(**options):
        said.update(options)
        raise ConnectionError("nobody there")

    monkeypatch.setattr(driver, "get_client", get_client)
    monkeypatch.delenv("APP_PASSWORD", raising=False)
    (tmp_path / "upswing.yml").write_text(
        "schema: 1\nengine: {type: clickhouse, url: 'clickhouse://reader:${APP_PASSWORD}@db.internal:8124/app'}\n"
    )
    with pytest.raises(UpswingError) as caught:
        ask(tmp_path, "lifecycle")
    assert caught.value.code == "UP820"
    monkeypatch.setenv("APP_PASSWORD", "p@ss/word")
    with pytest.raises(UpswingError) as caught:
        ask(tmp_path, "lifecycle")
    assert caught.value.code == "UP702"
    assert "p@ss" not in str(caught.value)
    assert (said["password"], said["host"], said["port"], said["username"]) == (
        "p@ss/word",
        "db.internal",
        8124,
        "reader",
    )
