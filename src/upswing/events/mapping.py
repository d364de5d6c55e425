"""Which column is the user, the time, the event: named by the caller, or proposed from names and content and shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from upswing.core.errors import DataError, UsageError, did_you_mean
from upswing.core.i18n import Text, text

Role = Literal["user", "time", "event", "event_id", "channel"]
ROLES: Final[tuple[Role, ...]] = ("user", "time", "event", "event_id", "channel")

_NAMES: Final[dict[Role, tuple[str, ...]]] = {
    # Best first; compared without case, blanks and punctuation.
    "user": (
        "user_id", "userid", "uid", "distinct_id", "user", "customer_id", "customerid", "member_id", "visitor_id",
        "account_id", "client_id", "anonymous_id", "device_id", "player_id", "person_id", "actor_id", "fullvisitorid",
        "case:concept:name", "case_id", "customer", "member", "visitor", "household_key", "username", "src",
        "用户id", "用户编号", "用户标识", "用户", "会员id", "会员编号", "会员", "客户id", "客户编号", "客户",
        "账号", "设备id", "openid",
    ),
    "time": (
        "timestamp", "event_time", "eventtime", "event_timestamp", "occurred_at", "time", "time:timestamp", "ts",
        "datetime", "date_time", "created_at", "createdat", "received_at", "sent_at", "server_time", "client_time",
        "eventdatetime", "time_stamp", "transaction_timestamp", "date", "event_date", "day", "unixtime",
        "时间", "事件时间", "发生时间", "时间戳", "触发时间", "创建时间", "日期", "下单时间",
    ),
    "event": (
        "event", "event_name", "eventname", "event_type", "concept:name", "activity", "action", "action_type",
        "event_action", "behavior", "behaviour", "behavior_type", "page", "operation",
        "事件", "事件名", "事件名称", "行为", "行为类型", "动作", "操作",
    ),
    "event_id": (
        "event_id", "eventid", "insert_id", "$insert_id", "message_id", "messageid", "uuid", "event_uuid", "dedup_id",
        "事件id", "事件编号", "消息id", "_track_id",
    ),
    "channel": (
        "channel", "utm_source", "acquisition_channel", "traffic_source", "media_source", "source_channel",
        "creation_source", "source", "渠道", "来源", "推广渠道", "来源渠道", "获客渠道",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """What the columns of a file mean. What is None is proposed from the file.

    Args:
        user: column with the user's id.
        time: column with the time.
        event: column with the event's name.
        event_id: column that identifies an event, so that repeats are recognised.
        channel: column with the acquisition channel; it becomes the property ``channel``.
        event_name: the name of every event, for a file that holds one kind of event and has no such column.
        time_format: ``iso``, ``s``, ``ms``, ``us``, ``ns`` or a strptime pattern.
        encoding: encoding of a text file, recognised when None.
    """

    user: str | None = None
    time: str | None = None
    event: str | None = None
    event_id: str | None = None
    channel: str | None = None
    event_name: str | None = None
    time_format: str | None = None
    encoding: str | None = None

    def column(self, role: Role) -> str | None:
        """The column of a role."""
        found: str | None = getattr(self, role)
        return found

    def to_dict(self) -> dict[str, str]:
        """What is set, as plain data."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Proposal:
    """The mapping that an import will use, to be shown before it does.

    Args:
        source: the file.
        mapping: every role that was named or found.
        guessed: the roles that were not named by the caller.
        properties: the other columns, which become properties.
        time_format: how the time is written.
        timezone: zone of times that carry none.
    """

    source: str
    mapping: ColumnMapping
    guessed: tuple[Role, ...]
    properties: tuple[str, ...]
    time_format: str
    timezone: str

    def lines(self) -> list[Text]:
        """The proposal in words."""
        found = [
            text("{role}: column '{column}'{how}", role=role, column=self.mapping.column(role), how=self._how(role))
            for role in ROLES
            if self.mapping.column(role) is not None
        ]
        if self.mapping.event_name is not None:
            found.append(text("every row is the event '{event}'", event=self.mapping.event_name))
        found.append(
            text("times: {format}, without a zone read as {zone}", format=self.time_format, zone=self.timezone)
        )
        if self.properties:
            found.append(text("properties: {names}", names=", ".join(self.properties)))
        return found

    def __str__(self) -> str:
        head = str(text("{source} is read as", source=self.source))
        return "\n".join([head, *(f"  {line}" for line in self.lines())])

    def _how(self, role: Role) -> Text | str:
        return text(" (proposed)") if role in self.guessed else ""


