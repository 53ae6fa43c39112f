from __future__ import annotations

import pandas as pd
import pytest

from nereus.errors import InputError
from nereus.tools.statistics.claims import compose_claims
from nereus.tools.statistics.fdr import run_wide_fdr


def table(effects: dict[str, float], p: float = 1e-5) -> pd.DataFrame:
    n = len(effects)
    return pd.DataFrame(
        {
            "feature": list(effects),
            "gene": [f.lower() for f in effects],
            "effect": list(effects.values()),
            "ci_low": [e - 0.5 for e in effects.values()],
            "ci_high": [e + 0.5 for e in effects.values()],
            "p": [p] * n,
            "q": [p] * n,
            "n_a": [3] * n,
            "n_b": [3] * n,
        }
    )


ABUNDANCE = table({"A": 2.0, "B": -1.0, "C": 1.5})
DETECTION = table({"A": 1.0, "B": 1.0, "D": -1.0})
NAMES = {"contrast": "x vs y", "abundance_family": "O2 abundance", "detection_family": "O2 detection"}


def found(**tables: pd.DataFrame) -> pd.DataFrame:
    return run_wide_fdr({f"O2 {name}": t for name, t in tables.items()}).table("findings")


def test_a_feature_is_claimed_once() -> None:
    result = compose_claims(
        found(abundance=ABUNDANCE, detection=DETECTION), ABUNDANCE, DETECTION, prefix="O2", **NAMES
    )
    claims = result.table("claims").set_index("feature")
    assert sorted(claims.index) == ["A", "B", "C", "D"]
    assert claims.loc["A", "support"] == "abundance;detection"
    assert claims.loc["D", ["kind", "direction"]].tolist() == ["detection", "down"]
    assert claims["claim_id"].tolist() == ["O2.C1", "O2.C2", "O2.C3", "O2.C4"]
    assert claims.loc["A", "gene"] == "a"
    # B is lower in x but detected more often: the contradiction is listed.
    assert "contradicts" in result.table("dropped").set_index("finding").loc["detection|B", "reason"]


def test_confidence_orders_and_drops() -> None:
    confidence = pd.DataFrame(
        {"finding": ["abundance|A", "abundance|B", "abundance|C"], "confidence": [0.75, 0.95, 0.2]}
    )
    result = compose_claims(found(abundance=ABUNDANCE), ABUNDANCE, None, None, confidence, **NAMES)
    claims = result.table("claims")
    assert claims["feature"].tolist() == ["B", "A"]
    assert claims["word"].tolist() == ["strong", "likely"]
    assert result.table("dropped")["reason"].tolist() == ["confidence below 0.4"]


def test_reruns_and_ranks() -> None:
    rerun = table({"A": 1.8, "B": 0.9, "C": 1.2})
    rank = pd.concat([table({"A": 1.0}), table({"C": 1.0}, p=0.3)], ignore_index=True)
    result = compose_claims(found(abundance=ABUNDANCE), ABUNDANCE, rank=rank, rerun=rerun, **NAMES)
    claims = result.table("claims").set_index("feature")
    assert sorted(claims.index) == ["A", "C"]  # B turns its sign without the outlier
    assert claims["support"].to_dict() == {
        "A": "abundance;rank;without outliers",
        "C": "abundance;without outliers",
    }
    assert result.table("dropped")["reason"].tolist() == ["not confirmed without the outlying samples"]


def test_nothing_found_is_said() -> None:
    nothing = table({"A": 0.1}, p=0.9)
    result = compose_claims(found(abundance=nothing), nothing, **NAMES)
    assert len(result.table("claims")) == 0
    assert list(result.table("claims").columns)[:3] == ["claim_id", "contrast", "feature"]
    assert result.warnings


def test_a_finding_of_another_table() -> None:
    with pytest.raises(InputError, match="not in its test table"):
        compose_claims(found(abundance=ABUNDANCE), table({"Z": 1.0}), **NAMES)
