"""The database of run-time facts: SQLite in the workspace by default, PostgreSQL by URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, select
from sqlalchemy import text as sql_text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from upswing.core.environment import with_environment
from upswing.core.errors import DefinitionError, EngineError, UpswingError
from upswing.core.i18n import text
from upswing.core.private import keep_private, private_folder
from upswing.facts.alerts import Alerts
from upswing.facts.annotations import Annotations
from upswing.facts.audit import Audit
from upswing.facts.jobs import Jobs
from upswing.facts.keys import Keys
from upswing.facts.migrations import LATEST, STEPS
from upswing.facts.people import People
from upswing.facts.secrets import Secrets
from upswing.facts.sessions import Sessions
from upswing.facts.tables import METADATA, VERSION
from upswing.facts.tokens import Tokens

DEFAULT_FILE: Final = Path("data") / "facts.sqlite"
_LOCKS: Final = {name: f"LOCK TABLE {name} IN EXCLUSIVE MODE" for name in METADATA.tables}


class Facts:
    """Open run-time facts. Thread-safe: every call takes a connection of its own from the pool.

    Args:
        engine: the database.
        folder: folder of the workspace's own data, where the key of the secrets is kept.

    Examples:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> facts = Facts.open(pathlib.Path(folder.name), None)
        >>> facts.people.any()
        False
        >>> facts.people.add("lin@example.com", role="admin", password="correct horse battery").role
        'admin'
        >>> facts.people.any()
        True
        >>> facts.close(); folder.cleanup()
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.people = People(self)
        self.sessions = Sessions(self)
        self.tokens = Tokens(self)
        self.keys = Keys(self)
        self.audit = Audit(self)
        self.jobs = Jobs(self)
        self.secrets = Secrets(self)
        self.alerts = Alerts(self)
        self.annotations = Annotations(self)

    @classmethod
    def open(cls, root: Path, url: str | None = None) -> Facts:
        """Open the facts of a workspace; the tables are made or brought up to date.

        Args:
            root: folder of the workspace.
            url: ``postgresql://user:${PGPASSWORD}@host/name``; None = ``data/facts.sqlite`` in the workspace.

        Raises:
            DefinitionError: UP820 the URL cannot be read, or names an environment variable that is not set.
            EngineError: UP821 the database cannot be reached, or was made by a newer version.
        """
        folder = private_folder(root / "data")
        engine = _sqlite(root / DEFAULT_FILE) if url is None else _by_url(url)
        try:
            with engine.begin() as connection:
                _bring_up_to_date(connection)
        except SQLAlchemyError as error:
            engine.dispose()
            raise EngineError(
                text("the database of run-time facts cannot be opened: {cause}", cause=_cause(error)), code="UP821"
            ) from None
        except UpswingError:
            engine.dispose()
            raise
        return cls(engine, folder)

    @property
    def sqlite_path(self) -> Path | None:
        """The database's file; None on PostgreSQL."""
        name = self.engine.url.database
        return Path(name) if self.engine.dialect.name == "sqlite" and name else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that reads one consistent state."""
        with _engine_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, alone: Table | None = None) -> Iterator[Connection]:
        """A transaction: all or nothing.

        Args:
            alone: a table that nobody else may write meanwhile, where what is written depends on all its rows. (SQLite
                has one writer anyway.)
        """
        with (
            _engine_errors(),
            self.engine.connect().execution_options(upswing_writes=True) as connection,
            connection.begin(),
        ):
            if alone is not None and connection.dialect.name == "postgresql":
                connection.execute(sql_text(_LOCKS[alone.name]))
            yield connection

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def __enter__(self) -> Facts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sqlite(path: Path) -> Engine:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # hashes of passwords are nobody else's business
    keep_private(path)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connected(connection: object, _: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # transactions begin below, not in the driver
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute("PRAGMA " + setting)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # a reader that later wants to write could be refused half-way; a writer takes its place at once
        writes = connection.get_execution_options().get("upswing_writes", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine.execution_options(upswing_writes=False)


def _by_url(url: str) -> Engine:
    try:
        made = make_url(with_environment(url, what="facts.url", in_url=True))
    except ArgumentError:
        raise DefinitionError(text("facts.url is not a database URL"), code="UP820") from None  # it may hold a password
    if made.get_backend_name() == "postgresql":
        made = made.set(drivername="postgresql+psycopg")
    elif made.get_backend_name() != "sqlite":
        raise DefinitionError(
            text(
                "facts.url names '{kind}'; run-time facts are kept in SQLite or PostgreSQL",
                kind=made.get_backend_name(),
            ),
            code="UP820",
        )
    if made.get_backend_name() == "sqlite":
        return _sqlite(Path(made.database or ""))
    try:
        return create_engine(made, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    except ImportError:
        raise EngineError(
            text("PostgreSQL needs its driver"), code="UP706", hint=text("pip install 'upswing[postgres]'")
        ) from None


def _bring_up_to_date(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # two servers may start at once
        connection.execute(sql_text("SELECT pg_advisory_xact_lock(7309453)"))
    if not inspect(connection).has_table(VERSION.name):
        METADATA.create_all(connection)
        connection.execute(VERSION.insert().values(version=LATEST))
        return
    found = connection.execute(select(VERSION.c.version)).scalar_one()
    if found > LATEST:
        raise EngineError(
            text("the run-time facts were written by a newer version of Upswing"),
            code="UP821",
            hint=text("install that version, or open a backup made before"),
        )
    for number in range(found + 1, LATEST + 1):
        STEPS[number](connection)
    connection.execute(VERSION.update().values(version=LATEST))


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise EngineError(
            text("the database of run-time facts failed: {cause}", cause=_cause(error)), code="UP822"
        ) from None


def _cause(error: SQLAlchemyError) -> str:
    """The driver's own words, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0][:300]
