"""A tiny model, made once, and a real server for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nereus.models.llm.serving import Served, served
from tests.models.llm import tiny


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained Qwen2 and its tokenizer."""
    pytest.importorskip("torch")
    return tiny.make(tmp_path_factory.mktemp("tiny-qwen2"))


@pytest.fixture(scope="session")
def tiny_server(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The tiny model behind transformers' own server, in a process of its own."""
    pytest.importorskip("openai")
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with served(tiny_folder, log=log, engine="transformers", gpu=False, ready_s=180) as server:
        yield server
