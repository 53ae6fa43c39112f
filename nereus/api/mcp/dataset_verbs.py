"""Verbs on files: list them, add one, tell what one is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import UploadFile
from mcp import types
from pydantic import BaseModel, Field

from nereus.api.incoming import kept
from nereus.api.mcp.asked import Asked
from nereus.api.mcp.uris import dataset_uri
from nereus.api.mcp.verbs import Answer, Arguments, Verb
from nereus.api.mcp.works import MAX_WAIT_S, Work, waited
from nereus.api.routes.datasets import files_of
from nereus.errors import InputError
from nereus.memory.jobs import Job
from nereus.memory.uploads import Upload

MAX_TEXT = 3 * 2**20
"""Characters of a table that comes within a request; larger ones are uploaded to ``/api/datasets``."""


class DatasetEntry(BaseModel):
    """A file."""

    id: str
    name: str
    size: int
    """Bytes."""
    created_at: str
    uri: str

    @classmethod
    def of(cls, upload: Upload) -> DatasetEntry:
        """What is told of an upload."""
        return cls(
            id=upload.id,
            name=upload.name,
            size=upload.size,
            created_at=upload.created_at,
            uri=dataset_uri(upload.id),
        )


class ListArguments(Arguments):
    """Which files."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    """At most so many, newest first."""


class DatasetList(Answer):
    """Your files, newest first."""

    datasets: list[DatasetEntry]


class AddArguments(Arguments):
    """A table as text."""

    name: Annotated[str, Field(min_length=1, max_length=300)]
    """File name, with its suffix: ``proteins.csv``."""
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    """The table, as CSV or TSV with a header: one row a protein, one column a sample; or a sample sheet."""


class AddPathArguments(Arguments):
    """A file of this machine."""

    path: str
    """Where it is: an absolute path."""


class Added(Answer):
    """The file as it is kept."""

    dataset: DatasetEntry

    def links(self) -> list[types.ResourceLink]:
        """The file."""
        return [types.ResourceLink(type="resource_link", uri=self.dataset.uri, name=self.dataset.name)]


class DescribeArguments(Arguments):
    """Which file, and how it is read."""

    dataset: str
    """Id of the data set, as `datasets_list` gives it."""
    samples: str | None = None
    """Data set with the sample sheet."""
    load: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the reader where it should not decide alone."""
    wait_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 30
    """Seconds to wait for the end."""


async def _list(asked: Asked, given: ListArguments) -> DatasetList:
    found = await run_sync(asked.state.uploads.list, asked.caller.owner, given.limit)
    return DatasetList(datasets=[DatasetEntry.of(one) for one in found])


async def _add(asked: Asked, given: AddArguments) -> Added:
    return await run_sync(_keep, asked, given.name, given.text.encode())


async def _add_path(asked: Asked, given: AddPathArguments) -> Added:
    def read() -> Added:
        path = Path(given.path).expanduser()
        if not path.is_absolute() or not path.is_file():
            raise InputError(
                f"{given.path!r} is no file", where="path", mend="give the absolute path of a file"
            )
        limit = asked.state.settings.serve_upload_mb * 2**20
        if path.stat().st_size > limit:
            raise InputError(
                f"the file is larger than {limit // 2**20} MiB", where="path", mend="raise serve_upload_mb"
            )
        with path.open("rb") as stream:
            return _noted(
                asked,
                asked.state.uploads.add(
                    asked.caller.owner, kept(asked.state.workspace, UploadFile(stream, filename=path.name))
                ),
            )

    return await run_sync(read)


def _keep(asked: Asked, name: str, content: bytes) -> Added:
    upload = UploadFile(io.BytesIO(content), filename=name)
    return _noted(asked, asked.state.uploads.add(asked.caller.owner, kept(asked.state.workspace, upload)))


def _noted(asked: Asked, made: Upload) -> Added:
    act = f"{made.id} {made.name}"
    asked.state.audit.add(asked.caller.owner, "upload data set", act, "done", asked.caller.address)
    return Added(dataset=DatasetEntry.of(made))


async def _describe(asked: Asked, given: DescribeArguments) -> Work:
    inputs = {"data": given.dataset} | ({"samples": given.samples} if given.samples else {})

    def queue() -> Job:
        asked.before_work()
        request = {"inputs": files_of(asked.state, asked.caller, inputs), "load": given.load}
        return asked.state.jobs.add(asked.caller.owner, "profile", request)

    return await waited(asked, await run_sync(queue), given.wait_s)


VERBS: tuple[Verb[Any], ...] = (
    Verb("datasets_list", "List data sets", "Your files, newest first.", ListArguments, DatasetList, _list),
    Verb(
        "dataset_add",
        "Add a table",
        "Keep a table that is given as text (CSV or TSV) as a data set. Equal contents are kept once.",
        AddArguments,
        Added,
        _add,
        scope="write",
    ),
    Verb(
        "dataset_add_file",
        "Add a file",
        "Keep a file of this machine as a data set: MaxQuant, DIA-NN, wide CSV/TSV/XLSX, h5ad, FCS.",
        AddPathArguments,
        Added,
        _add_path,
        scope="write",
        local_only=True,
    ),
    Verb(
        "dataset_describe",
        "Tell what a file is",
        "Read a file and tell what it is: software, organism, samples, groups, missing values, the comparisons it allows.",
        DescribeArguments,
        Work,
        _describe,
        scope="write",
    ),
)
