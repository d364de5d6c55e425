"""An open workspace: its folder, log and definitions, and what every room's verbs read their arguments with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from upswing.core.errors import EngineError, UsageError
from upswing.core.i18n import set_locale, text
from upswing.core.private import keep_private, private_folder
from upswing.spec.base import UNNAMED, Definition
from upswing.spec.definitions import PROJECT_FILE, Definitions, load_project
from upswing.spec.files import write_yaml
from upswing.spec.project import WorkspaceSpec
from upswing.spec.validation import validated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from upswing.events.log import EventLog
    from upswing.events.segments import SegmentResolver
    from upswing.events.store import EventStore
    from upswing.spec.funnel import FunnelDefinition
    from upswing.spec.predicates import ExpressionCondition
    from upswing.spec.segment import SegmentDefinition
    from upswing.spec.steps import EventMatch


Moment = str | None
D = TypeVar("D", bound=Definition)


class OpenWorkspace:
    """A folder with definitions and an event log, open for questions.

    Args:
        root: the folder; it holds ``upswing.yml``.
        project: what ``upswing.yml`` says.
    """

    def __init__(self, root: Path, project: WorkspaceSpec) -> None:
        self.root = root
        self.project = project
        self._log: EventLog | None = None
        self._definitions: Definitions | None = None

    # -- opening and preparing ------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: str | Path, **settings: Any) -> Self:
        """Make a workspace: the folder, ``upswing.yml`` and an empty log.

        Args:
            folder: where; made if missing.
            settings: keys of ``upswing.yml``, e.g. ``timezone="Asia/Shanghai"``, ``currency="CNY"``.

        Raises:
            UsageError: UP601 there is a workspace already.
            DefinitionError: a setting that is not valid, e.g. UP620 for a time zone that does not exist.
        """
        root = Path(folder)
        if (root / PROJECT_FILE).exists():
            raise UsageError(text("'{folder}' is a workspace already", folder=root), code="UP601")
        project = validated(
            WorkspaceSpec, {"project": root.resolve().name or "workspace", **settings}, what=PROJECT_FILE
        )
        root.mkdir(parents=True, exist_ok=True)
        write_yaml(root / PROJECT_FILE, _written(project))
        workspace = cls(root, project)
        if project.engine.type == "duckdb" and project.source is None:
            from upswing.events.store import EventStore

            private_folder(root / "data")
            EventStore.create(workspace.log_path).close()
        return workspace

    @classmethod
    def open(cls, folder: str | Path = ".") -> Self:
        """Open a workspace.

        Raises:
            UsageError: UP602 the folder is not a workspace.
            DefinitionError: ``upswing.yml`` has problems; all are listed.
        """
        root = Path(folder)
        return cls(root, load_project(root))

    @property
    def log_path(self) -> Path:
        """The embedded log's file."""
        return self.root / self.project.engine.path

    @property
    def log(self) -> EventLog:
        """The event log, opened for reading when first asked for."""
        if self._log is None:
            from upswing.engines.open import open_engine
            from upswing.events.log import EventLog

            self._log = EventLog(open_engine(self.root, self.project), self.project.calendar)
        return self._log

    @property
    def definitions(self) -> Definitions:
        """All definitions of the workspace's files."""
        if self._definitions is None:
            self._definitions = Definitions.load(self.root)
        return self._definitions

    def close(self) -> None:
        """Let go of the log's file."""
        if self._log is not None:
            self._log.engine.close()
            self._log = None
        self._definitions = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def use_locale(self) -> None:
        """Speak the workspace's language from here on."""
        set_locale(self.project.locale)

    # -- segments and definitions, for the rooms' verbs ------------------------------------------------------------

    @property
    def imports(self) -> bool:
        """Whether the workspace has an event log of its own, rather than events that are only read where they are."""
        return self.project.source is None and self.project.engine.type == "duckdb"

    def _require_own_log(self) -> None:
        if not self.imports:
            raise EngineError(text("the events of this workspace are kept elsewhere and only read"), code="UP708")

    def _reading(self) -> EventStore:
        """The log's own tables, for reading: other readers are not kept out."""
        import duckdb

        from upswing.engines.source import open_error
        from upswing.events.store import EventStore

        self._require_own_log()
        self.log.require_events()
        self.close()
        try:
            return EventStore(self.log_path, duckdb.connect(str(self.log_path), read_only=True))
        except duckdb.Error as error:
            raise open_error(error, self.log_path) from None

    def _writing(self) -> AbstractContextManager[EventStore]:
        """The log for writing: nobody else has it meanwhile."""
        from upswing.events.store import EventStore

        self._require_own_log()
        self.close()
        keep_private(self.root / "data")
        return EventStore.open(self.log_path, memory=self.project.engine.memory)

    def _resolver(self) -> SegmentResolver:
        from upswing.events.segments import SegmentResolver

        return SegmentResolver(self.log, self._segment_definition, self.root)

    def _segment_definition(self, name: str) -> SegmentDefinition:
        from upswing.spec.segment import SegmentDefinition

        return self.definitions.get("segment", name, SegmentDefinition)

    def _users(self, segment: str | None, stop: Moment) -> NDArray[np.int64] | None:
        """Users of a segment, named or written as a condition; None = everybody."""
        if segment is None:
            return None
        from upswing.spec.segment import SegmentDefinition

        if segment in self.definitions.by_kind.get("segment", {}) or segment.isidentifier():
            definition = self._segment_definition(segment)
        else:
            definition = SegmentDefinition(name=UNNAMED, all=[_expression(segment, "segment")])
        as_of = None if stop is None else self.log.calendar.instant(stop)
        return self._resolver().users(definition, as_of=as_of)

    def _comparison(self, by: str | None, stop: Moment) -> tuple[str | None, tuple[str, NDArray[np.int64]] | None]:
        """``segment:NAME`` as a segment to compare with everybody else; anything else is a property."""
        if by is None or not by.startswith("segment:"):
            return by, None
        name = by.removeprefix("segment:")
        users = self._users(name, stop)
        assert users is not None
        return None, (name, users)

    def _match(self, written: str | Mapping[str, Any] | EventMatch, what: str) -> EventMatch:
        from upswing.spec.steps import EventMatch, parse_match

        if isinstance(written, EventMatch):
            return written
        if isinstance(written, Mapping):
            return validated(EventMatch, written, what=what)
        return parse_match(written, known=self.log.schema.events, what=what)

    def _funnel_definition(self, name: str | None, options: Options) -> FunnelDefinition:
        from upswing.core.units import Duration
        from upswing.spec.funnel import FunnelDefinition
        from upswing.spec.steps import Step, parse_step

        known = self.log.schema.events
        steps = options.take("steps")
        if steps is not None:
            made = [
                parse_step(s, known=known) if isinstance(s, str) else validated(Step, s, what="step") for s in steps
            ]
            options.set("steps", made)
        if options.get("within") is not None:
            options.set("window", Duration.parse(options.take("within"), what="within"))
        attribution = options.get("attribution")
        if isinstance(attribution, str) and attribution.isdigit():
            options.set("attribution", int(attribution))
        excluded = options.take("exclude", [])
        if excluded:
            options.set("exclude", [_exclusion(e, len(options.get("steps") or ()), known) for e in excluded])
        where = options.take("where")
        if where is not None:
            options.set("where", _conditions(where))
        return self._definition("funnel", FunnelDefinition, name, options, needed="--step EVENT --step EVENT")

    def _definition(self, kind: str, model: type[D], name: str | None, options: Options, *, needed: str | None) -> D:
        """The named definition with the given keys changed, or a new one from the keys alone."""
        if name is not None:
            base = self.definitions.get(kind, name, model)
            changed = {**{k: getattr(base, k) for k in base.model_fields_set}, **options.rest()}
        else:
            changed = {"name": UNNAMED, **options.rest()}
            if needed is not None and len(changed) == 1:
                known = self.definitions.by_kind.get(kind, {})
                raise UsageError(
                    text("no {kind} asked for", kind=kind),
                    code="UP604",
                    hint=text("give {needed}, or a name: {names}", needed=needed, names=", ".join(known) or "–"),
                )
        return validated(model, changed, what=kind)


