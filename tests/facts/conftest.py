"""Run-time facts on both databases: every test that asks for `facts` runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.facts.postgres import cluster, why_not
from upswing.facts.database import Facts


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real costs take a tenth of a second per password."""
    from argon2 import PasswordHasher

    from upswing.facts import passwords

    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    passwords._nobody.cache_clear()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def facts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Facts]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()
    with Facts.open(tmp_path, url) as opened:
        yield opened