def resolve_mapping(
    columns: Sequence[str],
    given: ColumnMapping | None,
    *,
    source: str,
    looks: Mapping[str, frozenset[str]] | None = None,
) -> tuple[ColumnMapping, tuple[Role, ...]]:
    """Complete a mapping from the names of a file's columns.

    Args:
        columns: names of the columns.
        given: what the caller named; it overrides everything.
        source: the file, named in errors.
        looks: what the content of a column looks like: ``time``, ``number`` or ``text``; guards guesses by name.

    Returns:
        The mapping, and the roles that were guessed.

    Raises:
        UsageError: UP321 a named column is not in the file.
        DataError: UP322 no column can be taken for the user, the time or the event.

    Examples:
        >>> found, guessed = resolve_mapping(["uid", "ts", "行为"], None, source="a.csv")
        >>> found.user, found.time, found.event
        ('uid', 'ts', '行为')
    """
    mapping = given or ColumnMapping()
    taken: set[str] = set()
    for role in ROLES:
        column = mapping.column(role)
        if column is not None:
            exact = _exact(column, columns, source, role)
            mapping = replace(mapping, **{role: exact})
            taken.add(exact)
    guessed: list[Role] = []
    for role in ROLES:
        if mapping.column(role) is not None or (role == "event" and mapping.event_name is not None):
            continue
        found = _guess(role, [c for c in columns if c not in taken], looks or {})
        if found is not None:
            mapping = replace(mapping, **{role: found})
            taken.add(found)
            guessed.append(role)
    _require(mapping, columns, source)
    return mapping, tuple(guessed)


def likely_time(columns: Sequence[str], given: ColumnMapping | None) -> str | None:
    """The column that is named as the time, or named like one."""
    if given is not None and given.time is not None:
        return next((c for c in columns if c.casefold() == (given.time or "").casefold()), None)
    return _guess("time", columns, {})


def _exact(column: str, columns: Sequence[str], source: str, role: Role) -> str:
    if column in columns:
        return column
    folded = [c for c in columns if c.casefold() == column.casefold()]
    if len(folded) == 1:
        return folded[0]
    raise UsageError(
        text("{source} has no column '{column}' for the {role}", source=source, column=column, role=role),
        code="UP321",
        hint=did_you_mean(column, columns),
    )


def _plain(column: str) -> str:
    return re.sub(r"[\s_\-.]+", "", column.strip().casefold())


def _guess(role: Role, columns: Sequence[str], looks: Mapping[str, frozenset[str]]) -> str | None:
    by_plain: dict[str, str] = {}
    for column in columns:
        by_plain.setdefault(_plain(column), column)
        by_plain.setdefault(_plain(column.rsplit(".", 1)[-1]), column)  # nested: properties.channel
    named = [by_plain[_plain(n)] for n in _NAMES[role] if _plain(n) in by_plain]
    if role == "time":
        fitting = [c for c in named if "time" in looks.get(c, frozenset(["time"]))]
        only_times = [c for c in columns if "time" in looks.get(c, frozenset()) and "number" not in looks[c]]
        return fitting[0] if fitting else (only_times[0] if len(only_times) == 1 else None)
    if role == "event":
        named = [c for c in named if looks.get(c, frozenset(["text"])) & {"text"}]
    return named[0] if named else None


def _require(mapping: ColumnMapping, columns: Sequence[str], source: str) -> None:
    missing = [role for role in ("user", "time", "event") if getattr(mapping, role) is None]
    if mapping.event_name is not None and "event" in missing:
        missing.remove("event")
    if not missing:
        return
    options = {"user": "--user", "time": "--time", "event": "--event (or --event-name, if all rows are one event)"}
    raise DataError(
        text("no column of {source} can be taken for: {roles}", source=source, roles=", ".join(missing)),
        code="UP322",
        hint=text(
            "name it with {options}; the columns are {columns}",
            options=", ".join(options[role] for role in missing),
            columns=", ".join(f"'{c}'" for c in list(columns)[:30]),
        ),
    )
