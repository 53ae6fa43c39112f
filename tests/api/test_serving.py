"""What a worker beside the server is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from nereus.api.serving import worker_environment
from nereus.settings import load_settings


def test_a_worker_reads_the_settings_of_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = load_settings(
        home=tmp_path,
        seed=7,
        llm_base_url="http://127.0.0.1:9/v1",
        llm_model="m",
        llm_api_key="a-key",
        mcp_servers={
            "lab": {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer a-secret"}}
        },
    )
    for name, value in worker_environment(given).items():
        monkeypatch.setenv(name, value)
    read = load_settings()
    assert read.model_dump() == given.model_dump()
    assert read.mcp_servers["lab"].headers["Authorization"].get_secret_value() == "Bearer a-secret"
    assert read.llm_api_key is not None
    assert read.llm_api_key.get_secret_value() == "a-key"
