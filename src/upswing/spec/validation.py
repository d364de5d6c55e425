"""Mistakes in a definition, in words: what the model found becomes one problem for each place, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from upswing.core.errors import DefinitionError, Problem, did_you_mean
from upswing.core.i18n import Text, text
from upswing.spec.base import Mistake

Path_ = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Found:
    """One mistake.

    Args:
        path: keys and positions that lead to it, as far as they exist in the data.
        code: ``UPnnn``.
        message: what is wrong.
        hint: the way out.
        at_key: whether the key is wrong, rather than its value.
        named: whether the message says by itself which key it is about.
    """

    path: Path_
    code: str
    message: Text | str
    hint: Text | str | None = None
    at_key: bool = False
    named: bool = True


def validated(model: type[Model], data: object, *, what: str) -> Model:
    """`data` as a model.

    Args:
        model: what it shall be.
        data: a mapping of keys to values, or an instance.
        what: what it is, named where the mistake is in the whole and not at a key.

    Raises:
        DefinitionError: with every mistake in it, each with its own code; UP101–UP105 where no nearer one fits.

    Examples:
        >>> from upswing.spec.steps import EventMatch
        >>> validated(EventMatch, {"event": "pay"}, what="step").event
        'pay'
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [_problem(found, what) for found in mistakes(error, model, data)]
    raise DefinitionError(
        problems[0].message, code=problems[0].code, hint=problems[0].hint, problems=problems
    ) from None


def mistakes(error: ValidationError, model: type[BaseModel], data: object) -> list[Found]:
    """What is wrong, one mistake for each place: where several models might have stood there, the nearest one's."""
    best: dict[Path_, Found] = {}
    for detail in error.errors():
        found = _found(detail, model, data)
        known = best.get(found.path)
        if known is None or (known.code == "UP105" and found.code != "UP105"):
            best[found.path] = found
    return list(best.values())


def _problem(found: Found, what: str) -> Problem:
    where = ".".join(str(part) for part in found.path) or what
    message = found.message if found.named else text("{key}: {cause}", key=where, cause=found.message)
    return Problem(found.code, message, hint=found.hint)


def _found(detail: Any, model: type[BaseModel], data: object) -> Found:
    path: Path_ = tuple(detail["loc"])
    real, kind, given = _real_path(data, path), detail["type"], detail["input"]
    where = ".".join(str(part) for part in real)
    if kind == "extra_forbidden":
        hint = did_you_mean(str(real[-1]), _known_keys(model, real[:-1]))
        return Found(real, "UP101", text("unknown key '{key}'", key=real[-1]), hint, at_key=True)
    if kind == "missing":
        return Found((*real, path[-1]), "UP102", text("'{key}' is missing", key=path[-1]))
    if kind == "literal_error":
        allowed = [part.strip("' ") for part in str(detail["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        message = text("{key}: '{value}' is not one of {allowed}", key=where, value=given, allowed=", ".join(allowed))
        return Found(real, "UP103", message, did_you_mean(str(given), allowed))
    if kind == "string_pattern_mismatch" and real[-1:] == ("name",):
        return Found(real, "UP104", text("{key}: names are lower_snake_case, not '{value}'", key=where, value=given))
    context = detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Mistake):
        return Found(real, cause.code, cause.text, cause.hint, named=cause.code != "UP105")
    words = _WORDS.get(kind)
    said = str(detail["msg"]).removeprefix("Value error, ") if words is None else words(context, given)
    return Found(real, "UP105", said, named=False)


def _type(message: Text) -> Callable[[Mapping[str, Any], object], Text]:
    return lambda _, given: text("{message}, got {value}", message=message, value=_short(given))


_NUMBER: Final = _type(text("must be a number"))
_WHOLE: Final = _type(text("must be a whole number"))
_TEXT: Final = _type(text("must be text"))
_SWITCH: Final = _type(text("must be true or false"))
_LIST: Final = _type(text("must be a list"))
_MAPPING: Final = _type(text("must be a mapping of keys to values"))
_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any], object], Text]]] = {
    "too_short": lambda c, _: text("needs at least {n} entries, got {k}", n=c["min_length"], k=c["actual_length"]),
    "too_long": lambda c, _: text("takes at most {n} entries, got {k}", n=c["max_length"], k=c["actual_length"]),
    "greater_than": lambda c, v: text("must be greater than {limit}, got {value}", limit=c["gt"], value=_short(v)),
    "greater_than_equal": lambda c, v: text("must be at least {limit}, got {value}", limit=c["ge"], value=_short(v)),
    "less_than": lambda c, v: text("must be less than {limit}, got {value}", limit=c["lt"], value=_short(v)),
    "less_than_equal": lambda c, v: text("must be at most {limit}, got {value}", limit=c["le"], value=_short(v)),
    "finite_number": _NUMBER, "float_type": _NUMBER, "float_parsing": _NUMBER,
    "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE, "int_parsing_size": _WHOLE,
    "string_type": _TEXT,
    "string_too_short": lambda *_: text("must not be empty"),
    "string_pattern_mismatch": lambda c, v: text("'{value}' does not fit the pattern {pattern}", value=v,
                                                 pattern=c["pattern"]),
    "bool_type": _SWITCH, "bool_parsing": _SWITCH,
    "list_type": _LIST, "tuple_type": _LIST,
    "dict_type": _MAPPING, "model_type": _MAPPING, "model_attributes_type": _MAPPING,
    "no_condition": lambda c, v: text("must have one of the keys {keys}, got {value}", keys=c["keys"], value=_short(v)),
}  # fmt: skip
"""Kind of mistake → how to say it, from its context and the value given."""


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"


def _real_path(data: object, path: Path_) -> Path_:
    """The part of the model's location that exists in the data (members of a union add names of their own)."""
    real: list[str | int] = []
    here: Any = data
    for index, part in enumerate(path):
        last = index == len(path) - 1
        if _holds(here, part):
            here = here[part]
        elif not (last and isinstance(here, Mapping)) or _is_tag(part):
            continue
        real.append(part)
    return tuple(real)


def _is_tag(part: str | int) -> bool:
    return isinstance(part, str) and part.startswith("<")


def _holds(here: object, part: str | int) -> bool:
    if isinstance(here, Mapping):
        return part in here
    return isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)


def _known_keys(model: type[BaseModel], path: Path_) -> list[str]:
    """Keys allowed where an unknown one stands: those of every model that may stand there."""
    schema = model.model_json_schema(by_alias=True)
    options = [schema]
    for part in path:
        options = [inner for option in options for inner in _inside(option, part, schema)]
    return sorted({key for option in options for key in _resolved(option, schema).get("properties", {})})


def _inside(option: dict[str, Any], part: str | int, root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    resolved = _resolved(option, root)
    if isinstance(part, int):
        found = resolved.get("items")
    else:
        found = resolved.get("properties", {}).get(part) or resolved.get("additionalProperties")
    if isinstance(found, dict):
        yield from _alternatives(found, root)


def _alternatives(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    schema = _resolved(schema, root)
    union = schema.get("anyOf") or schema.get("oneOf")
    if not union:
        yield schema
    for member in union or ():
        yield from _alternatives(member, root)


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema
