"""Results, arguments and errors between two processes of ours, as JSON that keeps their types.

Unlike a pickle it can make nothing but plain values, and dataclasses, models and errors of this package: no code runs.
Fields that tie a result to its log (those left out of comparison) are not carried; they come back as their default.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import inspect
import math
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel

from upswing.core.errors import UpswingError
from upswing.core.i18n import Text

Wire = None | bool | int | float | str | list["Wire"] | dict[str, "Wire"]
"""What JSON can carry. Dictionaries have one key that begins with ``$`` and says what they stand for."""

_PACKAGE: Final = "upswing"


def encode(value: object) -> Wire:
    """A value as JSON can carry it.

    Raises:
        TypeError: a value that has no form here, e.g. a function.

    Examples:
        >>> encode((1, float("nan")))
        {'$tuple': [1, {'$float': 'nan'}]}
        >>> decode(encode({"when": date(2026, 1, 2)}))
        {'when': datetime.date(2026, 1, 2)}
    """
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": str(float(value))}
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, list):
        return [encode(v) for v in value]
    if isinstance(value, tuple | set | frozenset):
        return {f"${type(value).__name__}": [encode(v) for v in value]}
    if isinstance(value, Mapping):
        return {"$map": [[encode(k), encode(v)] for k, v in value.items()]}
    return _encode_object(value)


def decode(wire: Wire) -> Any:
    """The value that was encoded.

    Raises:
        ValueError: not something that `encode` makes.
    """
    if isinstance(wire, list):
        return [decode(v) for v in wire]
    if not isinstance(wire, dict):
        return wire
    if len(wire) != 1:
        raise ValueError("an object on the wire has one key")
    ((kind, body),) = wire.items()
    if kind in _READERS:
        return _READERS[kind](body)
    raise ValueError(f"unknown kind {kind[:40]!r}")


def detached(value: Any) -> Any:
    """A result without what ties it to its log, and without the memory that takes; nested ones too."""
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(detached(v) for v in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changes = {f.name: _default(f) for f in dataclasses.fields(value) if not f.compare and _has_default(f)}
    for f in dataclasses.fields(value):
        held = getattr(value, f.name)
        if f.name not in changes and (dataclasses.is_dataclass(held) or type(held) is tuple):
            changes[f.name] = detached(held)
    if all(getattr(value, name) is new for name, new in changes.items()):
        return value
    return _made(type(value), {f.name: getattr(value, f.name) for f in dataclasses.fields(value)} | changes)


def _encode_object(value: object) -> Wire:
    if type(value) is Text:
        return {"$text": [value.message, encode(value.values)]}
    if isinstance(value, Text):  # one that makes its own words, e.g. a number with its unit: from what it holds
        held: Wire = {"$map": [[name, encode(getattr(value, name))] for name in _slots(type(value))]}
        return {"$words": [_name(type(value)), held]}
    if isinstance(value, datetime):
        zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
        return {"$time": [value.isoformat(), zone]}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        packed = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"$array": [value.dtype.str, list(value.shape), packed]}
    if isinstance(value, UpswingError):
        facts = {"code": value.code, "message": value.message, "hint": value.hint, "problems": value.problems}
        return {"$error": [_name(type(value)), encode(facts)]}
    if isinstance(value, BaseModel):
        fields: Wire = {"$map": [[name, encode(getattr(value, name))] for name in type(value).model_fields]}
        return {"$model": [_name(type(value)), fields, [*sorted(value.model_fields_set)]]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        carried = [f for f in dataclasses.fields(value) if f.compare or not _has_default(f)]
        return {"$data": [_name(type(value)), {"$map": [[f.name, encode(getattr(value, f.name))] for f in carried]}]}
    raise TypeError(f"a value of {type(value)} cannot be sent")


def _decode_map(body: Any) -> dict[Any, Any]:
    return {decode(key): decode(value) for key, value in body}


def _decode_data(body: Any) -> object:
    kind, given = _type(body[0]), decode(body[1])
    if not dataclasses.is_dataclass(kind):
        raise ValueError(f"{body[0]} is no dataclass")
    fields = dataclasses.fields(kind)
    return _made(kind, {f.name: given[f.name] if f.name in given else _default(f) for f in fields})


def _decode_model(body: Any) -> object:
    kind = _type(body[0])
    if not issubclass(kind, BaseModel):
        raise ValueError(f"{body[0]} is no model")
    return kind.model_construct(set(body[2]), **decode(body[1]))


def _decode_words(body: Any) -> object:
    kind = _type(body[0])
    if not issubclass(kind, Text):
        raise ValueError(f"{body[0]} is no text")
    given = decode(body[1])
    return _made(kind, {name: given[name] for name in _slots(kind)})


def _slots(kind: type) -> list[str]:
    return [name for one in reversed(kind.__mro__) for name in getattr(one, "__slots__", ())]


def _decode_error(body: Any) -> object:
    kind, facts = _type(body[0]), decode(body[1])
    if not issubclass(kind, UpswingError):
        raise ValueError(f"{body[0]} is no error")
    error = kind.__new__(kind)
    UpswingError.__init__(error, facts["message"], code=facts["code"], hint=facts["hint"], problems=facts["problems"])
    return error


def _decode_time(body: Any) -> datetime:
    moment = datetime.fromisoformat(body[0])
    return moment if body[1] is None else moment.astimezone(ZoneInfo(body[1]))


def _decode_array(body: Any) -> object:
    dtype = np.dtype(body[0])
    if dtype.kind not in "biuf":
        raise ValueError(f"no arrays of {body[0]}")
    return np.frombuffer(base64.b64decode(body[2]), dtype).reshape(body[1]).copy()


def _made(kind: Any, values: Mapping[str, object]) -> Any:
    """A dataclass as it was, without asking its constructor again."""
    made = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if field.default is dataclasses.MISSING:
        raise ValueError(f"no value for {field.name}")
    return field.default


def _name(kind: type) -> str:
    if not kind.__module__.startswith(_PACKAGE + "."):
        raise TypeError(f"{kind} is not of this package")
    return f"{kind.__module__}:{kind.__qualname__}"


def _type(name: str) -> Any:
    module, _, path = name.partition(":")
    if not module.startswith(_PACKAGE + ".") or not path.isidentifier():
        raise ValueError(f"{name[:80]!r} is not of this package")
    found = getattr(importlib.import_module(module), path, None)
    if not inspect.isclass(found) or found.__module__ != module:
        raise ValueError(f"no class {name[:80]!r}")
    return found


_READERS: Final[Mapping[str, Any]] = {
    "$tuple": lambda body: tuple(decode(v) for v in body),
    "$set": lambda body: {decode(v) for v in body},
    "$frozenset": lambda body: frozenset(decode(v) for v in body),
    "$map": _decode_map,
    "$float": float,
    "$text": lambda body: Text(str(body[0]), decode(body[1])),
    "$words": _decode_words,
    "$time": _decode_time,
    "$date": date.fromisoformat,
    "$path": Path,
    "$array": _decode_array,
    "$error": _decode_error,
    "$model": _decode_model,
    "$data": _decode_data,
}
