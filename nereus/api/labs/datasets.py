"""Data sets: files that were given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nereus.api.labs.asking import Ask, Asks, Awaits, Waits, verb
from nereus.api.labs.shown import Listing
from nereus.api.labs.work import ended, job_verb, quoted
from nereus.api.views import Dataset, JobView
from nereus.errors import InputError

Given = str | Path | Dataset
"""A file, which is uploaded, or a data set or its id."""
_COLUMNS = ("id", "name", "size", "created_at")


def uploaded(file: str | Path) -> Asks[Dataset]:
    """Upload a file."""
    path = Path(file).expanduser()
    try:
        with path.open("rb") as content:
            answer = yield Ask("POST", "/api/datasets", {"files": {"file": (path.name, content)}})
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", where=str(path), mend="check the path"
        ) from None
    return Dataset.model_validate(answer.json())


def id_of(one: Given) -> Asks[str]:
    """The id of a data set, which is uploaded where a file is named."""
    if isinstance(one, Dataset):
        return one.id
    if isinstance(one, Path) or Path(one).expanduser().is_file():
        return (yield from uploaded(one)).id
    return one


class DatasetVerbs:
    """The data sets."""

    @verb
    def upload(self, file: str | Path) -> Asks[Dataset]:
        """Upload a file. Equal files are kept once.

        Raises
        ------
        InputError
            There is no such file, or it is none that could be a table.
        """
        return (yield from uploaded(file))

    @verb
    def list(self, limit: int = 100) -> Asks[Listing[Dataset]]:
        """Your data sets, newest first."""
        answer = yield Ask("GET", "/api/datasets", {"params": {"limit": limit}})
        return Listing(map(Dataset.model_validate, answer.json()), _COLUMNS, "data sets")

    @verb
    def get(self, dataset: str) -> Asks[Dataset]:
        """A data set by its id."""
        answer = yield Ask("GET", f"/api/datasets/{quoted(dataset)}")
        return Dataset.model_validate(answer.json())

    @verb
    def forget(self, dataset: str | Dataset) -> Asks[None]:
        """Forget a data set; runs that were given it keep their copy."""
        name = dataset.id if isinstance(dataset, Dataset) else dataset
        yield Ask("DELETE", f"/api/datasets/{quoted(name)}")

    @job_verb
    def profile(
        self, data: Given, samples: Given | None = None, load: Mapping[str, Any] | None = None
    ) -> Asks[JobView]:
        """Read a file and tell what it is; see ``values``, ``warnings`` and the tables of the job."""
        sheet = None if samples is None else (yield from id_of(samples))
        data_id = yield from id_of(data)
        body = {"samples": sheet, "load": dict(load or {})}
        answer = yield Ask("POST", f"/api/datasets/{quoted(data_id)}/profile", {"json": body})
        return (yield from ended(JobView.model_validate(answer.json())))


class Datasets(DatasetVerbs, Waits):
    """The data sets."""


class AsyncDatasets(DatasetVerbs, Awaits):
    """The data sets, with verbs that are awaited."""
