"""Fields keep their explanations when other threads ask for modules while a model is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType

import pytest
from pydantic import BaseModel, ConfigDict, Field

import nereus
from nereus.explained import Explained


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """`inspect.getmodule` knows no module of a frame: what a second thread is told at the wrong time."""
    real: Callable[[object], ModuleType | None] = inspect.getmodule

    def getmodule(thing: object, name: str | None = None) -> ModuleType | None:
        return None if isinstance(thing, FrameType) else real(thing)

    monkeypatch.setattr(inspect, "getmodule", getmodule)


@pytest.mark.usefixtures("lost")
def test_explanations_that_pydantic_loses_are_found() -> None:
    class Plain(BaseModel):
        model_config = ConfigDict(use_attribute_docstrings=True)

        width: int = 3
        """Units of a layer."""

    class First(Explained):
        width: int = Field(default=3, ge=1)
        """Units
        of a layer."""
        depth: int = 1
        named: int = Field(default=0, description="given")
        """not this"""

    class Second(First):
        rate: float = 0.1
        """Step size."""

    assert Plain.model_fields["width"].description is None, (
        "pydantic found it: this test proves nothing any more"
    )
    fields = Second.model_json_schema()["properties"]
    assert fields["width"]["description"] == "Units\nof a layer."
    assert "description" not in fields["depth"]
    assert fields["named"]["description"] == "given"
    assert fields["rate"]["description"] == "Step size."
    assert Second(width=2).model_dump() == {"width": 2, "depth": 1, "named": 0, "rate": 0.1}
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Second(width=0)


def test_a_model_without_source_is_made_without_explanations() -> None:
    made: dict[str, type[Explained]] = {"Explained": Explained}
    exec("class Made(Explained):\n    width: int = 3\n", made)
    assert made["Made"].model_fields["width"].description is None


def test_every_model_of_ours_with_docstrings_is_explained_this_way() -> None:
    root = Path(nereus.__file__).parent
    used = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "use_attribute_docstrings" in path.read_text(encoding="utf-8")
    ]
    assert sorted(used) == ["explained.py", "settings.py"], "derive it from nereus.explained.Explained"
