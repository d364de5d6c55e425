"""The command line library's own words, in the language in force.

Its messages go through two names in its modules, ``_`` and ``ngettext``; here both lead to Upswing's catalogue. The
sentences are listed so that they are collected for translation; one that is missing stays English.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from upswing.core.i18n import Text, text

_MODULES: Final = ("core", "decorators", "exceptions", "formatting", "parser", "types")

WORDS: Final = (
    text("Usage:"),
    text("Options"),
    text("Positional arguments"),
    text("Commands"),
    text("Show this message and exit."),
    text("Show the version and exit."),
    text("Error: {message}"),
    text("Try '{command} {option}' for help."),
    text("Missing argument"),
    text("Missing option"),
    text("Missing parameter"),
    text("Missing command."),
    text("Missing parameter: {param_name}"),
    text("No such option {name!r}."),
    text("No such command {name!r}."),
    text("Did you mean {possibility}?"),
    text("(Did you mean one of: {possibilities}?)"),
    text("Invalid value: {message}"),
    text("Invalid value for {param_hint}: {message}"),
    text("{value!r} is not {choice}."),
    text("{value!r} is not one of {choices}."),
    text("{value!r} is not a valid {number_type}."),
    text("{value} is not in the range {range}."),
    text("Choose from:\n\t{choices}"),
    text("Got unexpected extra argument ({args})"),
    text("Got unexpected extra arguments ({args})"),
    text("Option {name!r} requires an argument."),
    text("Option {name!r} requires {nargs} arguments."),
    text("Option {name!r} does not take a value."),
    text("Argument {name!r} takes {nargs} values."),
    text("Takes {nargs} values but 1 was given."),
    text("Takes {nargs} values but {len} were given."),
    text("default: {default}"),
    text("env var: {var}"),
    text("required"),
    text("file"),
    text("directory"),
    text("path"),
    text("{name} {filename!r} does not exist."),
    text("{name} {filename!r} is a directory."),
)
"""Every sentence of the library that Upswing's commands can lead to."""


def translate_library() -> None:
    """Let the library speak the language in force."""
    for name in _MODULES:
        module = import_module(f"click.{name}")
        for hook, ours in (("_", translated), ("ngettext", translated_count)):
            if hasattr(module, hook):
                setattr(module, hook, ours)


def translated(message: str) -> str:
    """A message of the library; its values are filled in by the library."""
    return str(Text(message, {}))


def translated_count(one: str, many: str, n: int) -> str:
    """The message for a number."""
    return translated(one if n == 1 else many)
