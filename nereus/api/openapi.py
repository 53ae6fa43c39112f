"""The description of the interface: every operation says that its errors are problem documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from nereus.api.problems import MEDIA_TYPE, Problem

_PROBLEM = "#/components/schemas/Problem"
_ANSWER = {
    "description": "Problem",
    "content": {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM}}},
}
OPENAI = "/v1/"
_OPENAI_ANSWER = {
    "description": "Error",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorDocument"}}},
}
_METHODS = ("get", "post", "put", "patch", "delete")
_FRAMEWORK = ("HTTPValidationError", "ValidationError")


def described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What describes an application, with problem documents in place of the framework's own errors.

    Any operation may answer with a problem beside those that it names (a broken body, too many requests, a request that
    is too large), hence the answer ``default``.
    """
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        made = plain()
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for name in _FRAMEWORK:
            schemas.pop(name, None)
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, path in made.get("paths", {}).items():
            for method in _METHODS:
                if method in path:
                    answers = path[method]["responses"]
                    if name.startswith(OPENAI):  # whose clients read errors in a form of their own
                        answers.pop("422", None)
                        answers["default"] = _OPENAI_ANSWER
                        continue
                    if "422" in answers:
                        answers["422"] = {**_ANSWER, "description": "Unprocessable Entity"}
                    answers["default"] = _ANSWER
        return made

    return openapi
