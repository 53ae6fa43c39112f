"""Files that people give: uploaded in a stream, checked before anything parses them, understood on request."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from nereus.api.access import Caller, Reader, State, Writer
from nereus.api.incoming import kept
from nereus.api.problems import documented
from nereus.api.routes.jobs import Wait, waited
from nereus.api.views import Dataset, JobView
from nereus.memory.jobs import Job

router = APIRouter(prefix="/api/datasets", tags=["data sets"])

MOST_FILES = 12
Role = Annotated[str, Field(pattern="^(data|samples|cohort|cohort_samples|layer:[a-z][a-z0-9_]{0,30})$")]
DatasetId = Annotated[str, Path(pattern="^d[0-9a-f]{16}$")]
_FAULTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=documented(*_FAULTS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
)
def upload(file: UploadFile, response: Response, state: State, caller: Writer) -> Dataset:
    """Upload a table, a sample sheet, an h5ad or an FCS file. Equal files are kept once, under the newest name."""
    made = state.uploads.add(caller.owner, kept(state.workspace, file))
    state.audit.add(caller.owner, "upload data set", f"{made.id} {made.name}", "done", caller.address)
    response.headers["location"] = f"/api/datasets/{made.id}"
    return Dataset.of(made)


@router.get("", responses=documented(*_FAULTS))
def list_datasets(
    state: State, caller: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[Dataset]:
    """Your data sets, newest first."""
    return [Dataset.of(one) for one in state.uploads.list(caller.owner, limit)]


class RolesRequest(BaseModel):
    """Files that belong together."""

    model_config = ConfigDict(extra="forbid")

    files: dict[Annotated[str, Field(pattern="^d[0-9a-f]{16}$")], Role | None] = Field(
        min_length=1, max_length=MOST_FILES
    )
    """Data set to what it is for: ``data``, ``samples``, ``cohort``, ``cohort_samples``, ``layer:<name>``; null: to be found."""


@router.post(
    "/roles",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(*_FAULTS, HTTPStatus.NOT_FOUND),
)
async def roles(asked: RolesRequest, state: State, caller: Writer, wait: Wait = 0) -> JobView:
    """Tell what each of some files is for, and what is wrong with what was said of them.

    The job's result has ``files``: ``id``, ``name``, ``role`` (empty: it is left out), ``why`` and ``problem`` (empty: none).
    """

    def queue() -> Job:
        request = {
            "inputs": files_of(state, caller, {one: one for one in asked.files}),
            "given": {one: role for one, role in asked.files.items() if role is not None},
        }
        return state.jobs.add(caller.owner, "roles", request)

    return await waited(state, caller, await run_in_threadpool(queue), wait)


@router.get("/{dataset_id}", responses=documented(*_FAULTS, HTTPStatus.NOT_FOUND))
def get_dataset(dataset_id: DatasetId, state: State, caller: Reader) -> Dataset:
    """One data set."""
    return Dataset.of(state.uploads.get(dataset_id, caller.owner))


@router.delete(
    "/{dataset_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(*_FAULTS, HTTPStatus.NOT_FOUND),
)
def forget_dataset(dataset_id: DatasetId, state: State, caller: Writer) -> None:
    """Forget a data set. Runs that were given it keep their copy."""
    state.uploads.remove(dataset_id, caller.owner)
    state.audit.add(caller.owner, "forget data set", dataset_id, "done", caller.address)


class ProfileRequest(BaseModel):
    """How a file is to be understood."""

    samples: str | None = None
    """Data set with the sample sheet."""
    load: dict[str, Any] = {}
    """Parameters of the reader where it should not decide alone."""


@router.post(
    "/{dataset_id}/profile",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(*_FAULTS, HTTPStatus.NOT_FOUND),
)
async def profile(
    dataset_id: DatasetId, asked: ProfileRequest, state: State, caller: Writer, wait: Wait = 0
) -> JobView:
    """Read a file and tell what it is: software, organism, samples, groups, missing values, comparisons it allows."""
    inputs = {"data": dataset_id} | ({"samples": asked.samples} if asked.samples else {})

    def queue() -> Job:
        request = {"inputs": files_of(state, caller, inputs), "load": asked.load}
        return state.jobs.add(caller.owner, "profile", request)

    return await waited(state, caller, await run_in_threadpool(queue), wait)


def files_of(state: State, caller: Caller, ids: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The kept files of data sets, by role, as a job holds them."""
    return {
        role: state.uploads.get(one, caller.owner).artifact.model_dump(mode="json")
        for role, one in ids.items()
    }
