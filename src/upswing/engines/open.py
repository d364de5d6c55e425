"""Which engine a workspace uses."""

from __future__ import annotations

from pathlib import Path

from upswing.engines.base import Engine
from upswing.spec.project import WorkspaceSpec


def open_engine(root: str | Path, project: WorkspaceSpec | None = None) -> Engine:
    """The engine of a workspace.

    Args:
        root: the workspace's folder.
        project: its settings; default: the embedded log at its usual place.

    Raises:
        EngineError: the log cannot be opened.
    """
    from upswing.engines.duckdb import DuckDBEngine

    settings = project or WorkspaceSpec()
    return DuckDBEngine.open(Path(root) / settings.engine.path, memory_limit=settings.engine.memory)
