"""``upswing.yml``: what holds for the whole workspace."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from upswing.core.calendar import Calendar, WeekStart
from upswing.core.errors import UpswingError
from upswing.spec.base import DurationField, Mistake, Spec
from upswing.spec.operations import JobsSpec, KeepRule, NotifySpec


class EngineSpec(Spec):
    """Where the events are."""

    type: Literal["duckdb", "clickhouse", "spark", "external"] = Field(default="duckdb", description="Kind of engine.")
    path: str = Field(default="data/events.duckdb", description="The embedded log, relative to the workspace.")
    url: str | None = Field(default=None, description="Server URL; secrets only as ${ENV}.")
    memory: str | None = Field(default=None, description="Memory limit of the engine, e.g. 4GB.")


class SourceColumns(Spec):
    """Which columns of an existing table mean what."""

    time: str = Field(description="Column with the time of the event.")
    user: str = Field(description="Column with the user's id.")
    event: str | None = Field(default=None, description="Column with the event's name.")
    event_id: str | None = Field(default=None, description="Column that identifies the event.")


class SourceSpec(Spec):
    """Events that exist already: a Parquet file or folder, or a table of a DuckDB file. Nothing is imported."""

    path: str = Field(description="Parquet file, glob or folder, or a DuckDB file.")
    table: str | None = Field(default=None, description="Table inside a DuckDB file.")
    columns: SourceColumns = Field(description="Which columns mean what.")
    event_name: str | None = Field(default=None, description="Event name for tables that hold one kind of event.")
    timezone: str | None = Field(default=None, description="Zone of naive times; the workspace's otherwise.")


class WorkspaceSpec(Spec):
    """The workspace: clock, money, language, engine."""

    # `schema` would hide pydantic's own attribute of that name
    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of the file format.")
    project: str = Field(default="workspace", description="Shown name of the workspace.")
    timezone: str = Field(default="UTC", description="Zone in which days begin, e.g. Asia/Shanghai.")
    week_start: WeekStart = Field(default="monday", description="First day of the week.")
    currency: str = Field(default="CNY", pattern="^[A-Z]{3}$", description="ISO 4217 code of money amounts.")
    locale: Literal["en", "zh-CN"] = Field(default="en", description="Language of pages and reports.")
    session_gap: DurationField = Field(
        default="30m", validate_default=True, description="Idle time that ends a session."
    )
    engine: EngineSpec = Field(default_factory=EngineSpec, description="Where the events are.")
    source: SourceSpec | None = Field(default=None, description="Point at existing data instead of importing.")
    facts: str | None = Field(
        default=None,
        description="Database of run-time facts, postgresql://…; secrets only as ${ENV}. SQLite if absent.",
    )
    keep: list[KeepRule] = Field(default_factory=list, description="How long events are kept; for ever if absent.")
    notify: NotifySpec = Field(default_factory=NotifySpec, description="Who is told when something needs people.")
    jobs: JobsSpec = Field(default_factory=JobsSpec, description="What a server does by itself, and how often.")
    milestones: list[str] = Field(default_factory=list, description="Events of the main path, in order, for reports.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            Calendar(value)
        except UpswingError as error:
            raise Mistake.of(error) from None
        return value

    @property
    def calendar(self) -> Calendar:
        """Zone and week start."""
        return Calendar(self.timezone, self.week_start)
