"""Which engine a workspace uses."""

from __future__ import annotations

from pathlib import Path

from upswing.core.environment import with_environment
from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.engines.base import Engine
from upswing.engines.duckdb import DuckDBEngine
from upswing.engines.external import ExternalEvents
from upswing.spec.project import SourceSpec, WorkspaceSpec


def open_engine(root: str | Path, project: WorkspaceSpec | None = None) -> Engine:
    """The engine of a workspace.

    Args:
        root: the workspace's folder; or the URL ``clickhouse://…`` or ``chdb://…`` of an engine by itself.
        project: the workspace's settings; default: the embedded log at its usual place.

    Raises:
        DefinitionError: UP820 the URL names an environment variable that is not set.
        EngineError: UP701 locked, UP702 cannot be opened, UP706 an engine that is not available here.
    """
    if isinstance(root, str) and "://" in root:
        return _by_url(root)
    settings = project or WorkspaceSpec()
    if settings.engine.url is not None:
        return _by_url(with_environment(settings.engine.url, what="engine.url", in_url=True))
    if settings.engine.type in ("clickhouse", "spark"):
        raise EngineError(
            text("engine '{kind}' needs a URL", kind=settings.engine.type),
            code="UP706",
            hint=text("set engine.url in upswing.yml"),
        )
    if settings.source is not None:
        folder = Path(root) / "data" / "source.spine"
        events = _external(Path(root), settings.source, settings.timezone)
        return DuckDBEngine.external(events, spine_dir=folder, memory_limit=settings.engine.memory)
    return DuckDBEngine.open(Path(root) / settings.engine.path, memory_limit=settings.engine.memory)


def _external(root: Path, source: SourceSpec, zone: str) -> ExternalEvents:
    columns = source.columns
    return ExternalEvents(
        path=root / Path(source.path).expanduser(),
        time=columns.time,
        user=columns.user,
        event=columns.event,
        event_name=source.event_name,
        event_id=columns.event_id,
        table=source.table,
        timezone=source.timezone or zone,
    )


def _by_url(url: str) -> Engine:
    scheme = url.split("://", 1)[0]
    if scheme in ("clickhouse", "clickhouses", "chdb"):
        from upswing.engines.clickhouse import ClickHouseEngine

        return ClickHouseEngine.open(url)
    raise EngineError(
        text("no engine for '{scheme}://'", scheme=scheme),
        code="UP706",
        hint=text("use clickhouse://user@host/database, or chdb:///folder"),
    )
