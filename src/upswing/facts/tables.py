"""Tables of the run-time facts, the same in SQLite and PostgreSQL. Moments are µs since the epoch, UTC."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in INTEGER columns

METADATA: Final = MetaData()

VERSION: Final = Table("facts_version", METADATA, Column("version", Integer, primary_key=True))

PEOPLE: Final = Table(
    "people",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("email", String(320), nullable=False, unique=True),  # folded to lower case
    Column("name", String(200), nullable=False),
    Column("role", String(10), nullable=False),
    Column("password", String(200)),  # argon2id with its salt and costs; null: signs in with tokens only
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", BigInteger, nullable=False),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the cookie
    Column("person", _ID, ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("prefix", String(20), nullable=False),
    Column("person", _ID, ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("label", String(200), nullable=False),
    Column("role", String(10), nullable=False),  # never more than the person's own at the moment of use
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("used_at", BigInteger),
)

KEYS: Final = Table(
    "keys",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("prefix", String(20), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("label", String(200), nullable=False),
    Column("origins", Text, nullable=False),  # JSON list
    Column("per_second", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("replaces", _ID),  # the key that this one was made to take over from
    Column("ends_at", BigInteger),  # revoked, or the end of the overlap after a rotation
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=False),  # 1, 2, 3 … without gaps
    Column("at", BigInteger, nullable=False),
    Column("who", String(320), nullable=False),
    Column("action", String(60), nullable=False),
    Column("target", String(400), nullable=False),
    Column("before", String(64)),
    Column("after", String(64)),
    Column("address", String(64)),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
)

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("every", BigInteger, nullable=False),  # µs
    Column("enabled", Boolean, nullable=False, default=True),
    Column("next_at", BigInteger, nullable=False),
    Column("running_since", BigInteger),
    Column("last_at", BigInteger),
    Column("last_seconds", BigInteger),
    Column("last_error", Text),
    Column("failures", Integer, nullable=False, default=0),  # in a row
)

SECRETS: Final = Table(
    "secrets",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("sealed", Text, nullable=False),  # base64 of nonce and AES-256-GCM text
    Column("key_id", String(16), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

ALERTS: Final = Table(
    "alerts",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("channel", String(100), nullable=False),
    Column("key", String(300), nullable=False),
    Column("period", String(60), nullable=False),
    Column("title", String(400), nullable=False),
    Column("body", Text, nullable=False),
    Column("severity", String(10), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("attempts", Integer, nullable=False, default=0),
    Column("last_error", Text),
    Column("given_up", Boolean, nullable=False, default=False),
    Index("alerts_once", "channel", "key", "period", unique=True),
    Index("alerts_due", "due_at"),
)

ANNOTATIONS: Final = Table(
    "annotations",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("day", String(10), nullable=False, index=True),  # ISO date in the workspace's zone
    Column("body", Text, nullable=False),
    Column("who", String(320), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

SETTINGS: Final = Table(
    "facts_settings",
    METADATA,
    Column("key", String(60), primary_key=True),
    Column("value", Text, nullable=False),
)
