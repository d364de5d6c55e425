"""One process, one DuckDB instance: questions and writers of a served workspace share it.

DuckDB lets one process open a file for writing, and one instance inside it attach the file. So the server attaches the
log once and everything works on connections of that instance: questions side by side with a writer's transaction (MVCC),
at most one writer at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import duckdb

from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.engines.duckdb import DuckDBEngine, connect
from upswing.engines.open import open_engine
from upswing.engines.source import EmbeddedSource, attach
from upswing.events.log import EventLog
from upswing.events.store import EventStore
from upswing.spec.definitions import load_project
from upswing.spec.project import WorkspaceSpec
from upswing.workspace import Workspace

if TYPE_CHECKING:
    from upswing.engines.base import Engine


class Storage:
    """The events of a served workspace.

    Examples:
        >>> storage = Storage.open(Path("acme"))               # doctest: +SKIP
        >>> with storage.question() as workspace:              # doctest: +SKIP
        ...     workspace.funnel("signup")
        >>> with storage.writing() as store:                   # doctest: +SKIP
        ...     store.count("SELECT count(*) FROM events")
    """

    def __init__(self, root: Path, project: WorkspaceSpec, instance: duckdb.DuckDBPyConnection | None) -> None:
        self.root = root
        self.project = project
        self._instance = instance
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._writer = threading.Lock()

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open a workspace for serving; the log's file is held until `close`.

        Raises:
            UsageError: UP602 the folder is not a workspace.
            EngineError: UP701 another process has the log open.
        """
        project = load_project(root)
        embedded = project.engine.type == "duckdb" and project.engine.url is None and project.source is None
        if not embedded:
            return cls(root, project, None)
        path = root / project.engine.path
        instance = connect(path.parent, memory_limit=project.engine.memory)
        try:
            attach(instance, path, read_only=False)
        except EngineError:
            instance.close()
            raise
        return cls(root, project, instance)

    @property
    def log_path(self) -> Path:
        """The embedded log's file."""
        return self.root / self.project.engine.path

    @property
    def embedded(self) -> bool:
        """Whether the events are in the workspace's own log, so that this process can write them."""
        return self._instance is not None

    def close(self) -> None:
        """Let go of the log's file; waits for a writer to end."""
        with self._writer, self._lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
            if self._instance is not None:
                self._instance.close()
                self._instance = None

    @contextmanager
    def question(self) -> Iterator[Workspace]:
        """The workspace as of now, for one question."""
        workspace = ServedWorkspace(self)
        try:
            yield workspace
        finally:
            workspace.close()

    @contextmanager
    def writing(self) -> Iterator[EventStore]:
        """The log for writing: one writer at a time, others wait; readers do not.

        Raises:
            EngineError: UP708 the events are elsewhere and only read.
        """
        with self._writer:
            store = SharedStore(self.log_path, self.connect())
            try:
                yield store
            finally:
                store.close()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A further connection to the instance, with the log's tables as its own. To be closed by the caller.

        Raises:
            EngineError: UP708 the events are elsewhere and only read.
        """
        if self._instance is None:
            raise EngineError(text("the events of this workspace are kept elsewhere and only read"), code="UP708")
        connection = self._instance.cursor()
        connection.execute("USE log.main")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")
        return connection

    def engine(self) -> Engine:
        """The engine for questions."""
        with self._lock:
            if self._engine is None:
                self._engine = self._opened()
            return self._engine

    def version(self) -> str:
        """The version of the data that a question asked now would see."""
        return self.engine().schema().version

    def _opened(self) -> Engine:
        if self._instance is None:
            return open_engine(self.root, self.project)
        path = self.log_path
        own = self._instance.cursor()
        source = EmbeddedSource(own, path, read_only=False)
        return DuckDBEngine(own, source, spine_dir=path.with_suffix(".spine"))


class SharedStore(EventStore):
    """The log's tables on a connection of the shared instance."""

    def close(self) -> None:
        """Let go of the connection; the file and what others spill stay."""
        self.connection.close()


class ServedWorkspace(Workspace):
    """A workspace whose events are those of the server's instance; cheap to make, one for each question."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage.root, load_project(storage.root))
        self._storage = storage

    @property
    def log(self) -> EventLog:
        """The event log."""
        if self._log is None:
            self._log = EventLog(self._storage.engine(), self.project.calendar)
        return self._log

    def close(self) -> None:
        """Forget what was read; the instance stays."""
        self._log = None
        self._definitions = None

    def _reading(self) -> EventStore:
        self.log.require_events()
        connection = self._storage.connect()
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return SharedStore(self.log_path, connection)
