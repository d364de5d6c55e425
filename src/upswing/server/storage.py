"""One process, one DuckDB instance: questions and writers of a served workspace share it.

DuckDB lets one process open a file for writing, and one instance inside it attach the file. So the server attaches the
log once and everything works on connections of that instance: questions side by side with a writer's transaction (MVCC),
at most one writer at a time. A question sees the log as of one moment (`engines.live`).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar, cast

import duckdb

from upswing.core.errors import EngineError, UpswingError
from upswing.core.i18n import text
from upswing.core.private import keep_private
from upswing.engines.duckdb import connect
from upswing.engines.live import LiveLog, LogRewrittenError
from upswing.engines.open import open_engine
from upswing.engines.source import attach_log
from upswing.events.log import EventLog
from upswing.events.store import EventStore
from upswing.server.observe import LOG
from upswing.server.watching import Watched
from upswing.spec.definitions import Definitions, load_project
from upswing.spec.project import WorkspaceSpec
from upswing.workspace import Workspace

if TYPE_CHECKING:
    from upswing.engines.base import Engine

T = TypeVar("T")
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Moment:
    """A workspace at one moment: what a question sees from its first statement to its last.

    Args:
        project: what ``upswing.yml`` says.
        definitions: the other files.
        engine: the events.
        stamp: changes whenever an answer may change.
    """

    project: WorkspaceSpec
    definitions: Definitions
    engine: Engine
    stamp: str


class Storage:
    """The events and definitions of a served workspace.

    Examples:
        >>> storage = Storage.open(Path("acme"))               # doctest: +SKIP
        >>> with storage.question() as workspace:              # doctest: +SKIP
        ...     workspace.funnel("signup")
        >>> with storage.writing() as store:                   # doctest: +SKIP
        ...     store.count("SELECT count(*) FROM events")
    """

    def __init__(
        self,
        root: Path,
        project: WorkspaceSpec,
        instance: duckdb.DuckDBPyConnection | None,
        *,
        fresh_seconds: float = 2.0,
    ) -> None:
        self.root = root
        self.project = project
        self._fresh_seconds = fresh_seconds
        self._instance = instance
        self._elsewhere: Engine | None = None
        self._live: LiveLog | None = None
        self._files: tuple[str, WorkspaceSpec, Definitions] | None = None
        self._lock = threading.Lock()
        self._writer = threading.Lock()

    @classmethod
    def open(cls, root: Path, *, fresh_seconds: float = 2.0) -> Self:
        """Open a workspace for serving; the log's file is held until `close`.

        Args:
            root: the folder.
            fresh_seconds: rows that others write are in answers after about this long.

        Raises:
            UsageError: UP602 the folder is not a workspace.
            EngineError: UP701 another process has the log open.
        """
        project = load_project(root)
        if project.engine.type != "duckdb" or project.engine.url is not None or project.source is not None:
            return cls(root, project, None)
        keep_private(root / "data")
        path = root / project.engine.path
        instance = connect(path.parent, memory_limit=project.engine.memory)
        try:
            attach_log(instance, path, read_only=False)
        except EngineError:
            instance.close()
            raise
        made = cls(root, project, instance, fresh_seconds=fresh_seconds)
        made._live = made._read_from(instance)
        return made

    @property
    def log_path(self) -> Path:
        """The embedded log's file."""
        return self.root / self.project.engine.path

    @property
    def embedded(self) -> bool:
        """Whether the events are in the workspace's own log, so that this process can write them."""
        return self._live is not None

    def close(self) -> None:
        """Let go of the log's file; waits for a writer to end."""
        with self._writer, self._lock:
            if self._elsewhere is not None:
                self._elsewhere.close()
                self._elsewhere = None
            if self._instance is not None:
                self._instance.close()
                self._instance = None

    # -- questions ------------------------------------------------------------------------------------------------

    def moment(self) -> Moment:
        """The workspace as of now; events that come in without pause may be some seconds old."""
        engine = self._engine()
        stamp, project, definitions = self._read_files()
        return Moment(project, definitions, engine, f"{stamp}-{engine.schema().version}")

    @contextmanager
    def question(self) -> Iterator[Workspace]:
        """The workspace as of now, for one question."""
        with ServedWorkspace(self, self.moment()) as workspace:
            yield workspace

    def answer(self, work: Callable[[Workspace], T], moment: Moment | None = None) -> T:
        """Ask the workspace, again if the log was rewritten meanwhile.

        Args:
            work: the question.
            moment: as of when; now if absent.
        """
        for _ in range(_TRIES - 1):
            try:
                with ServedWorkspace(self, moment or self.moment()) as workspace:
                    return work(workspace)
            except LogRewrittenError:
                self.refresh()
            except (EngineError, duckdb.Error):
                if not self._reopened():
                    raise
            moment = None
        with self.question() as workspace:
            return work(workspace)

    def settings(self) -> WorkspaceSpec:
        """What ``upswing.yml`` says now; events are not looked at."""
        return self._read_files()[1]

    def refresh(self) -> None:
        """Let the next question see everything that is written."""
        if self._live is not None:
            self._live.refresh()

    def problem(self) -> str | None:
        """Why questions cannot be answered now; None if they can."""
        try:
            self.moment()
        except UpswingError as error:
            return str(error.message)
        return None

    def column_bytes(self) -> int:
        """Memory of the columns that questions read: about 13 bytes for each event of the log."""
        return 0 if self._live is None else self._live.column_bytes()

    def engine_bytes(self) -> int:
        """Memory of DuckDB, mostly blocks of the log that it keeps at hand, within ``engine.memory``."""
        if self._instance is None:
            return 0
        try:
            with self._instance.cursor() as cursor:
                row = cursor.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchone()
        except duckdb.Error:
            return 0
        return int(row[0] or 0) if row else 0

    def _engine(self) -> Engine:
        if self._live is not None:
            try:
                return self._live.engine()
            except (EngineError, duckdb.Error):
                if not self._reopened():
                    raise
                return self._live.engine()
        with self._lock:
            if self._elsewhere is None:
                self._elsewhere = open_engine(self.root, self.project)
            return self._elsewhere

    def _read_files(self) -> tuple[str, WorkspaceSpec, Definitions]:
        """Definitions are read again only when a file has changed."""
        stamp = _fingerprint(self.root)
        with self._lock:
            if self._files is None or self._files[0] != stamp:
                self._files = (stamp, load_project(self.root), Definitions.load(self.root))
            return self._files

    # -- writing --------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[EventStore]:
        """The log for writing: one writer at a time, others wait; readers do not.

        Raises:
            EngineError: UP708 the events are elsewhere and only read.
        """
        with self._writer:
            self._reopened()
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

    def _reopened(self) -> bool:
        """Open the log's file again if the engine has given it up, as it does when the disk is full at a bad moment.

        Raises:
            EngineError: UP702 it cannot be opened yet, e.g. as there is still no room.
        """
        with self._lock:
            if self._instance is None or _in_use(self._instance):
                return False
            try:
                with self._instance.cursor() as cursor:
                    cursor.execute("DETACH DATABASE IF EXISTS log")
            except duckdb.Error:  # not only the file but the engine takes no more statements
                self._instance.close()
                self._instance = connect(self.log_path.parent, memory_limit=self.project.engine.memory)
                self._live = self._read_from(self._instance)
            attach_log(self._instance, self.log_path, read_only=False)
            LOG.warning("the engine had given the log up; it is open again")
            return True

    def _read_from(self, instance: duckdb.DuckDBPyConnection) -> LiveLog:
        watched = cast("duckdb.DuckDBPyConnection", Watched(instance))
        return LiveLog(watched, self.log_path, fresh_seconds=self._fresh_seconds)


