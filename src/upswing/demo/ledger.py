"""Collects simulated events piece by piece and lays them out as one Arrow table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from upswing.demo.clock import Times, micros
from upswing.demo.model import CITY_TIERS, EVENTS, PLATFORMS, VERSIONS, Model
from upswing.demo.people import People

Users = NDArray[np.int64]

CATEGORIES: Final = ("food", "transport", "shopping", "housing", "leisure", "health", "education", "salary")
SCREENS: Final = ("welcome", "signup", "home", "entry", "budget", "report", "paywall", "invite")
ERRORS: Final = ("sms_timeout", "code_rejected", "save_failed", "network")

_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
_WORD: Final = pa.dictionary(pa.int8(), pa.string())
_SCREEN_OF: Final = {
    "onboarding_viewed": "welcome",
    "goal_chosen": "welcome",
    "signup_started": "signup",
    "code_resent": "signup",
    "phone_verified": "signup",
    "account_created": "signup",
    "app_opened": "home",
    "entry_created": "entry",
    "budget_set": "budget",
    "report_viewed": "report",
    "paywall_viewed": "paywall",
    "order_paid": "paywall",
    "invitation_sent": "invite",
}

EVENT_SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user", _TEXT, nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("event", _WORD, nullable=False),
        pa.field("channel", _WORD),
        pa.field("platform", _WORD),
        pa.field("app_version", _WORD),
        pa.field("city_tier", _WORD),
        pa.field("push_enabled", pa.bool_()),
        pa.field("screen", _WORD),
        pa.field("duration_ms", pa.int64()),
        pa.field("entry_amount", pa.float64()),
        pa.field("category", _WORD),
        pa.field("plan", _WORD),
        pa.field("amount", pa.float64()),
        pa.field("error_code", _WORD),
        pa.field("inviter", _TEXT),
    ]
)
"""Columns of the event table. Text columns are dictionary-encoded; `amount` and `entry_amount` are in CNY."""

ALIAS_SCHEMA: Final = pa.schema(
    [
        pa.field("alias", pa.string(), nullable=False),
        pa.field("canonical", pa.string(), nullable=False),
        pa.field("valid_from", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
"""Columns of the identity table: device id, user id, moment of account creation."""


@dataclass(frozen=True, slots=True)
class _Piece:
    event: int
    users: Users
    times: Times
    properties: Mapping[str, NDArray[Any]]


@dataclass(slots=True)
class Ledger:
    """Events of one block of users. Users are numbered from 0 within the block."""

    pieces: list[_Piece] = field(default_factory=list)

    def add(self, event: str, users: Users, times: Times, **properties: NDArray[Any]) -> None:
        """Add one event per row. Properties: numbers as they are, words as indices into their vocabulary."""
        self.pieces.append(_Piece(EVENTS.index(event), users, times, properties))

    def table(self, people: People, *, model: Model, first_row: int) -> pa.Table:
        """The events before the end of the simulated span, in time order, tracking break applied, as `EVENT_SCHEMA`."""
        events = np.repeat([p.event for p in self.pieces], [len(p.times) for p in self.pieces]).astype(np.int8)
        users = np.concatenate([p.users for p in self.pieces])
        times = np.concatenate([p.times for p in self.pieces])
        keep = np.flatnonzero((times < micros(model.end)) & ~_untracked(events, users, times, people, model))
        rows = keep[np.argsort(times[keep], kind="stable")]
        events, users, times = events[rows], users[rows], times[rows]
        columns = self._properties(rows, model)
        columns |= _traits(users, times, people, model)
        columns["event_id"] = _event_ids(first_row, len(rows))
        columns["time"] = pa.array(times, type=EVENT_SCHEMA.field("time").type)
        columns["event"] = _words(events, EVENTS)
        columns["screen"] = _words(_screens()[events], SCREENS)
        inviters = people.inviter[users]
        accepted = events == EVENTS.index("invitation_accepted")
        columns["inviter"] = _texts(np.where(accepted, inviters, -1), people.user_ids())
        return pa.table({name: columns[name] for name in EVENT_SCHEMA.names}, schema=EVENT_SCHEMA)

    def _properties(self, rows: NDArray[np.int64], model: Model) -> dict[str, pa.Array]:
        columns: dict[str, pa.Array] = {}
        for name in ("duration_ms", "entry_amount", "amount"):
            values = self._gather(name, np.nan, np.float64)[rows]
            columns[name] = pa.array(values, from_pandas=True).cast(EVENT_SCHEMA.field(name).type)
        for name, vocabulary in (("category", CATEGORIES), ("plan", model.plans), ("error_code", ERRORS)):
            columns[name] = _words(self._gather(name, -1, np.int8)[rows], vocabulary)
        return columns

    def _gather(self, name: str, missing: float, dtype: type[np.generic]) -> NDArray[Any]:
        total = sum(len(p.times) for p in self.pieces)
        values = np.full(total, missing, dtype=dtype)
        start = 0
        for piece in self.pieces:
            if name in piece.properties:
                values[start : start + len(piece.times)] = piece.properties[name]
            start += len(piece.times)
        return values


def _untracked(events: NDArray[np.int8], users: Users, times: Times, people: People, model: Model) -> NDArray[np.bool_]:
    lost: NDArray[np.bool_] = (
        (events == EVENTS.index(model.untracked_event))
        & (people.platform[users] == PLATFORMS.index(model.untracked_platform))
        & (times >= micros(model.untracked_from))
        & (times < micros(model.untracked_until))
    )
    return lost


def _traits(users: Users, times: Times, people: People, model: Model) -> dict[str, pa.Array]:
    """Columns that follow from who acts and when. Before the account, an anonymous user is known by the device."""
    account = people.account[users]
    as_device = people.anonymous[users] & ((account < 0) | (times < account))
    names = pa.concat_arrays([people.user_ids(), people.device_ids()])
    return {
        "user": _texts(np.where(as_device, users + len(people), users), names),
        "channel": _words(people.channel[users], tuple(model.channels)),
        "platform": _words(people.platform[users], PLATFORMS),
        "app_version": _words(people.version_at(users, times, model), VERSIONS),
        "city_tier": _words(people.city[users], CITY_TIERS),
        "push_enabled": pa.array(people.push[users]),
    }


def _words(codes: NDArray[np.integer[Any]], vocabulary: tuple[str, ...]) -> pa.Array:
    indices = pa.array(codes.astype(np.int8), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(vocabulary))


def _texts(codes: NDArray[np.int64], names: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=codes < 0), names)


def _event_ids(first: int, n: int) -> pa.Array:
    # one leading digit keeps all ids the same length without padding each of them
    numbers = pa.array(np.arange(first, first + n, dtype=np.int64) + 10**12).cast(pa.string())
    return pc.binary_join_element_wise("e", numbers, "")


def _screens() -> NDArray[np.int8]:
    return np.array([SCREENS.index(_SCREEN_OF[e]) if e in _SCREEN_OF else -1 for e in EVENTS], dtype=np.int8)