class Options:
    """Keyword arguments that are taken one by one; what is left goes into a definition."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {k: v for k, v in given.items() if v is not None}

    def take(self, key: str, default: Any = None) -> Any:
        """Remove an argument and return it."""
        return self._given.pop(key, default)

    def get(self, key: str) -> Any:
        """An argument that stays."""
        return self._given.get(key)

    def set(self, key: str, value: Any) -> None:
        """Give or replace an argument."""
        self._given[key] = value

    def rest(self) -> dict[str, Any]:
        """What was not taken."""
        return dict(self._given)


def _conditions(written: str | Mapping[str, Any] | Sequence[Any]) -> list[Any]:
    """Conditions as written on the command line, or as in YAML: one or several."""
    if isinstance(written, str):
        return [_expression(written, "where")]
    return [written] if isinstance(written, Mapping) else list(written)


def _expression(written: str, place: str) -> ExpressionCondition:
    from upswing.spec.predicates import ExpressionCondition
    from upswing.sql.expressions import parse_predicate

    parse_predicate(written, place=place)  # so that the message says where it stands
    return ExpressionCondition(expr=written)


def _exclusion(written: str | Mapping[str, Any], n_steps: int, known: Mapping[str, int]) -> dict[str, Any]:
    """Read ``EVENT`` or ``EVENT@2-3``."""
    from upswing.spec.steps import parse_match

    if isinstance(written, Mapping):
        return dict(written)
    event, _, places = written.rpartition("@") if written not in known and "@" in written else (written, "", "")
    match = parse_match(event, known=known, what="exclusion").model_dump(exclude_none=True)
    first, _, last = places.partition("-")
    if places and not (first.isdigit() and last.isdigit()):
        raise UsageError(
            text("exclusion '{written}' is not readable", written=written),
            code="UP631",
            hint=text("write EVENT, or EVENT@2-3 for between step 2 and step 3"),
        )
    return {**match, "between": [int(first), int(last)] if places else [1, n_steps or 2]}


def _written(project: WorkspaceSpec) -> dict[str, Any]:
    """What ``upswing.yml`` says at the start: the settings people change first."""
    body = project.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    first = {"schema": 1, "project": project.project, "timezone": project.timezone, "week_start": project.week_start,
             "currency": project.currency, "locale": project.locale}  # fmt: skip
    return {**first, **body}
