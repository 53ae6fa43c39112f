"""Learned actions: Python functions with their source, hash, signature, words, tests, versions and track record.

A version is never changed in its source: a revision is a new version with its parent. Its status goes from candidate
to validated to active; an active one whose record turns bad is deprecated, and a person may revoke any. What is read
is compared with its hash, so that a source that was changed in the database is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field
from sqlalchemy import Table, delete, func, insert, select, update

from nereus.errors import InputError, NotFound, StoreError
from nereus.memory.database.action_tables import ActionRow, ActionTrialRow, ActionVersionRow
from nereus.memory.database.engine import Database, now
from nereus.memory.embedding import HashedEmbedder
from nereus.memory.records import Record

if TYPE_CHECKING:
    from nereus.memory.embedding import Embedder

Status = Literal["candidate", "validated", "active", "deprecated", "revoked"]
WINDOW = 20
"""Last uses that the track record is read from."""
LEAST_SUCCESS = 0.5
"""Lower bound of the success below which an action is retired."""

_ACTIONS = cast(Table, ActionRow.__table__)
_VERSIONS = cast(Table, ActionVersionRow.__table__)
_TRIALS = cast(Table, ActionTrialRow.__table__)


class ActionTest(Record):
    """Something that a version was validated by: carried out on a held-out task, it must give the same again."""

    task: str
    call: str
    expected: str
    """Hash of what it must lead to."""
    ok: bool = True


class LearnedAction(Record):
    """One version of a learned action."""

    name: str
    domain: str
    """Environment in which it was learned: a planning domain, or ``omics``."""
    source: str
    """Python of the function, and of nothing else."""
    parameters: tuple[tuple[str, str], ...]
    """Name and type of each argument."""
    description: str
    """Preconditions and effects, in words."""
    usage: str = ""
    """An example call, with what it does."""
    notes: tuple[str, ...] = ()
    """When not to use it, or what to do instead."""
    steps: tuple[tuple[str, ...], ...] = ()
    """What it does over variables ``?0`` ...: name, then arguments; empty where only the source says it."""
    kinds: tuple[str, ...] = ()
    """Type of each variable."""
    loop: str = ""
    """The variable that runs over a list."""
    plan: dict[str, Any] = Field(default_factory=dict)
    """Of a pipeline: for which question it stands, and what must hold for it."""
    tests: tuple[ActionTest, ...] = ()
    provenance: dict[str, Any] = Field(default_factory=dict)
    """Which runs or tasks it was learned from, by whom, with which seed."""
    version: int = 1
    parent: int | None = None
    status: Status = "candidate"
    decided_by: str = ""
    reason: str = ""

    @property
    def sha256(self) -> str:
        """Hash of the source."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def signature(self) -> str:
        """``name(argument: type, ...)``."""
        return f"{self.name}({', '.join(f'{name}: {kind}' for name, kind in self.parameters)})"


class Standing(Record):
    """How an action fared."""

    uses: int
    successes: int
    recent: int
    """Uses among the last `WINDOW`."""
    recent_successes: int
    lower: float
    """Wilson's lower bound (95 per cent, two-sided) of the success of the recent ones; 0 without any."""


