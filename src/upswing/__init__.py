"""Upswing: the whole user-growth loop on a company's own event data.

>>> import upswing
>>> upswing.Workspace  # doctest: +ELLIPSIS
<class 'upswing.workspace.Workspace'>
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upswing.core.errors import DataError, DefinitionError, EngineError, UpswingError, UsageError
    from upswing.core.units import Duration, Money
    from upswing.workspace import Workspace

__all__ = [
    "DataError",
    "DefinitionError",
    "Duration",
    "EngineError",
    "Money",
    "UpswingError",
    "UsageError",
    "Workspace",
    "__version__",
]

try:
    __version__ = version("upswing")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0"

_HOMES = {
    "Workspace": "upswing.workspace",
    "Duration": "upswing.core.units",
    "Money": "upswing.core.units",
    **dict.fromkeys(
        ("DataError", "DefinitionError", "EngineError", "UpswingError", "UsageError"), "upswing.core.errors"
    ),
}


def __getattr__(name: str) -> Any:
    # names load their module on first use, so that `import upswing` stays fast
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'upswing' has no attribute '{name}'")
