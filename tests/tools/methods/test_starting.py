"""Tools that train from a trained method: it is an input, never a folder of the machine; the call's seed is the only one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nereus.errors import InputError, PlanError
from nereus.models import registry as methods
from nereus.tools import registry
from nereus.tools.base import TrainedMethod
from nereus.tools.methods.catalogue import STARTING
from nereus.tools.methods.made import config_class
from tests.models.cases import CASES, trained


def test_a_tool_starts_from_a_model_that_it_is_given_and_tells_its_hash() -> None:
    table, columns = CASES["mgssl"].table()
    tool = registry.get("fit_mgssl")
    given = TrainedMethod(trained("mgssl").to_bytes())
    params = {**columns, "settings": CASES["mgssl"].settings, "held_out": 0}
    first, second = (tool.run({"table": table, "pretrained": given}, params, 1) for _ in range(2))
    assert not any("pretraining" in name for name in first.tables["history"])  # which was done before
    assert "pretraining" in " ".join(tool.run({"table": table}, params, 1).tables["history"])
    made = first.models["model"]
    assert made.content == second.models["model"].content
    assert made.open().config.pretrained.startswith("sha256:")
    wide = {**params, "settings": {**CASES["mgssl"].settings, "width": 16}}
    with pytest.raises(InputError, match=r"input 'pretrained': the pre-trained method has width 8"):
        tool.run({"table": table, "pretrained": given}, wide, 1)
    with pytest.raises(InputError, match="input 'pretrained': this is 'asgn'"):
        tool.run({"table": table, "pretrained": TrainedMethod(trained("asgn").to_bytes())}, params, 1)


READING = [one for one in methods.names() if "pretrained" in config_class(methods.card(one)).model_fields]


@pytest.mark.parametrize("method", READING)
def test_no_tool_reads_a_folder_of_the_machine(method: str, tmp_path: Path) -> None:
    tool = registry.get(f"fit_{method}")
    params = {**CASES[method].table()[1], "settings": {"pretrained": str(tmp_path)}}
    with pytest.raises(PlanError, match="a tool reads only its inputs"):
        tool.validate(params)
    takes = "pretrained" in {one.name for one in tool.inputs if one.optional}
    assert takes == (method in STARTING)


def test_a_second_seed_is_refused() -> None:
    columns = CASES["mgssl"].table()[1]
    with pytest.raises(PlanError, match="the seed of the call is the random_state"):
        registry.get("fit_mgssl").validate({**columns, "settings": {"random_state": 5}})
