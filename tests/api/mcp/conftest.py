"""The application with tokens, in this process."""

from tests.api.openai.conftest import served

__all__ = ["served"]
