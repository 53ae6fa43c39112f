"""Secrets taken out of texts that leave the process: by their values where they are known, by their form where they are not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from nereus.settings import Settings

HIDDEN = "***"
_SHORTEST = 6
"""A shorter value would be found in words that are none of it."""
_NAMED = r"(?:api[_-]?key|access[_-]?token|auth[_-]?token|token|secret|password|passwd|pwd|credential)s?"
_FORMS = (
    (re.compile(r"\bnrs_[A-Za-z0-9_-]{8,}"), HIDDEN),  # our own tokens
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abps]|hf)[-_][A-Za-z0-9_-]{8,}"), HIDDEN),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), HIDDEN),  # signed tokens
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@", re.IGNORECASE), rf"\1:{HIDDEN}@"),
    (
        re.compile(rf"(?i)([\"']?[\w-]*{_NAMED}[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&}}]+)"),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        HIDDEN,
    ),
)
_SECRET_NAME = re.compile(rf"(?i){_NAMED}$")


class Redactor:
    """Takes secrets out of texts.

    Parameters
    ----------
    values
        Secrets that are known.

    Examples
    --------
    >>> Redactor(["correct horse"]).clean("login with correct horse, Authorization: Bearer abcdef123456")
    'login with ***, Authorization: Bearer ***'
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = sorted({one for one in values if len(one) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    @classmethod
    def of(cls, settings: Settings) -> Redactor:
        """One that knows the secrets of the settings, and those that the environment names as such."""
        environment = (value for name, value in os.environ.items() if _SECRET_NAME.search(name))
        return cls([*_secrets(settings), *environment])

    def clean(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for form, instead in _FORMS:
            text = form.sub(instead, text)
        return text


def _secrets(value: Any) -> Iterable[str]:
    """Every secret among settings: marked ones, and passwords in addresses."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _secrets(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _secrets(one)
    elif isinstance(value, str) and "://" in value:
        try:
            yield urlsplit(value).password or ""
        except ValueError:
            return
