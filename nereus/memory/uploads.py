"""Files that people gave to the server, by owner. The content is an artifact; an upload is a name for it."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Table, delete, select

from nereus.errors import NotFound
from nereus.memory.database.engine import Database, now
from nereus.memory.database.server_tables import UploadRow
from nereus.memory.records import ArtifactRef, Record

_UPLOADS = cast(Table, UploadRow.__table__)
_DIGITS = 16


class Upload(Record):
    """A file that somebody gave."""

    id: str
    owner: str
    name: str
    size: int
    """Bytes."""
    created_at: str
    artifact: ArtifactRef


class Uploads:
    """Keeps and finds uploads.

    Parameters
    ----------
    database
        The open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, owner: str, artifact: ArtifactRef) -> Upload:
        """Keep a file under its owner; given again, the newest name holds."""
        upload = Upload(
            id=f"d{artifact.id[:_DIGITS]}",
            owner=owner,
            name=artifact.name,
            size=artifact.size,
            created_at=now(),
            artifact=artifact,
        )
        row: dict[str, Any] = upload.model_dump(exclude={"artifact"}) | {
            "artifact_id": artifact.id,
            "document": artifact.model_dump_json(),
        }
        with self._database.write() as connection:
            self._database.put(connection, _UPLOADS, [row])
        return self.get(upload.id, owner)

    def get(self, upload_id: str, owner: str) -> Upload:
        """Look an upload of an owner up; `NotFound` where there is none."""
        query = select(_UPLOADS).where(_UPLOADS.c.owner == owner, _UPLOADS.c.id == upload_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"there is no data set {upload_id!r}", mend="upload the file first")
        return _upload(row)

    def list(self, owner: str, limit: int | None = None) -> list[Upload]:
        """Uploads of an owner, newest first."""
        query = select(_UPLOADS).where(_UPLOADS.c.owner == owner)
        query = query.order_by(_UPLOADS.c.created_at.desc(), _UPLOADS.c.id).limit(limit)
        with self._database.read() as connection:
            return [_upload(row) for row in connection.execute(query)]

    def remove(self, upload_id: str, owner: str) -> None:
        """Forget an upload; runs that were given it keep the file. `NotFound` where there is none."""
        with self._database.write() as connection:
            query = delete(_UPLOADS).where(_UPLOADS.c.owner == owner, _UPLOADS.c.id == upload_id)
            if not connection.execute(query).rowcount:
                raise NotFound(f"there is no data set {upload_id!r}", mend="upload the file first")


def _upload(row: Any) -> Upload:
    return Upload(
        id=row.id,
        owner=row.owner,
        name=row.name,
        size=row.size,
        created_at=row.created_at,
        artifact=ArtifactRef.model_validate_json(row.document),
    )
