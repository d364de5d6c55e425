"""One open workspace: every verb, each a thin call into a room of the house.

>>> from upswing import Workspace
>>> ws = Workspace.create("/tmp/acme", timezone="Asia/Shanghai")   # doctest: +SKIP
>>> ws.import_events(["events.csv"], user="uid", time="ts")        # doctest: +SKIP
>>> ws.funnel(steps=["view", "pay[amount > 50]"], within="7d")     # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from upswing.core.errors import Problems, UsageError
from upswing.core.i18n import set_locale, text
from upswing.spec.definitions import PROJECT_FILE, Definitions, load_project
from upswing.spec.files import write_yaml
from upswing.spec.project import WorkspaceSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from upswing.core.results import Result
    from upswing.core.units import Period
    from upswing.diagnose.distribution import DistributionResult
    from upswing.diagnose.funnel import FunnelResult
    from upswing.diagnose.intervals import IntervalResult
    from upswing.diagnose.lifecycle import LifecycleResult
    from upswing.diagnose.paths_result import PathsResult
    from upswing.diagnose.retention_result import RetentionResult
    from upswing.diagnose.review import GrowthReview
    from upswing.diagnose.stickiness import StickinessResult
    from upswing.events.log import EventLog
    from upswing.events.segments import SegmentResolver
    from upswing.events.store import EventStore
    from upswing.events.summary import ImportSummary
    from upswing.spec.funnel import FunnelDefinition
    from upswing.spec.segment import SegmentDefinition
    from upswing.spec.steps import EventMatch

Moment = str | None


class Workspace:
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
    def create(cls, folder: str | Path, **settings: Any) -> Workspace:
        """Make a workspace: the folder, ``upswing.yml`` and an empty log.

        Args:
            folder: where; made if missing.
            settings: keys of ``upswing.yml``, e.g. ``timezone="Asia/Shanghai"``, ``currency="CNY"``.

        Raises:
            UsageError: UP601 there is a workspace already.
        """
        root = Path(folder)
        if (root / PROJECT_FILE).exists():
            raise UsageError(text("'{folder}' is a workspace already", folder=root), code="UP601")
        project = WorkspaceSpec.model_validate({"project": root.resolve().name or "workspace", **settings})
        root.mkdir(parents=True, exist_ok=True)
        write_yaml(root / PROJECT_FILE, _written(project))
        workspace = cls(root, project)
        if project.engine.type == "duckdb" and project.source is None:
            from upswing.events.store import EventStore

            (root / "data").mkdir(exist_ok=True)
            EventStore.create(workspace.log_path).close()
        return workspace

    @classmethod
    def open(cls, folder: str | Path = ".") -> Workspace:
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

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def use_locale(self) -> None:
        """Speak the workspace's language from here on."""
        set_locale(self.project.locale)

    # -- data in --------------------------------------------------------------------------------------------------

    def import_events(
        self,
        paths: Sequence[str | Path],
        *,
        user: str | None = None,
        time: str | None = None,
        event: str | None = None,
        channel: str | None = None,
        event_id: str | None = None,
        event_name: str | None = None,
        time_format: str | None = None,
        encoding: str | None = None,
        progress: Callable[..., None] | None = None,
        on_proposal: Callable[..., None] | None = None,
    ) -> ImportSummary:
        """Import event files: CSV, JSON lines, Parquet, globs, or ``-`` for standard input.

        Columns that are not named are proposed from the file. A bad row goes to quarantine with its reason; importing the
        same file again adds nothing; an interruption at any moment leaves the log as it was.

        Returns:
            What was read, added, found twice and set aside.
        """
        from upswing.events.importer import import_files
        from upswing.events.mapping import ColumnMapping
        from upswing.events.store import EventStore

        self.close()
        mapping = ColumnMapping(
            user=user,
            time=time,
            event=event,
            channel=channel,
            event_id=event_id,
            event_name=event_name,
            time_format=time_format,
            encoding=encoding,
        )
        with EventStore.open(self.log_path) as store:
            return import_files(
                store,
                [str(p) for p in paths],
                mapping=mapping,
                calendar=self.project.calendar,
                progress=progress,
                on_proposal=on_proposal,
            )

    def alias(
        self,
        alias: str | None = None,
        canonical: str | None = None,
        *,
        valid_from: Moment = None,
        file: str | Path | None = None,
        remove: bool = False,
    ) -> int:
        """Say that two ids are one user, from a moment on; applied when questions are asked, so it can be taken back.

        Args:
            alias: the other id, e.g. an anonymous device.
            canonical: the user's id.
            valid_from: from this moment on; always, if absent.
            file: CSV with columns alias, canonical and, if known, valid_from.
            remove: take it back.

        Returns:
            Number of aliases added or removed.
        """
        from upswing.events.identity import add_aliases, read_aliases, remove_aliases
        from upswing.events.store import EventStore

        self.close()
        if file is None and (alias is None or canonical is None):
            raise UsageError(
                text("give an alias and the id it stands for"), code="UP606", hint=text("upswing alias DEVICE USER")
            )
        calendar = self.project.calendar
        with EventStore.open(self.log_path) as store:
            rows = read_aliases(Path(file), calendar) if file is not None else [(alias, canonical, valid_from)]
            if remove:
                return remove_aliases(store, rows, calendar=calendar)
            return add_aliases(store, rows, calendar=calendar)

    def compact(self) -> None:
        """Rewrite the log in one run, ordered by user and time."""
        from upswing.events.compact import compact
        from upswing.events.store import EventStore

        self.close()
        with EventStore.open(self.log_path) as store:
            compact(store)

    def check(self, *, data: bool = False) -> Problems:
        """Every problem of the definitions; with `data`, also events and properties that the log does not have."""
        from upswing.spec.references import check_references

        found = Problems([*self.definitions.problems])
        names = self.log.schema if data else None
        check_references(
            self.definitions,
            found,
            events=None if names is None else list(names.events),
            properties=None if names is None else list(names.properties),
        )
        return found

    # -- questions ------------------------------------------------------------------------------------------------

    def funnel(self, name: str | None = None, *, by: str | None = None, **question: Any) -> FunnelResult:
        """How many users get from one step to the next, and where they are lost.

        Args:
            name: a funnel of the workspace; or give `steps`.
            by: property to break down by; ``segment:NAME`` compares a segment with everybody else.
            question: steps, within, order, count, exclude, exclusion_policy, hold, tie, profile, where, attribution,
                trend, start, stop, limit, segment; see ``upswing funnel --help``.
        """
        from upswing.diagnose.funnel import funnel

        options = _Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        attribution = options.take("attribution")
        attribution = int(attribution) if isinstance(attribution, str) and attribution.isdigit() else attribution
        trend, limit = options.take("trend"), options.take("limit", 10)
        definition = self._funnel_definition(name, options)
        by, compared = self._comparison(by, stop)
        return funnel(
            self.log,
            definition,
            start=start,
            stop=stop,
            by=by,
            limit=limit,
            attribution=attribution,
            trend=trend,
            users=self._users(segment, stop),
            segment=compared,
        )

    def retention(self, name: str | None = None, *, by: str | None = None, **question: Any) -> RetentionResult:
        """How many users come back, by the period in which they began.

        Args:
            name: a retention of the workspace; or give `start_event` and `return_event`.
            by: property to break down by, at its value at the start.
            question: start_event, return_event, period, periods, at, clock, entry, first_ever, min_count, sum, start, stop,
                limit, segment; see ``upswing retention --help``.
        """
        from upswing.diagnose.retention import retention
        from upswing.spec.retention import RetentionDefinition

        options = _Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        limit = options.take("limit", 10)
        if options.take("first_ever", False):
            options.set("entry", "first-ever")
        first, back = options.take("start_event"), options.take("return_event")
        if first is not None:
            options.set("start", self._match(first, "start"))
            options.set("returning", self._match(back or first, "return"))
        definition = self._definition("retention", RetentionDefinition, name, options, needed="--start EVENT")
        return retention(
            self.log, definition, start=start, stop=stop, by=by, limit=limit, users=self._users(segment, stop)
        )

    def lifecycle(
        self,
        *,
        event: str = "*",
        period: Period = "week",
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
    ) -> LifecycleResult:
        """New, returning, resurrecting and dormant users by period; the four add up."""
        from upswing.diagnose.lifecycle import lifecycle

        match = self._match(event, "event")
        return lifecycle(
            self.log,
            match,
            period=period,
            start=start,
            stop=stop,
            users=self._users(segment, stop),
        )

    def stickiness(
        self,
        *,
        event: str = "*",
        period: Literal["week", "month"] = "week",
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
    ) -> StickinessResult:
        """On how many days of a period users are active, with DAU/WAU and DAU/MAU beside it."""
        from upswing.diagnose.stickiness import stickiness

        match = self._match(event, "event")
        return stickiness(
            self.log,
            match,
            period=period,
            start=start,
            stop=stop,
            users=self._users(segment, stop),
        )

    def paths(self, name: str | None = None, **question: Any) -> PathsResult:
        """What users do after, before, or between two events."""
        from upswing.diagnose.paths import paths
        from upswing.spec.paths import PathsDefinition

        options = _Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        for key in ("after", "before"):
            if options.get(key) is not None:
                options.set(key, self._match(options.take(key), key))
        if options.take("repeats", False):
            options.set("collapse", False)
        groups = options.take("group", [])
        if groups:
            options.set("group", dict(_pair(g) for g in groups))
        definition = self._definition("paths", PathsDefinition, name, options, needed=None)
        return paths(self.log, definition, start=start, stop=stop, users=self._users(segment, stop))

    def interval(
        self,
        *,
        event: str,
        then: str | None = None,
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
    ) -> IntervalResult:
        """How long users take from one event to the next (or to the same one again)."""
        from upswing.diagnose.intervals import interval

        first = self._match(event, "event")
        second = first if then is None else self._match(then, "then")
        return interval(self.log, first, second, start=start, stop=stop, users=self._users(segment, stop))

    def distribution(
        self,
        *,
        event: str,
        measure: str = "count",
        property: str | None = None,  # noqa: A002 - the field's word
        bands: str | Sequence[float] | None = None,
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
    ) -> DistributionResult:
        """Users by how often they did something, or how much."""
        from upswing.diagnose.distribution import distribution

        bounds = [float(b) for b in bands.split(",")] if isinstance(bands, str) else bands
        return distribution(
            self.log,
            self._match(event, "event"),
            measure=measure.replace("-", "_"),  # type: ignore[arg-type]
            property=property,
            bands=bounds,
            start=start,
            stop=stop,
            users=self._users(segment, stop),
        )

    def events(self, event: str | None = None) -> Result:
        """What is in the log: events and properties with volumes, and findings about data quality."""
        from upswing.diagnose.catalogue import describe_events

        with self._reading() as store:
            return describe_events(store, self.project.calendar, event)

    def segments(self, name: str | None = None, *, stop: Moment = None) -> Result:
        """Segments of the workspace with their sizes."""
        from upswing.diagnose.people import describe_segments

        named = self.definitions.by_kind.get("segment", {})
        chosen = [self._segment_definition(name)] if name else list(named.values())
        return describe_segments(self.log, self._resolver(), chosen, stop=stop)  # type: ignore[arg-type]

    def users(self, **question: Any) -> Result:
        """Who stands behind a number: users of a segment or at a funnel step; `save` makes them a segment."""
        from upswing.diagnose.people import list_users

        options = _Options(question)
        save, limit = options.take("save"), options.take("limit", 100)
        start, stop = options.take("start"), options.take("stop")
        keys, source = self._chosen_users(options, start, stop)
        if save:
            self.save_segment(str(save), keys, description=str(source))
        return list_users(self.log, keys, source=source, limit=limit, start=start, stop=stop, saved=save)

    def metrics(self, names: Sequence[str] = (), **question: Any) -> Result:
        """Metrics of the workspace over time."""
        from upswing.metrics.series import metric_series
        from upswing.spec.metric import MetricDefinition

        options = _Options(question)
        segment, stop = options.take("segment"), options.get("stop")
        known = self.definitions.by_kind.get("metric", {})
        chosen = [self.definitions.get("metric", n, MetricDefinition) for n in (names or known)]
        return metric_series(self.log, chosen, users=self._users(segment, stop), **options.rest())

    def quarantine(self, *, reason: str | None = None, limit: int = 50) -> Result:
        """Rows that could not be imported, with reason and line."""
        from upswing.diagnose.catalogue import describe_quarantine

        with self._reading() as store:
            return describe_quarantine(store, self.project.calendar, reason=reason, limit=limit)

    def report(
        self,
        *,
        milestones: Sequence[str] = (),
        dimensions: Sequence[str] = (),
        within: str | None = None,
        start: Moment = None,
        stop: Moment = None,
        progress: Callable[[object], None] | None = None,
    ) -> GrowthReview:
        """Where is growth lost? Milestones, funnel, retention, lifecycle, slow steps and ranked weak points.

        Args:
            milestones: events of the main path, in order; those of ``upswing.yml`` or proposed from the events if absent.
            dimensions: properties to compare groups by; chosen if absent.
            within: conversion window.
            start: first moment.
            stop: end, exclusive.
            progress: told the name of each part as it begins.
        """
        from upswing.diagnose.review import review

        return review(
            self.log,
            milestones=milestones or self.project.milestones,
            dimensions=dimensions,
            within=within,
            start=start,
            stop=stop,
            progress=progress,
        )

    def _reading(self) -> EventStore:
        """The log's own tables, for reading: other readers are not kept out."""
        import duckdb

        from upswing.engines.source import open_error
        from upswing.events.store import EventStore

        self.log.require_events()
        self.close()
        try:
            return EventStore(self.log_path, duckdb.connect(str(self.log_path), read_only=True))
        except duckdb.Error as error:
            raise open_error(error, self.log_path) from None

    # -- segments -------------------------------------------------------------------------------------------------

    def save_segment(self, name: str, keys: NDArray[np.int64], *, description: str | None = None) -> Path:
        """Save users as a segment: a file under ``segments/`` and their ids under ``segments/NAME.txt``."""
        from upswing.spec.segment import SegmentDefinition

        listed = f"segments/{name}.txt"
        body: dict[str, Any] = {"kind": "segment", "name": name, "all": [{"users_file": listed}]}
        if description:
            body["description"] = description
        SegmentDefinition.model_validate(body)
        folder = self.root / "segments"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.txt").write_text("\n".join(self.log.user_ids(keys)) + "\n", encoding="utf-8")
        write_yaml(folder / f"{name}.yml", body)
        self._definitions = None
        return folder / f"{name}.yml"

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
        from upswing.spec.predicates import ExpressionCondition
        from upswing.spec.segment import SegmentDefinition

        if segment in self.definitions.by_kind.get("segment", {}) or segment.isidentifier():
            definition = self._segment_definition(segment)
        else:
            definition = SegmentDefinition(name="written", all=[ExpressionCondition(expr=segment)])
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

    def _chosen_users(self, options: _Options, start: Moment, stop: Moment) -> tuple[NDArray[np.int64], object]:
        import numpy as np

        segment, at, dropped = options.take("segment"), options.take("at"), options.take("dropped", False)
        name = options.take("funnel")
        if name or options.get("steps"):
            from upswing.diagnose.funnel import users_at

            definition = self._funnel_definition(name, options)
            step = len(definition.steps) if at is None else int(at)
            keys = users_at(
                self.log, definition, step, dropped=dropped, start=start, stop=stop, users=self._users(segment, stop)
            )
            shown = definition.steps[step - 1].shown
            source = (
                text("did not reach step {n} ({step})", n=step, step=shown)
                if dropped
                else text("reached step {n} ({step})", n=step, step=shown)
            )
            return np.asarray(keys), source
        if segment is None:
            raise UsageError(
                text("whose users? give a segment or a funnel"),
                code="UP603",
                hint=text("--segment NAME, or --step … --at N"),
            )
        users = self._users(segment, stop)
        assert users is not None
        return users, text("segment {name}", name=segment)

    # -- definitions ----------------------------------------------------------------------------------------------

    def _match(self, written: str | Mapping[str, Any] | EventMatch, what: str) -> EventMatch:
        from upswing.spec.steps import EventMatch, parse_match

        if isinstance(written, EventMatch):
            return written
        if isinstance(written, Mapping):
            return EventMatch.model_validate(written)
        return parse_match(written, known=self.log.schema.events, what=what)

    def _funnel_definition(self, name: str | None, options: _Options) -> FunnelDefinition:
        from upswing.spec.funnel import FunnelDefinition
        from upswing.spec.predicates import ExpressionCondition
        from upswing.spec.steps import Step, parse_step

        known = self.log.schema.events
        steps = options.take("steps")
        if steps is not None:
            made = [parse_step(s, known=known) if isinstance(s, str) else Step.model_validate(s) for s in steps]
            options.set("steps", made)
        if options.get("within") is not None:
            options.set("window", options.take("within"))
        excluded = options.take("exclude", [])
        if excluded:
            options.set("exclude", [_exclusion(e, len(options.get("steps") or ()), known) for e in excluded])
        where = options.take("where")
        if isinstance(where, str):
            options.set("where", [ExpressionCondition(expr=where)])
        definition: FunnelDefinition = self._definition(
            "funnel", FunnelDefinition, name, options, needed="--step EVENT --step EVENT"
        )
        return definition

    def _definition(self, kind: str, model: Any, name: str | None, options: _Options, *, needed: str | None) -> Any:
        """The named definition with the given keys changed, or a new one from the keys alone."""
        from pydantic import ValidationError

        if name is not None:
            base = self.definitions.get(kind, name, model)
            changed = {**{k: getattr(base, k) for k in base.model_fields_set}, **options.rest()}
        else:
            changed = {"name": "written", **options.rest()}
            if needed is not None and len(changed) == 1:
                known = self.definitions.by_kind.get(kind, {})
                raise UsageError(
                    text("no {kind} asked for", kind=kind),
                    code="UP604",
                    hint=text("give {needed}, or a name: {names}", needed=needed, names=", ".join(known) or "–"),
                )
        try:
            return model.model_validate(changed)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(p) for p in first["loc"])
            cause = str(first["msg"]).removeprefix("Value error, ")
            raise UsageError(text("{key}: {cause}", key=where or kind, cause=cause), code="UP605") from None


class _Options:
    """Keyword arguments that are taken one by one; what is left goes into a definition."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {k: v for k, v in given.items() if v is not None}

    def take(self, key: str, default: Any = None) -> Any:
        return self._given.pop(key, default)

    def get(self, key: str) -> Any:
        return self._given.get(key)

    def set(self, key: str, value: Any) -> None:
        self._given[key] = value

    def rest(self) -> dict[str, Any]:
        return dict(self._given)


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


def _pair(written: str) -> tuple[str, str]:
    name, sign, pattern = written.partition("=")
    if not sign or not name or not pattern:
        raise UsageError(
            text("group '{written}' is not readable", written=written), code="UP632", hint=text("write NAME=pattern*")
        )
    return name, pattern


def _written(project: WorkspaceSpec) -> dict[str, Any]:
    """What ``upswing.yml`` says at the start: the settings people change first."""
    body = project.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    first = {"schema": 1, "project": project.project, "timezone": project.timezone, "week_start": project.week_start,
             "currency": project.currency, "locale": project.locale}  # fmt: skip
    return {**first, **body}
