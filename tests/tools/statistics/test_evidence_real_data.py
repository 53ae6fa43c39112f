"""The calculus end to end on a real spike-in whose truth may be looked at: 47 proteins change, two thousand do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nereus.tools import registry
from nereus.tools.base import SourceFile
from nereus.tools.statistics.moderated_t import benjamini_hochberg

OPTIONS = {"background": "auto", "prior_covariate": "auto", "min_per_group": 1}


@pytest.mark.parametrize("name", ["Exp1_R25", "Exp1_R2"])
def test_spiked_proteins_are_claimed_and_yeast_is_not(shared_data: Path, name: str) -> None:
    folder = shared_data / "spike_ups1_yeast_ramus"
    files = [SourceFile(folder / file, file) for file in (f"{name}_prot.txt.gz", f"samples_{name}.txt")]
    data = registry.get("load_dataset")(*files).dataset()
    data = registry.get("normalise")(data, method="median").dataset()
    data = registry.get("combine_quantities")(data).dataset()
    a, b = data.obs["Condition"].iloc[[0, -1]].astype(str)
    contrast = {"factor": "Condition", "a": a, "b": b}
    tests = registry.get("differential_abundance")(data, contrast=contrast, **OPTIONS)
    detection = registry.get("detection_test")(data, contrast=contrast).table()
    tables = {"abundance": tests.table(), "detection": detection}
    findings = registry.get("run_wide_fdr")(tables, questions=dict.fromkeys(tables, "spike")).table(
        "findings"
    )
    claims = registry.get("compose_claims")(
        findings,
        tests.table(),
        detection,
        contrast="c",
        abundance_family="abundance",
        detection_family="detection",
    ).table("claims")
    true = claims["feature"].str.contains("ups").to_numpy()
    assert true.sum() >= 40
    assert (~true).sum() <= 4
    assert (claims["direction"][true] == "up").all()
    assert tests.values["background_applied"]
    # Without the background the same table is wrong several times as often.
    plain = registry.get("differential_abundance")(
        data, contrast=contrast, prior_covariate="auto", min_per_group=1
    ).table()
    wrong = (benjamini_hochberg(np.asarray(plain["p"])) <= 0.05) & ~plain["feature"].str.contains(
        "ups"
    ).to_numpy()
    assert wrong.sum() >= 3 * max((~true).sum(), 1)
