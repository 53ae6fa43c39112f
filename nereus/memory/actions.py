"""Learned actions: Python functions with their source, hash, signature, words, tests, versions and track record.

A version is never changed: a revision is a new version with its parent. Its status goes from candidate to validated, by
tests that it passed on tasks that it was not learned from, to active, by whoever approves it; an active one whose record
turns bad is deprecated, and a person may revoke any. What is read is compared with its seal, so that a version that
was changed in the database is refused. What is decided is decided on what is stored at that moment, not on what a caller
read before: who tests or approves meanwhile brings no revoked action back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from nereus.errors import InputError, NotFound, StoreError
from nereus.memory.action_records import (
    ActionTest,
    LearnedAction,
    Standing,
    Status,
    refuse_strange,
    wilson,
)
from nereus.memory.action_rows import read_row, row_of
from nereus.memory.database.action_tables import ActionRow, ActionTrialRow, ActionVersionRow
from nereus.memory.database.engine import Database, now
from nereus.memory.embedding import HashedEmbedder

if TYPE_CHECKING:
    from nereus.memory.embedding import Embedder

WINDOW = 20
"""Last uses that the track record is read from."""
LEAST_SUCCESS = 0.5
"""An action is retired when the lower bound of the success of a whole window is below it, or the upper bound of fewer uses."""
TRACK_RECORD = "track record"
"""Who retired it, where nobody did."""
UNATTENDED = "setting"
"""Who approves where nobody is asked."""

_ACTIONS = cast(Table, ActionRow.__table__)
_VERSIONS = cast(Table, ActionVersionRow.__table__)
_TRIALS = cast(Table, ActionTrialRow.__table__)


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
        """Keep an action as a candidate, as a new version where its name is known with other content; return it as kept.

        What is known already is returned as it stands: its status follows from tests and decisions alone.

        Raises
        ------
        InputError
            The name is that of an action of another domain, or the action is none.
        """
        refuse_strange(action)
        fresh = {"status": "candidate", "tests": (), "decided_by": "", "reason": ""}
        with self._database.write() as connection:
            born = self._database.insert(_ACTIONS).values(
                name=action.name, domain=action.domain, version=0, created_at=now()
            )
            connection.execute(born.on_conflict_do_nothing())
            newest = self._held(connection, action.name)
            domain = select(_ACTIONS.c.domain).where(_ACTIONS.c.name == action.name)
            if (other := connection.execute(domain).scalar_one()) != action.domain:
                raise InputError(
                    f"the name {action.name!r} is taken by an action of {other!r}",
                    where="actions",
                    mend="choose another name",
                )
            for version in range(newest, 0, -1):
                try:
                    known = self._read(connection, action.name, version)
                except StoreError:  # what was changed is left as it is, and counts as other content
                    continue
                if known.seal == action.seal:
                    return known
            kept = action.model_copy(update={**fresh, "version": newest + 1, "parent": newest or None})
            changed = update(_ACTIONS).where(_ACTIONS.c.name == action.name)
            connection.execute(changed.values(version=kept.version))
            self._database.put(connection, _VERSIONS, [row_of(kept)])
        return kept

    def get(self, name: str, version: int | None = None) -> LearnedAction:
        """A version of an action, the newest by default.

        Raises
        ------
        NotFound
            There is no such action or version.
        StoreError
            It is not the one that was kept.
        """
        with self._database.read() as connection:
            if version is None:
                version = self._newest(connection, name)
            return self._read(connection, name, version)

    def versions(self, name: str) -> list[LearnedAction]:
        """All versions of an action, oldest first."""
        query = select(_VERSIONS.c.version).where(_VERSIONS.c.name == name).order_by(_VERSIONS.c.version)
        with self._database.read() as connection:
            return [self._read(connection, name, one) for one in connection.execute(query).scalars().all()]

    def known(self, domain: str | None = None, status: Status | None = None) -> list[LearnedAction]:
        """Newest versions by name, without those that were changed (`changed` names them).

        With ``active`` those that may be used, which may be older than the newest.
        """
        return [one for _, _, one in self._of(domain, status) if one is not None]

    def changed(self, domain: str | None = None) -> list[tuple[str, int]]:
        """Name and version of those that are not what was kept: they are never run."""
        return [(name, version) for name, version, one in self._of(domain, None) if one is None]

    def usable(self, domain: str | None = None) -> list[LearnedAction]:
        """Active actions that passed a test; one that was changed is left out."""
        return [one for one in self.known(domain, "active") if any(test.ok for test in one.tests)]

    def may_run(self, action: LearnedAction) -> bool:
        """Whether a version that was read before may still be run: it is there, unchanged, and nobody revoked it."""
        with self._database.read() as connection:
            try:
                stored = self._read(connection, action.name, action.version)
            except (NotFound, StoreError):
                return False
        return stored.seal == action.seal and stored.status not in ("revoked", "candidate")

    def remove(self, name: str) -> None:
        """Forget an action with all its versions."""
        with self._database.write() as connection:
            connection.execute(delete(_ACTIONS).where(_ACTIONS.c.name == name))

    def _of(self, domain: str | None, status: Status | None) -> list[tuple[str, int, LearnedAction | None]]:
        query = select(_VERSIONS.c.name, func.max(_VERSIONS.c.version).label("version")).group_by(
            _VERSIONS.c.name
        )
        if status is not None:
            query = query.where(_VERSIONS.c.status == status)
        if domain is not None:
            query = query.join(_ACTIONS, _ACTIONS.c.name == _VERSIONS.c.name).where(
                _ACTIONS.c.domain == domain
            )
        found: list[tuple[str, int, LearnedAction | None]] = []
        with self._database.read() as connection:
            for row in connection.execute(query.order_by(_VERSIONS.c.name)).all():
                try:
                    found.append((row.name, row.version, self._read(connection, row.name, row.version)))
                except StoreError:
                    found.append((row.name, row.version, None))
        return found

    def _held(self, connection: Connection, name: str) -> int:
        """The newest version; until the transaction ends, nobody else decides about this action."""
        return self._newest(connection, name, hold=True)

    def _newest(self, connection: Connection, name: str, hold: bool = False) -> int:
        query = select(_ACTIONS.c.version).where(_ACTIONS.c.name == name)
        found = connection.execute(query.with_for_update() if hold else query).scalar()
        if found is None:
            raise NotFound(f"there is no action {name!r}", mend="`nereus actions list` names them")
        return int(found)

    def _read(self, connection: Connection, name: str, version: int) -> LearnedAction:
        query = select(_VERSIONS).where(_VERSIONS.c.name == name, _VERSIONS.c.version == version)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"{name!r} has no version {version}", mend=f"see `nereus actions show {name}`")
        action = read_row(row)
        if action is None or (action.name, action.version) != (name, version):
            raise StoreError(
                f"the source of version {version}, or what is kept with it, is not the one that was kept",
                where=f"action {name!r}",
                mend=f"`nereus actions revoke {name}`, and learn it again",
            )
        return action

    # ------------------------------------------------------------------------------------------ deciding

    def validated(self, action: LearnedAction, tests: Iterable[ActionTest], ok: bool = True) -> LearnedAction:
        """Keep what a validation showed; a version that failed it stays, or becomes again, a candidate.

        Parameters
        ----------
        action
            The version that was tested.
        tests
            Its calls on tasks that it was not learned from: without one that went well, or with more that did not,
            nothing is validated.
        ok
            False where the validation found a fault beside them.

        Raises
        ------
        InputError
            A test is on what the action was learned from.
        StoreError
            What was tested is not what is kept.
        """
        tests = tuple(tests)
        taught = action.learned_from & {one.task for one in tests}
        if taught:
            raise InputError(
                f"{sorted(taught)[0]!r} is what it was learned from",
                where=f"action {action.name!r}",
                mend="validate it on other tasks",
            )
        well = sum(one.ok for one in tests)
        passed = ok and well > 0 and well >= LEAST_SUCCESS * len(tests)
        with self._database.write() as connection:
            self._held(connection, action.name)
            stored = self._read(connection, action.name, action.version)
            if stored.seal != action.seal:
                raise StoreError(
                    f"version {action.version} is not the one that was tested",
                    where=f"action {action.name!r}",
                )
            changes: dict[str, Any] = {"tests": tests} if tests else {}
            if stored.status != "revoked":
                changes |= _after_test(stored.status, passed)
            self._database.put(connection, _VERSIONS, [row_of(stored.model_copy(update=changes))])
            for one in tests:
                self._note(connection, action, one.task, one.ok, "validation", {})
        return self.get(action.name, action.version)

    def approve(self, name: str, by: str, version: int | None = None) -> LearnedAction:
        """Let a validated version be used; an older active one is deprecated.

        Where nobody is asked (``by`` is `UNATTENDED`), what a person revoked and what its record retired stay out of use,
        under whatever name they come back.

        Raises
        ------
        InputError
            It was not validated, or it was revoked.
        """
        with self._database.write() as connection:
            newest = self._held(connection, name)
            action = self._read(connection, name, version or newest)
            if action.status not in ("validated", "active") or not any(one.ok for one in action.tests):
                raise InputError(
                    f"version {action.version} is {action.status}",
                    where=f"action {name!r}",
                    mend=f"only what was validated may be used: `nereus actions test {name}`",
                )
            if by == UNATTENDED and (why := self._barred(connection, action)):
                raise InputError(
                    why,
                    where=f"action {name!r}",
                    mend=f"`nereus actions approve {name}` allows it all the same",
                )
            others = update(_VERSIONS).where(
                _VERSIONS.c.name == name,
                _VERSIONS.c.status == "active",
                _VERSIONS.c.version != action.version,
            )
            connection.execute(
                others.values(status="deprecated", reason=f"replaced by version {action.version}")
            )
            self._decide(connection, action, "active", by, "")
        return self.get(name, action.version)

    def revoke(self, name: str, by: str, reason: str = "") -> None:
        """Let no version be used again, also where one was changed.

        Raises
        ------
        NotFound
            There is no such action.
        """
        with self._database.write() as connection:
            self._held(connection, name)
            query = update(_VERSIONS).where(_VERSIONS.c.name == name)
            connection.execute(query.values(status="revoked", decided_by=by, reason=reason))

    def _barred(self, connection: Connection, action: LearnedAction) -> str:
        """Why an action does not come into use unattended: it was taken out of use before."""
        query = select(_VERSIONS.c.name, _VERSIONS.c.version, _VERSIONS.c.status, _VERSIONS.c.decided_by)
        gone = query.where((_VERSIONS.c.status == "revoked") | (_VERSIONS.c.decided_by == TRACK_RECORD))
        for row in connection.execute(gone.order_by(_VERSIONS.c.name, _VERSIONS.c.version)).all():
            try:
                same = self._read(connection, row.name, row.version).behaviour == action.behaviour
            except StoreError:
                same = False
            if same or (row.name == action.name and row.status == "revoked"):
                who = f"retired by its {TRACK_RECORD}" if row.decided_by == TRACK_RECORD else "revoked"
                return f"{row.name!r} version {row.version} was {who}"
        return ""

    def _decide(
        self, connection: Connection, action: LearnedAction, status: Status, by: str, reason: str
    ) -> None:
        query = update(_VERSIONS).where(
            _VERSIONS.c.name == action.name, _VERSIONS.c.version == action.version
        )
        connection.execute(query.values(status=status, decided_by=by[:64], reason=reason))

    # --------------------------------------------------------------------------------------- track record

    def tried(self, action: LearnedAction, task: str, ok: bool, **details: Any) -> Standing:
        """Note that a version was used. An active one whose record has turned bad is deprecated.

        A version that is not kept any more has no record, and nothing is noted.
        """
        with self._database.write() as connection:
            if self._note(connection, action, task, ok, "use", details):
                standing = self._standing(connection, action)
                full = standing.recent >= WINDOW and standing.lower < LEAST_SUCCESS
                if full or standing.upper < LEAST_SUCCESS:
                    query = update(_VERSIONS).where(
                        _VERSIONS.c.name == action.name,
                        _VERSIONS.c.version == action.version,
                        _VERSIONS.c.status == "active",
                    )
                    reason = f"{standing.recent_successes} of the last {standing.recent} uses went well"
                    connection.execute(
                        query.values(status="deprecated", decided_by=TRACK_RECORD, reason=reason)
                    )
        return self.standing(action)

    def standing(self, action: LearnedAction) -> Standing:
        """How a version fared in use."""
        with self._database.read() as connection:
            return self._standing(connection, action)

    def _note(
        self,
        connection: Connection,
        action: LearnedAction,
        task: str,
        ok: bool,
        purpose: Literal["validation", "use"],
        details: dict[str, Any],
    ) -> bool:
        kept = select(_VERSIONS.c.version).where(
            _VERSIONS.c.name == action.name, _VERSIONS.c.version == action.version
        )
        if connection.execute(kept).one_or_none() is None:
            return False
        row = {
            "name": action.name,
            "version": action.version,
            "ok": ok,
            "purpose": purpose,
            "task": task,
            "document": json.dumps(details, sort_keys=True),
            "created_at": now(),
        }
        if details:  # a node of a run that goes on again notes the same use once more
            names = ("name", "version", "purpose", "task", "document")
            known = select(_TRIALS.c.id).where(*(_TRIALS.c[one] == row[one] for one in names))
            if connection.execute(known.limit(1)).first() is not None:
                return False
        connection.execute(insert(_TRIALS).values(**row))
        return True

    def _standing(self, connection: Connection, action: LearnedAction) -> Standing:
        query = (
            select(_TRIALS.c.ok)
            .where(
                _TRIALS.c.name == action.name, _TRIALS.c.version == action.version, _TRIALS.c.purpose == "use"
            )
            .order_by(_TRIALS.c.id.desc())
        )
        all_of = [bool(one) for one in connection.execute(query).scalars()]
        recent = all_of[:WINDOW]
        went, n = sum(recent), len(recent)
        return Standing(
            uses=len(all_of),
            successes=sum(all_of),
            recent=n,
            recent_successes=went,
            lower=wilson(went, n),
            upper=1.0 - wilson(n - went, n),
        )

    # --------------------------------------------------------------------------------------------- finding

    def recall(self, text: str, n: int = 5, domain: str | None = None) -> list[tuple[LearnedAction, float]]:
        """Active actions whose description is nearest to a text, nearest first, with the cosine.

        There are few of them, so that all are compared, with the embedder of the vector index.
        """
        return nearest(self.usable(domain), text, n, self._embedder)


def nearest(
    actions: Sequence[LearnedAction], text: str, n: int, embedder: Embedder | None = None
) -> list[tuple[LearnedAction, float]]:
    """Those of the actions whose name and description are nearest to a text, with the cosine; none that shares nothing."""
    if not actions or n < 1:
        return []
    query, *vectors = (embedder or HashedEmbedder()).embed([text, *(_words(one) for one in actions)])
    ranked = sorted(
        ((round(float(query @ vector), 6), one) for vector, one in zip(vectors, actions, strict=True)),
        key=lambda pair: (-pair[0], pair[1].name),
    )
    return [(one, similarity) for similarity, one in ranked[:n] if similarity > 0]


def _words(action: LearnedAction) -> str:
    return f"{action.name.replace('_', ' ')} {action.description}"


def _after_test(status: Status, passed: bool) -> dict[str, str]:
    """What a validation makes of a status. One that was out of use is validated again; using it is decided anew."""
    if passed:
        return {} if status in ("validated", "active") else {"status": "validated", "reason": ""}
    if status == "active":
        return {"status": "deprecated", "decided_by": "validation", "reason": "a validation failed"}
    return {"status": "candidate"} if status == "validated" else {}


__all__ = [
    "LEAST_SUCCESS",
    "TRACK_RECORD",
    "UNATTENDED",
    "WINDOW",
    "ActionTest",
    "Actions",
    "LearnedAction",
    "Standing",
    "Status",
    "nearest",
    "wilson",
]
