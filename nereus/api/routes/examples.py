"""Examples that ship with the package: looked at, and taken among one's own data sets."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel

from nereus.api.access import Reader, State, Writer
from nereus.api.example_files import EXAMPLES, Example
from nereus.api.problems import documented
from nereus.api.views import Dataset
from nereus.errors import NotFound

router = APIRouter(prefix="/api/examples", tags=["data sets"])

_FAULTS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class ExampleView(BaseModel):
    """An example."""

    name: str
    title: str
    about: str
    question: str
    source: str
    licence: str

    @classmethod
    def of(cls, example: Example) -> ExampleView:
        """What is told of an example."""
        return cls(**{name: getattr(example, name) for name in cls.model_fields})


class TakenExample(BaseModel):
    """An example among one's data sets."""

    data: Dataset
    samples: Dataset
    question: str


@router.get("", responses=documented(*_FAULTS))
def list_examples(caller: Reader) -> list[ExampleView]:
    """Examples that are installed."""
    del caller
    return [ExampleView.of(one) for one in EXAMPLES if one.folder is not None]


@router.post(
    "/{name}",
    status_code=HTTPStatus.CREATED,
    responses=documented(*_FAULTS, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
)
def take_example(name: str, state: State, caller: Writer) -> TakenExample:
    """Put an example among your data sets, as if you had uploaded it."""
    example = next((one for one in EXAMPLES if one.name == name), None)
    folder = None if example is None else example.folder
    if example is None or folder is None:
        known = [one.name for one in EXAMPLES if one.folder is not None]
        raise NotFound(f"there is no example {name!r}", mend=f"there are {known}")
    artifacts = state.workspace.artifacts
    data, samples = (
        Dataset.of(state.uploads.add(caller.owner, artifacts.put_file(folder / file, file)))
        for file in (example.data, example.samples)
    )
    return TakenExample(data=data, samples=samples, question=example.question)
