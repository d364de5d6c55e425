"""Passwords: argon2id (RFC 9106), checked in the same time for people who are there and people who are not."""

from __future__ import annotations

from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from upswing.core.errors import UsageError
from upswing.core.i18n import text

SHORTEST: Final = 10
LONGEST: Final = 200
"""In characters. A longer one would only cost the server time."""

# RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes
_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4, type=Type.ID)
_COMMON: Final = ("password", "12345678", "qwertyui", "11111111", "letmein", "iloveyou", "upswing")


def hashed(password: str, *, email: str = "") -> str:
    """Hash of a password, with its salt and costs.

    Args:
        password: in clear.
        email: whose; the password must not hold its first part.

    Raises:
        UsageError: UP823 too short, too long or too easy to guess.
    """
    _check_strength(password, email)
    return _HASHER.hash(password)


def matches(password: str, found: str | None) -> bool:
    """Whether a password fits its hash. Takes as long where there is no hash, so that time tells nothing.

    Args:
        password: as given.
        found: the hash; None where nobody has this name or they have no password.
    """
    if len(password) > LONGEST:
        password, found = "", None
    try:
        _HASHER.verify(found or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return found is not None


def outdated(found: str) -> bool:
    """Whether a hash was made with other costs than today's."""
    return _HASHER.check_needs_rehash(found)


@cache
def _nobody() -> str:
    return _HASHER.hash("a password that nobody has")


def _check_strength(password: str, email: str) -> None:
    mine = email.partition("@")[0].lower()
    folded = password.lower()
    easy = len(set(password)) < 5 or any(
        folded.replace(word, "").strip("0123456789!.-_ ") == "" for word in (*_COMMON, *([mine] if mine else []))
    )
    if not SHORTEST <= len(password) <= LONGEST or easy:
        raise UsageError(
            text(
                "a password needs {least} to {most} characters and must not be easy to guess",
                least=SHORTEST,
                most=LONGEST,
            ),
            code="UP823",
            hint=text("four words that do not belong together are easy to keep and hard to guess"),
        )
