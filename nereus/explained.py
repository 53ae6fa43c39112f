"""Models whose fields are explained by the strings beneath them, in whatever thread their module is loaded.

pydantic (`use_attribute_docstrings`) finds a class's source through the frames that are being run, and those through
`inspect.getmodule`. That function marks a module as seen before it keeps where the module lies, so that a second thread
which asks in between is told that there is none, and all explanations of the class are lost without a word. From Python
3.13 pydantic asks for the source of the class itself, as `_written` does.
"""

from __future__ import annotations

import ast
import inspect
from textwrap import dedent
from typing import Any

from pydantic import BaseModel, ConfigDict


class Explained(BaseModel):
    """Base of models whose fields have docstrings."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        own = vars(cls).get("__annotations__", {})
        silent = [name for name in own if name in cls.model_fields and not cls.model_fields[name].description]
        found = _written(cls) if silent else {}
        lost = [name for name in silent if name in found]
        for name in lost:
            cls.model_fields[name].description = found[name]
        if lost:
            cls.model_rebuild(force=True)


def _written(cls: type) -> dict[str, str]:
    """Docstring of each field in the source of `cls`; none where there is no source (a class made in a console)."""
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        return {}
    (body,) = ast.parse(dedent(source)).body
    assert isinstance(body, ast.ClassDef)
    return {
        before.target.id: inspect.cleandoc(after.value.value)
        for before, after in zip(body.body, body.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
    }
