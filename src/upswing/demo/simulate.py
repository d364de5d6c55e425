"""Makes the events of the simulated product, block by block, from a seed.

Each block of users has its own stream of random numbers, so a block is the same whether or not the others are made, and
memory does not grow with the number of users.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from upswing.demo.clock import micros
from upswing.demo.habits import Invitations, live_on
from upswing.demo.ledger import ALIAS_SCHEMA, EVENT_SCHEMA, Ledger
from upswing.demo.model import MODEL, Model
from upswing.demo.onboarding import first_days, sign_up
from upswing.demo.people import People, concatenate, invited, seeds

DEFAULT_SEED: Final = 1
DEFAULT_USERS: Final = 200_000
_BLOCK: Final = 20_000
_IDS_PER_BLOCK: Final = 2 * _BLOCK  # room for the invited
_UNINVITED_SHARE: Final = 0.9  # measured for the default model: one user in ten comes by invitation
_ROWS_PER_BLOCK: Final = 10_000_000  # room for the event numbers of one block


@dataclass(frozen=True, slots=True)
class Block:
    """One block of users: their events (`EVENT_SCHEMA`), identity table (`ALIAS_SCHEMA`), and who they really are."""

    events: pa.Table
    aliases: pa.Table
    people: People


def simulate(*, seed: int = DEFAULT_SEED, users: int = DEFAULT_USERS, model: Model = MODEL) -> Iterator[pa.Table]:
    """Yield the event table block by block, each block in time order.

    Args:
        seed: the same seed gives the same events, value for value.
        users: people who install the app. Those who come by invitation are part of them, and how many they are is
            chance, so the true number differs by a few per cent.
        model: parameters of the product; the default is the one that `truths` describes.

    Yields:
        Tables with the columns of `EVENT_SCHEMA`.

    Raises:
        ValueError: `users` is below 1 or `seed` is negative.

    Examples:
        >>> table = next(simulate(seed=1, users=100))
        >>> table.column_names[:4]
        ['event_id', 'user', 'time', 'event']
    """
    for block in simulate_blocks(seed=seed, users=users, model=model):
        yield block.events


def simulate_aliases(
    *, seed: int = DEFAULT_SEED, users: int = DEFAULT_USERS, model: Model = MODEL
) -> Iterator[pa.Table]:
    """Yield the identity table of the same simulation: which device became which user, and when.

    A share of the users is known by a device id (``d…``) until the account is made; from that moment on the same person
    acts as ``u…``. Takes as long as `simulate`; `write_parquet` writes both in one pass.

    Examples:
        >>> next(simulate_aliases(seed=1, users=100)).column_names
        ['alias', 'canonical', 'valid_from']
    """
    for block in simulate_blocks(seed=seed, users=users, model=model):
        yield block.aliases


def simulate_blocks(*, seed: int = DEFAULT_SEED, users: int = DEFAULT_USERS, model: Model = MODEL) -> Iterator[Block]:
    """Yield events, identity table and hidden traits together; for tests that need to know who is who."""
    if users < 1:
        raise ValueError(f"users must be at least 1, not {users}")
    if seed < 0:
        raise ValueError(f"seed must not be negative: {seed}")
    for index, size in enumerate(_sizes(users)):
        yield _block(index, size, seed=seed, model=model)


def write_parquet(
    path: Path | str,
    *,
    seed: int = DEFAULT_SEED,
    users: int = DEFAULT_USERS,
    aliases: Path | str | None = None,
    model: Model = MODEL,
) -> int:
    """Write the events to one Parquet file, one row group per block, text as plain strings for every reader.

    Args:
        path: file to write; replaced if it exists.
        seed: as in `simulate`.
        users: as in `simulate`.
        aliases: also write the identity table to this Parquet file.
        model: as in `simulate`.

    Returns:
        Number of events written.
    """
    rows = 0
    identities: list[pa.Table] = []
    with pq.ParquetWriter(path, EVENT_SCHEMA, compression="zstd", store_schema=False) as writer:
        for block in simulate_blocks(seed=seed, users=users, model=model):
            writer.write_table(block.events, row_group_size=len(block.events))
            rows += len(block.events)
            if aliases is not None:
                identities.append(block.aliases)
    if aliases is not None:
        pq.write_table(pa.concat_tables(identities), aliases, compression="zstd")
    return rows


def write_csv(
    path: Path | str,
    *,
    seed: int = DEFAULT_SEED,
    users: int = DEFAULT_USERS,
    rows: int | None = None,
    model: Model = MODEL,
) -> int:
    """Write events to one CSV file with a header; times as ``2026-01-05 03:04:05.000006Z``, missing values empty.

    Args:
        path: file to write; replaced if it exists.
        seed: as in `simulate`.
        users: as in `simulate`.
        rows: stop after about this many events, at the end of a whole block; None writes all.
        model: as in `simulate`.

    Returns:
        Number of events written.
    """
    plain = plain_schema(EVENT_SCHEMA)
    written = 0
    with csv.CSVWriter(path, plain) as writer:
        for table in simulate(seed=seed, users=users, model=model):
            writer.write_table(table.cast(plain))
            written += len(table)
            if rows is not None and written >= rows:
                break
    return written


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns with dictionary-encoded text as plain strings."""
    return pa.schema(
        [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in schema], metadata=schema.metadata
    )


def _sizes(users: int) -> list[int]:
    """Users of each block; the last one takes the rest."""
    whole, rest = divmod(users, _BLOCK)
    return [_BLOCK] * whole + ([rest] if rest else [])


def _block(index: int, size: int, *, seed: int, model: Model) -> Block:
    rng = np.random.default_rng([seed, index])
    ledger = Ledger()
    done: list[People] = []
    base = 0
    generation = seeds(rng, max(1, round(size * _UNINVITED_SHARE)), model=model)
    while len(generation):
        generation, sent = _live(rng, generation, ledger, base=base, model=model)
        done.append(generation)
        generation = invited(rng, sent.users + base, sent.times, model=model)
        base += len(done[-1])
        if base > _IDS_PER_BLOCK:
            raise ValueError(f"referral grows without bound: more than {_IDS_PER_BLOCK} users from {len(done[0])}")
    people = concatenate(done)
    people = replace(people, number=np.arange(len(people)) + _IDS_PER_BLOCK * index + 1)
    events = ledger.table(people, model=model, first_row=_ROWS_PER_BLOCK * index)
    return Block(events=events, aliases=_aliases(people, model), people=people)


def _live(
    rng: np.random.Generator, generation: People, ledger: Ledger, *, base: int, model: Model
) -> tuple[People, Invitations]:
    """The whole life of one generation."""
    generation = sign_up(rng, generation, ledger, base=base, model=model)
    generation = first_days(rng, generation, ledger, base=base, model=model)
    return generation, live_on(rng, generation, ledger, base=base, model=model)


def _aliases(people: People, model: Model) -> pa.Table:
    known = people.anonymous & (people.account >= 0) & (people.account < micros(model.end))
    moments = pa.array(people.account[known], type=ALIAS_SCHEMA.field("valid_from").type)
    mask = pa.array(known)
    return pa.table([people.device_ids().filter(mask), people.user_ids().filter(mask), moments], schema=ALIAS_SCHEMA)