class SharedStore(EventStore):
    """The log's tables on a connection of the shared instance."""

    def close(self) -> None:
        """Let go of the connection; the file and what others spill stay."""
        self.connection.close()


class ServedWorkspace(Workspace):
    """A workspace at one moment, on the server's instance; cheap to make, one for each question."""

    def __init__(self, storage: Storage, moment: Moment) -> None:
        super().__init__(storage.root, moment.project)
        self._storage = storage
        self._log = EventLog(moment.engine, moment.project.calendar)
        self._definitions = moment.definitions

    def close(self) -> None:
        """Nothing to let go of: events and definitions are shared."""

    def _reading(self) -> EventStore:
        self.log.require_events()
        connection = self._storage.connect()
        connection.execute("BEGIN TRANSACTION READ ONLY")  # several statements, one moment
        return SharedStore(self.log_path, connection)

    def _writing(self) -> AbstractContextManager[EventStore]:
        return self._storage.writing()


def _in_use(instance: duckdb.DuckDBPyConnection) -> bool:
    """Whether the engine still has the log; other mistakes than having given it up are told by whoever makes them."""
    try:
        with instance.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM log.main.log_meta").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.ConnectionException, duckdb.FatalException):
        return False
    except duckdb.Error as error:
        return "invalidated" not in str(error)
    return True


def _fingerprint(root: Path) -> str:
    """Names, sizes and times of change of the workspace's files, data and hidden ones left out."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and (folder != str(root) or f != "data"))
        for name in sorted(files):
            try:
                facts = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - many files, often
            except OSError:
                continue
            found.append((folder, name, facts.st_size, facts.st_mtime_ns))
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]
