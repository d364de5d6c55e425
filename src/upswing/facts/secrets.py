"""Secrets of connectors (tokens of ad platforms, passwords of mail servers), encrypted at rest.

AES-256-GCM with a random nonce; the secret's name is bound in, so that one cannot be passed off as another. The key is
``UPSWING_SECRET_KEY``, or a file of the workspace that only its owner can read, made when first needed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import select

from upswing.core.errors import EngineError, UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.facts.clock import now
from upswing.facts.tables import SECRETS, SETTINGS

if TYPE_CHECKING:
    from upswing.facts.database import Facts

VARIABLE: Final = "UPSWING_SECRET_KEY"
KEY_FILE: Final = "secret.key"
_LEAST_CHARACTERS: Final = 32


class Secret:
    """A value that is not shown by accident: neither `str` nor `repr` nor a log holds it.

    Examples:
        >>> Secret("hunter2")
        Secret(…)
        >>> Secret("hunter2").reveal()
        'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


class Secrets:
    """Secrets of one workspace."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._key: bytes | None = None
        self._marking_key: bytes | None = None

    def put(self, name: str, value: str) -> None:
        """Keep a secret under a name, or replace it.

        Raises:
            UsageError: UP837 no name or no value, UP838 a key in the environment that is too short.
        """
        if not name or len(name) > 100 or not value:
            raise UsageError(text("a secret needs a name and a value"), code="UP837")
        nonce = secrets.token_bytes(12)
        sealed = base64.b64encode(nonce + AESGCM(self._sealing_key()).encrypt(nonce, value.encode(), name.encode()))
        values = {"sealed": sealed.decode(), "key_id": self._key_id(), "changed_at": now()}
        with self._facts.writing() as connection:
            if not connection.execute(SECRETS.update().where(SECRETS.c.name == name).values(**values)).rowcount:
                connection.execute(SECRETS.insert().values(name=name, **values))

    def get(self, name: str) -> Secret:
        """A secret by name.

        Raises:
            UsageError: UP839 no such secret.
            EngineError: UP840 it was sealed with another key, or was changed.
        """
        with self._facts.reading() as connection:
            found = connection.execute(select(SECRETS).where(SECRETS.c.name == name)).first()
        if found is None:
            raise UsageError(text("there is no secret '{name}'", name=name), code="UP839",
                             hint=did_you_mean(name, self.names()))  # fmt: skip
        raw = base64.b64decode(found.sealed)
        try:
            return Secret(AESGCM(self._sealing_key()).decrypt(raw[:12], raw[12:], name.encode()).decode())
        except InvalidTag:
            raise EngineError(
                text("the secret '{name}' cannot be opened", name=name),
                code="UP840",
                hint=text("use the key that it was sealed with, or give the secret anew")
                if found.key_id != self._key_id()
                else text("it was changed in the database; give it anew"),
            ) from None

    def names(self) -> list[str]:
        """Names of the secrets that are kept."""
        with self._facts.reading() as connection:
            return [str(n) for n in connection.execute(select(SECRETS.c.name).order_by(SECRETS.c.name)).scalars()]

    def remove(self, name: str) -> bool:
        """Forget a secret; whether it was there."""
        with self._facts.writing() as connection:
            return connection.execute(SECRETS.delete().where(SECRETS.c.name == name)).rowcount > 0

    def fingerprint(self, value: str) -> str:
        """Sixteen hex digits for a value that must not be named, e.g. a user's id in the audit log: who knows the value
        and has this database can check it, others cannot try values out."""
        return hmac.new(self._fingerprint_key(), value.encode(), hashlib.sha256).hexdigest()[:16]

    def _fingerprint_key(self) -> bytes:
        if self._marking_key is None:
            wanted = select(SETTINGS.c.value).where(SETTINGS.c.key == "fingerprint_key")
            with self._facts.writing(alone=SETTINGS) as connection:
                found = connection.execute(wanted).scalar_one_or_none()
                if found is None:
                    found = secrets.token_hex(32)
                    connection.execute(SETTINGS.insert().values(key="fingerprint_key", value=found))
            self._marking_key = bytes.fromhex(found)
        return self._marking_key

    def _sealing_key(self) -> bytes:
        if self._key is None:
            given = os.environ.get(VARIABLE)
            if given is not None and len(given) < _LEAST_CHARACTERS:
                raise UsageError(
                    text("{name} has fewer than {n} characters", name=VARIABLE, n=_LEAST_CHARACTERS),
                    code="UP838",
                    hint=text("make one: python -c 'import secrets; print(secrets.token_urlsafe(48))'"),
                )
            material = given.encode() if given is not None else _from_file(self._facts.folder / KEY_FILE)
            self._key = HKDF(SHA256(), 32, salt=None, info=b"upswing connector secrets").derive(material)
        return self._key

    def _key_id(self) -> str:
        return hashlib.sha256(b"id" + self._sealing_key()).hexdigest()[:16]


def _from_file(path: Path) -> bytes:
    """The workspace's key file; made, readable by its owner alone, when it is missing.

    Raises:
        EngineError: UP841 others can read it.
    """
    if not path.exists():
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(made, "wb") as out:
            out.write(secrets.token_bytes(48))
            out.flush()
            os.fsync(out.fileno())
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise EngineError(
            text("others can read '{file}'", file=path), code="UP841", hint=text("chmod 600 {file}", file=path)
        )
    return path.read_bytes()
