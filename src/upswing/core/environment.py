"""Values of ``upswing.yml`` that name environment variables, so that secrets stay out of files."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import quote

from upswing.core.errors import DefinitionError
from upswing.core.i18n import text

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def with_environment(value: str, *, what: str, in_url: bool = False) -> str:
    """Put environment variables in the place of ``${NAME}``.

    Args:
        value: text with variables.
        what: what it is, for the message.
        in_url: whether a variable is a part of a URL, where ``@`` and ``/`` of a password must be escaped; one that is all of
            the value stays as it is.

    Raises:
        DefinitionError: UP820 a variable that is not set.

    Examples:
        >>> os.environ["A_PASSWORD"] = "p@ss"
        >>> with_environment("clickhouse://me:${A_PASSWORD}@host/db", what="engine.url", in_url=True)
        'clickhouse://me:p%40ss@host/db'
    """

    def looked_up(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise DefinitionError(
                text("{what} names the environment variable {name}, which is not set", what=what, name=match[1]),
                code="UP820",
            )
        return quote(found, safe="") if in_url and match[0] != value else found

    return _VARIABLE.sub(looked_up, value)
