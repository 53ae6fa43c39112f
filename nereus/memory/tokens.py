"""Access tokens: made once, shown once, kept as hashes, scoped, and revoked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import Table, select, update

from nereus.errors import InputError, NotFound
from nereus.memory.database.engine import Database, now
from nereus.memory.database.server_tables import TokenRow

SCOPES = ("read", "write", "admin")
"""``read`` sees what is one's own; ``write`` starts, answers, cancels and uploads; ``admin`` sees what all do."""
PREFIX = "nrs_"
"""How every token begins."""
_TOKENS = cast(Table, TokenRow.__table__)
_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Token:
    """What is known of a token; the token itself is nowhere."""

    id: str
    owner: str
    scopes: frozenset[str]
    note: str = ""
    created_at: str = ""
    expires_at: str | None = None
    revoked_at: str | None = None
    used_at: str | None = None


class Tokens:
    """Makes, checks and revokes tokens.

    Parameters
    ----------
    database
        The open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        owner: str,
        scopes: Collection[str] = ("read", "write"),
        note: str = "",
        days: float | None = None,
    ) -> tuple[str, Token]:
        """Make a token and return it with what is kept of it.

        Parameters
        ----------
        owner
            Whose things it opens.
        scopes
            Of `SCOPES`.
        note
            What it is for.
        days
            After how many it ends; None never.

        Raises
        ------
        InputError
            There is no such scope, or the owner's name is not one word of letters, digits, ``.``, ``_``, ``@`` and ``-``.
        """
        if unknown := sorted(set(scopes) - set(SCOPES)):
            raise InputError(
                f"there is no scope {unknown[0]!r}", where="token", mend=f"scopes are {', '.join(SCOPES)}"
            )
        if not scopes:
            raise InputError("a token without a scope opens nothing", where="token", mend="name a scope")
        if not 0 < len(owner) <= 64 or not all(one.isalnum() or one in "._@-" for one in owner):
            raise InputError(
                f"{owner!r} is no name of an owner",
                where="token",
                mend="use at most sixty-four letters, digits, '.', '_', '@' and '-'",
            )
        if days is not None and not days > 0:
            raise InputError(f"a token that lasts {days} days has ended", where="token", mend="give days > 0")
        secret = PREFIX + secrets.token_urlsafe(32)
        ends = None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat()
        token = Token(
            id=f"t{secrets.token_hex(6)}",
            owner=owner,
            scopes=frozenset(scopes),
            note=note,
            created_at=now(),
            expires_at=ends,
        )
        row = {
            "id": token.id,
            "created_at": token.created_at,
            "owner": owner,
            "digest": _digest(secret),
            "scopes": " ".join(sorted(scopes)),
            "note": note,
            "expires_at": ends,
        }
        with self._database.write() as connection:
            connection.execute(_TOKENS.insert().values(row))
        return secret, token

    def check(self, secret: str) -> Token | None:
        """The token that `secret` is, or None where there is none, or it has ended or been revoked."""
        query = select(_TOKENS).where(_TOKENS.c.digest == _digest(secret))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.revoked_at is not None:
            return None
        if row.expires_at is not None and datetime.fromisoformat(row.expires_at) <= datetime.now(UTC):
            return None
        token = _token(row._mapping)
        seen = datetime.fromisoformat(token.used_at) if token.used_at else None
        if seen is None or datetime.now(UTC) - seen > _SEEN_EVERY:  # not a write a request
            with self._database.write() as connection:
                connection.execute(update(_TOKENS).where(_TOKENS.c.id == token.id).values(used_at=now()))
        return token

    def list(self, owner: str | None = None) -> list[Token]:
        """All tokens, or those of one owner, oldest first."""
        query = select(_TOKENS).order_by(_TOKENS.c.created_at, _TOKENS.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query if owner is None else query.where(_TOKENS.c.owner == owner)).all()
        return [_token(row._mapping) for row in rows]

    def revoke(self, token_id: str) -> None:
        """End a token at once; `NotFound` where there is none."""
        query = update(_TOKENS).where(_TOKENS.c.id == token_id, _TOKENS.c.revoked_at.is_(None))
        with self._database.write() as connection:
            if connection.execute(query.values(revoked_at=now())).rowcount:
                return
            known = connection.execute(select(_TOKENS.c.id).where(_TOKENS.c.id == token_id)).first()
        if known is None:
            raise NotFound(f"there is no token {token_id!r}", mend="`nereus token list` shows them")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: object) -> Token:
    kept = dict(cast("dict[str, str]", row))
    return Token(
        id=kept["id"],
        owner=kept["owner"],
        scopes=frozenset(kept["scopes"].split()),
        note=kept["note"],
        created_at=kept["created_at"],
        expires_at=kept["expires_at"],
        revoked_at=kept["revoked_at"],
        used_at=kept["used_at"],
    )
