"""A verb asked by its name, as the command line and the server do."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING

from upswing.core.errors import UsageError
from upswing.core.i18n import text

if TYPE_CHECKING:
    from upswing.core.results import Result
    from upswing.workspace.base import OpenWorkspace


def ask(workspace: OpenWorkspace, method: str, arguments: Mapping[str, object]) -> Result:
    """Call a verb's method.

    Args:
        workspace: who answers.
        method: name of the method, from the registry of verbs.
        arguments: what was given; what was not is absent.

    Raises:
        UsageError: UP604 an argument is missing that has no default.
    """
    verb = getattr(workspace, method)
    for name, parameter in inspect.signature(verb).parameters.items():
        named = parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if named and parameter.default is inspect.Parameter.empty and name not in arguments:
            raise UsageError(text("no {kind} asked for", kind=name), code="UP604")
    answer: Result = verb(**arguments)
    return answer