class Actions:
    """Keeps learned actions.

    Parameters
    ----------
    database
        The open database.
    embedder
        Turns descriptions into vectors, to find them by.
    """

    def __init__(self, database: Database, embedder: Embedder | None = None) -> None:
        self._database = database
        self._embedder = embedder or HashedEmbedder()

    # ------------------------------------------------------------------------------------------- keeping

    def add(self, action: LearnedAction) -> LearnedAction:
        """Keep an action, as a new version where its name is known with another source; return it as kept.

        Raises
        ------
        InputError
            The name is that of an action of another domain.
        """
        with self._database.write() as connection:
            known = connection.execute(select(_ACTIONS).where(_ACTIONS.c.name == action.name)).one_or_none()
            if known is not None and known.domain != action.domain:
                raise InputError(
                    f"the name {action.name!r} is taken by an action of {known.domain!r}",
                    where="actions",
                    mend="choose another name",
                )
            if known is None:
                connection.execute(
                    insert(_ACTIONS).values(
                        name=action.name, domain=action.domain, version=1, created_at=now()
                    )
                )
                kept = action.model_copy(update={"version": 1, "parent": None})
            else:
                newest = self._read(connection, action.name, known.version)
                if newest.source == action.source:
                    if newest.status in ("revoked", "deprecated"):
                        return newest
                    kept = action.model_copy(
                        update={
                            "version": newest.version,
                            "parent": newest.parent,
                            "status": _further(newest, action),
                        }
                    )
                else:
                    kept = action.model_copy(update={"version": known.version + 1, "parent": known.version})
                    changed = update(_ACTIONS).where(_ACTIONS.c.name == action.name)
                    connection.execute(changed.values(version=kept.version))
            self._database.put(connection, _VERSIONS, [_row(kept)])
        return kept

    def get(self, name: str, version: int | None = None) -> LearnedAction:
        """A version of an action, the newest by default.

        Raises
        ------
        NotFound
            There is no such action or version.
        StoreError
            The source is not the one that was kept.
        """
        with self._database.read() as connection:
            if version is None:
                found = connection.execute(select(_ACTIONS.c.version).where(_ACTIONS.c.name == name)).scalar()
                if found is None:
                    raise NotFound(f"there is no action {name!r}", mend="`nereus actions list` names them")
                version = int(found)
            return self._read(connection, name, version)

    def versions(self, name: str) -> list[LearnedAction]:
        """All versions of an action, oldest first."""
        query = select(_VERSIONS.c.version).where(_VERSIONS.c.name == name).order_by(_VERSIONS.c.version)
        with self._database.read() as connection:
            return [self._read(connection, name, one) for one in connection.execute(query).scalars().all()]

    def known(self, domain: str | None = None, status: Status | None = None) -> list[LearnedAction]:
        """Newest versions by name; with ``active`` those that may be used, which may be older than the newest."""
        query = select(_VERSIONS.c.name, func.max(_VERSIONS.c.version).label("version")).group_by(
            _VERSIONS.c.name
        )
        if status is not None:
            query = query.where(_VERSIONS.c.status == status)
        if domain is not None:
            query = query.join(_ACTIONS, _ACTIONS.c.name == _VERSIONS.c.name).where(
                _ACTIONS.c.domain == domain
            )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_VERSIONS.c.name)).all()
            return [self._read(connection, row.name, row.version) for row in rows]

    def usable(self, domain: str) -> list[LearnedAction]:
        """Active actions of a domain; one whose source was changed is left out."""
        query = select(_VERSIONS.c.name, func.max(_VERSIONS.c.version).label("version"))
        query = query.join(_ACTIONS, _ACTIONS.c.name == _VERSIONS.c.name)
        query = query.where(_ACTIONS.c.domain == domain, _VERSIONS.c.status == "active")
        found = []
        with self._database.read() as connection:
            for row in connection.execute(query.group_by(_VERSIONS.c.name).order_by(_VERSIONS.c.name)).all():
                try:
                    found.append(self._read(connection, row.name, row.version))
                except StoreError:
                    continue
        return found

    def remove(self, name: str) -> None:
        """Forget an action with all its versions."""
        with self._database.write() as connection:
            connection.execute(delete(_ACTIONS).where(_ACTIONS.c.name == name))

    def _read(self, connection: Any, name: str, version: int) -> LearnedAction:
        query = select(_VERSIONS).where(_VERSIONS.c.name == name, _VERSIONS.c.version == version)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"{name!r} has no version {version}", mend=f"see `nereus actions show {name}`")
        action = LearnedAction.model_validate(
            json.loads(row.document)
            | {
                "source": row.source,
                "status": row.status,
                "decided_by": row.decided_by,
                "reason": row.reason,
            }
        )
        if action.sha256 != row.sha256:
            raise StoreError(
                f"the source of version {version} is not the one that was kept",
                where=f"action {name!r}",
                mend=f"`nereus actions revoke {name}`, and learn it again",
            )
        return action

    # ------------------------------------------------------------------------------------------ deciding

    def approve(self, name: str, by: str, version: int | None = None) -> LearnedAction:
        """Let a validated version be used; an older active one is deprecated.

        Raises
        ------
        InputError
            It was not validated, or it was revoked.
        """
        action = self.get(name, version)
        if action.status not in ("validated", "active"):
            raise InputError(
                f"version {action.version} is {action.status}",
                where=f"action {name!r}",
                mend=f"only what was validated may be used: `nereus actions test {name}`",
            )
        with self._database.write() as connection:
            others = update(_VERSIONS).where(_VERSIONS.c.name == name, _VERSIONS.c.status == "active")
            connection.execute(
                others.values(status="deprecated", reason=f"replaced by version {action.version}")
            )
            self._decide(connection, action, "active", by, "")
        return self.get(name, action.version)

    def revoke(self, name: str, by: str, reason: str = "") -> LearnedAction:
        """Let no version be used again."""
        newest = self.get(name)
        with self._database.write() as connection:
            query = update(_VERSIONS).where(_VERSIONS.c.name == name)
            connection.execute(query.values(status="revoked", decided_by=by, reason=reason))
        return self.get(name, newest.version)

    def validated(self, action: LearnedAction, tests: Iterable[ActionTest], ok: bool) -> LearnedAction:
        """Keep what a validation showed; a version that failed it stays, or becomes again, a candidate."""
        tests = tuple(tests)
        status: Status = action.status
        if not ok:
            status = "candidate" if action.status in ("candidate", "validated") else "deprecated"
        elif action.status == "candidate":
            status = "validated"
        with self._database.write() as connection:
            self._database.put(
                connection, _VERSIONS, [_row(action.model_copy(update={"tests": tests, "status": status}))]
            )
        for one in tests:
            self.tried(action, one.task, one.ok, purpose="validation")
        return self.get(action.name, action.version)

    def _decide(self, connection: Any, action: LearnedAction, status: Status, by: str, reason: str) -> None:
        query = update(_VERSIONS).where(
            _VERSIONS.c.name == action.name, _VERSIONS.c.version == action.version
        )
        connection.execute(query.values(status=status, decided_by=by, reason=reason))

    # --------------------------------------------------------------------------------------- track record

    def tried(
        self,
        action: LearnedAction,
        task: str,
        ok: bool,
        *,
        purpose: Literal["validation", "use"] = "use",
        **details: Any,
    ) -> Standing:
        """Note that a version was carried out. An active one whose record has turned bad is deprecated."""
        row = {
            "name": action.name,
            "version": action.version,
            "ok": ok,
            "purpose": purpose,
            "task": task,
            "document": json.dumps(details, sort_keys=True),
            "created_at": now(),
        }
        with self._database.write() as connection:
            connection.execute(insert(_TRIALS).values(**row))
        standing = self.standing(action)
        if purpose == "use" and standing.recent >= WINDOW and standing.lower < LEAST_SUCCESS:
            with self._database.write() as connection:
                query = update(_VERSIONS).where(
                    _VERSIONS.c.name == action.name,
                    _VERSIONS.c.version == action.version,
                    _VERSIONS.c.status == "active",
                )
                reason = f"{standing.recent_successes} of the last {standing.recent} uses went well"
                connection.execute(
                    query.values(status="deprecated", decided_by="track record", reason=reason)
                )
        return standing

    def standing(self, action: LearnedAction) -> Standing:
        """How a version fared in use."""
        query = (
            select(_TRIALS.c.ok)
            .where(
                _TRIALS.c.name == action.name, _TRIALS.c.version == action.version, _TRIALS.c.purpose == "use"
            )
            .order_by(_TRIALS.c.id.desc())
        )
        with self._database.read() as connection:
            all_of = [bool(one) for one in connection.execute(query).scalars()]
        recent = all_of[:WINDOW]
        return Standing(
            uses=len(all_of),
            successes=sum(all_of),
            recent=len(recent),
            recent_successes=sum(recent),
            lower=wilson(sum(recent), len(recent)),
        )

    # --------------------------------------------------------------------------------------------- finding

    def recall(self, text: str, n: int = 5, domain: str | None = None) -> list[tuple[LearnedAction, float]]:
        """Active actions whose description is nearest to a text, nearest first, with the cosine.

        There are few of them, so that all are compared, with the embedder of the vector index.
        """
        active = self.known(domain, "active")
        if not active or n < 1:
            return []
        query, *vectors = self._embedder.embed([text, *(_words(one) for one in active)])
        ranked = sorted(
            ((round(float(query @ vector), 6), one) for vector, one in zip(vectors, active, strict=True)),
            key=lambda pair: (-pair[0], pair[1].name),
        )
        return [(one, similarity) for similarity, one in ranked[:n] if similarity > 0]


def wilson(successes: int, n: int, z: float = 1.96) -> float:
    """Lower bound of a share (Wilson 1927).

    Examples
    --------
    >>> round(wilson(14, 20), 3), wilson(0, 0)
    (0.481, 0.0)
    """
    if not n:
        return 0.0
    share = successes / n
    middle = share + z * z / (2 * n)
    wide = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - wide) / (1 + z * z / n))


def _words(action: LearnedAction) -> str:
    return f"{action.name.replace('_', ' ')} {action.description}"


def _further(known: LearnedAction, new: LearnedAction) -> Status:
    order: tuple[Status, ...] = ("candidate", "validated", "active")
    return max(known.status, new.status, key=order.index)


def _row(action: LearnedAction) -> dict[str, Any]:
    return {
        "name": action.name,
        "version": action.version,
        "parent": action.parent,
        "status": action.status,
        "sha256": action.sha256,
        "source": action.source,
        "description": action.description,
        "decided_by": action.decided_by,
        "reason": action.reason,
        "document": action.model_dump_json(exclude={"source", "status", "decided_by", "reason"}),
        "created_at": now(),
    }
