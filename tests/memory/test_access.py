"""Tokens, uploads and the audit log."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from nereus.errors import InputError, NotFound
from nereus.memory.artifacts import ArtifactStore
from nereus.memory.audit import AuditLog
from nereus.memory.database import Database
from nereus.memory.tokens import Tokens
from nereus.memory.uploads import Uploads


def test_a_token_opens_until_it_is_revoked_and_is_nowhere_itself(database: Database) -> None:
    tokens = Tokens(database)
    secret, made = tokens.create("ada", ["read"], note="notebook")
    found = tokens.check(secret)
    assert found is not None
    assert (found.owner, found.scopes, found.note) == ("ada", frozenset({"read"}), "notebook")
    with database.read() as connection:
        kept = json.dumps([list(row) for row in connection.execute(text("SELECT * FROM tokens"))])
    assert secret not in kept
    assert hashlib.sha256(secret.encode()).hexdigest() in kept
    assert tokens.check(secret + "x") is None
    assert tokens.check("") is None
    tokens.revoke(made.id)
    assert tokens.check(secret) is None
    tokens.revoke(made.id)
    assert tokens.list("ada")[0].revoked_at
    assert tokens.list("eve") == []


def test_a_token_ends(database: Database) -> None:
    tokens = Tokens(database)
    lasting, _ = tokens.create("ada", days=1)
    short, _ = tokens.create("ada", days=1e-9)
    assert tokens.check(lasting) is not None
    assert tokens.check(short) is None


@pytest.mark.parametrize(
    ("owner", "scopes", "days", "says"),
    [
        ("ada", ["root"], None, "there is no scope 'root'"),
        ("ada", [], None, "opens nothing"),
        ("", ["read"], None, "no name of an owner"),
        ("a b", ["read"], None, "no name of an owner"),
        ("a" * 65, ["read"], None, "no name of an owner"),
        ("ada", ["read"], 0, "has ended"),
        ("ada", ["read"], float("nan"), "has ended"),
    ],
)
def test_a_token_that_cannot_be_is_refused(
    database: Database, owner: str, scopes: list[str], days: float | None, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        Tokens(database).create(owner, scopes, days=days)
    assert Tokens(database).list() == []


def test_an_unknown_token_cannot_be_revoked(database: Database) -> None:
    with pytest.raises(NotFound, match="there is no token 't1'"):
        Tokens(database).revoke("t1")


def test_uploads_are_their_owner_s_alone(database: Database, tmp_path: Path) -> None:
    uploads, store = Uploads(database), ArtifactStore(tmp_path / "artifacts")
    file = tmp_path / "table.csv"
    file.write_text("a,b\n1,2\n")
    first = uploads.add("ada", store.put_file(file))
    again = uploads.add("ada", store.put_file(file, "renamed.csv"))
    other = uploads.add("eve", store.put_file(file))
    assert first.id == again.id == other.id
    assert [one.name for one in uploads.list("ada")] == ["renamed.csv"]
    assert uploads.get(other.id, "eve").name == "table.csv"
    assert uploads.get(first.id, "ada").artifact.id == other.artifact.id
    uploads.remove(first.id, "ada")
    with pytest.raises(NotFound):
        uploads.get(first.id, "ada")
    with pytest.raises(NotFound):
        uploads.remove(first.id, "ada")
    assert uploads.get(other.id, "eve")


def test_the_log_keeps_who_did_what(database: Database) -> None:
    log = AuditLog(database)
    log.add("ada", "create run", "r1-1", "done", "127.0.0.1")
    log.add("eve", "read run", "x" * 9999, "refused")
    assert [(one["owner"], one["outcome"]) for one in log.read()] == [("eve", "refused"), ("ada", "done")]
    assert [one["subject"] for one in log.read("ada")] == ["r1-1"]
    assert len(log.read("eve")[0]["subject"]) == 500
