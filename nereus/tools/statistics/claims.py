"""Claims: the findings of one comparison that stand at the run's stated error level, one row a feature.

A claim is a run-wide finding of an abundance (or association) test or of a detection test. A feature found
by both is claimed once, for its abundance. What a rerun without outlying samples, or the calibrated
confidence, does not bear out is not claimed and is listed with the reason.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from nereus.errors import InputError
from nereus.tools.base import Params, Result, tool
from nereus.tools.statistics.confidence import TENTATIVE, confidence_word

_COLUMNS = (
    "claim_id",
    "contrast",
    "feature",
    "gene",
    "direction",
    "effect",
    "ci_low",
    "ci_high",
    "p",
    "q",
    "q_run",
    "confidence",
    "word",
    "kind",
    "stability",
    "n_a",
    "n_b",
    "support",
)


class ClaimsParams(Params):
    """Parameters of `compose_claims`."""

    contrast: str
    """What is claimed about: ``a vs b`` or the name of a variable."""
    abundance_family: str
    """Family of the abundance or association table in `run_wide_fdr`."""
    detection_family: str | None = None
    """Family of the detection table."""
    kind: str = Field(default="abundance", pattern="^[a-z_]+$")
    """What the first table tests: abundance, association, survival ..."""
    prefix: str = ""
    """Put before the claim ids, such as the id of the objective, so that claims of several are told apart."""
    min_confidence: float = Field(default=TENTATIVE, ge=0.0, le=1.0)
    """Findings with a smaller calibrated confidence are not claimed."""


@tool(
    "compose_claims",
    version="2",
    summary="Every feature-level claim of a comparison at the run's stated error level.",
    outputs=("table:claims", "table:dropped"),
    seconds=0.1,
)
def compose_claims(
    findings: pd.DataFrame,
    differential: pd.DataFrame,
    detection: pd.DataFrame | None,
    stability: pd.DataFrame | None,
    confidence: pd.DataFrame | None,
    rank: pd.DataFrame | None,
    rerun: pd.DataFrame | None,
    params: ClaimsParams,
    *,
    seed: int,
) -> Result:
    """Put together what is known about every run-wide finding of one comparison.

    Parameters
    ----------
    findings
        Table ``findings`` of `run_wide_fdr`.
    differential, detection
        Test tables of the comparison.
    stability, confidence
        Tables of `stability` and `calibrate_confidence`; columns are empty where they were not made.
    rank
        Table of `rank_test` of the same comparison: adds ``rank`` to the support where it agrees at p < 0.05.
    rerun
        Test table without outlying samples: findings that do not keep sign and p < 0.05 in it are dropped.
    params
        See `ClaimsParams`.
    seed
        Not used: the result is deterministic.

    Returns
    -------
    Result
        Table ``claims``: claim_id, contrast, feature, gene, direction (up: higher or more often seen in a),
        effect (log2 fold change; difference of detection rates for kind detection), 95 % interval, p, q,
        q_run, confidence, word, kind, stability, n_a, n_b, support (tests that agree, joined by ";"), by
        confidence and q. Table ``dropped``: finding, feature, kind, reason. Values: n_claims, n_up, n_down,
        n_detection, n_dropped, n_strong, n_likely, n_tentative.

    Raises
    ------
    InputError
        A finding that is in none of the test tables.

    Examples
    --------
    >>> tests = pd.DataFrame({"feature": ["A", "B"], "effect": [2.0, 0.1], "p": [1e-6, 0.8], "q": [2e-6, 0.8]})
    >>> from nereus.tools.statistics.fdr import run_wide_fdr
    >>> found = run_wide_fdr({"drug": tests}).table("findings")
    >>> result = compose_claims(found, tests, contrast="drug vs none", abundance_family="drug")
    >>> result.table("claims")[["claim_id", "feature", "direction"]].to_numpy().tolist()
    [['C1', 'A', 'up']]
    """
    certain = _by_finding(confidence)
    claims = [
        _family(findings, params.abundance_family, differential, params.kind, certain, params.contrast),
    ]
    if detection is not None and params.detection_family is not None:
        claims.append(
            _family(findings, params.detection_family, detection, "detection", certain, params.contrast)
        )
    found = pd.concat(claims, ignore_index=True)
    dropped: list[tuple[str, str, str, str]] = []
    found = _merge(found, dropped)
    if stability is not None:
        known = stability.set_index("feature")["stability"]
        found["stability"] = found["feature"].map(known).where(found["kind"] != "detection")
    if rank is not None:
        _agree(found, rank, "rank")
    if rerun is not None:
        found = _kept_in(found, rerun, dropped)
    weak = (
        found["confidence"].to_numpy(dtype=np.float64) < params.min_confidence
    )  # NaN is kept: not calibrated
    for row in found[weak].itertuples():
        dropped.append(
            (
                f"{row.kind}|{row.feature}",
                row.feature,
                row.kind,
                f"confidence below {params.min_confidence:g}",
            )
        )
    found = found[~weak].sort_values(
        ["confidence", "q_run", "p", "feature"],
        ascending=[False, True, True, True],
        kind="stable",
        na_position="last",
    )
    ids = [f"{params.prefix}{'.' if params.prefix else ''}C{i + 1}" for i in range(len(found))]
    table = found.assign(claim_id=ids)[list(_COLUMNS)].reset_index(drop=True)
    gone = pd.DataFrame(dropped, columns=["finding", "feature", "kind", "reason"])
    words = table["word"].value_counts()
    n = len(table)
    n_up = int((table["direction"] == "up").sum())
    return Result(
        summary=f"{params.contrast}: {n} claims, {n_up} up and {n - n_up} down; {len(gone)} findings dropped.",
        values={
            "n_claims": n,
            "n_up": n_up,
            "n_down": n - n_up,
            "n_detection": int((table["kind"] == "detection").sum()),
            "n_dropped": len(gone),
            "n_strong": int(words.get("strong", 0)),
            "n_likely": int(words.get("likely", 0)),
            "n_tentative": int(words.get("tentative", 0)),
        },
        tables={"claims": table, "dropped": gone},
        warnings=() if n else ("no finding of this comparison stands at the run's error level",),
        n_total=n + len(gone),
        n_returned=n,
    )


def _by_finding(confidence: pd.DataFrame | None) -> dict[str, float]:
    if confidence is None:
        return {}
    return dict(zip(confidence["finding"].astype(str), confidence["confidence"].astype(float), strict=True))


def _family(
    findings: pd.DataFrame,
    family: str,
    tests: pd.DataFrame,
    kind: str,
    certain: dict[str, float],
    contrast: str,
) -> pd.DataFrame:
    """Run-wide findings of one family with their rows of the test table."""
    mine = findings[findings["family"] == family]
    rows = tests.set_index(tests.columns[0])
    if missing := [key for key in mine["key"] if key not in rows.index]:
        raise InputError(
            f"findings {missing[:3]} of family {family!r} are not in its test table",
            where="compose_claims",
            mend="give the table that went into run_wide_fdr under this name",
        )
    chosen = rows.loc[mine["key"]]
    # In calibrate_confidence the findings of the main table are called abundance, whatever it tests.
    source = "detection" if kind == "detection" else "abundance"
    sure = np.array([certain.get(f"{source}|{key}", np.nan) for key in mine["key"]], dtype=np.float64)
    if not certain and kind != "detection" and "confidence" in chosen:
        sure = chosen["confidence"].to_numpy(dtype=np.float64)  # a test that plants for itself
    effect = chosen["effect"].to_numpy(dtype=np.float64)

    def column(name: str, missing: float | str = np.nan) -> np.ndarray:
        return chosen[name].to_numpy() if name in chosen else np.full(len(chosen), missing)

    return pd.DataFrame(
        {
            "contrast": contrast,
            "feature": mine["key"].astype(str).to_numpy(),
            "gene": column("gene", ""),
            "direction": np.where(effect > 0, "up", "down"),
            "effect": effect,
            "ci_low": column("ci_low"),
            "ci_high": column("ci_high"),
            "p": mine["p"].to_numpy(),
            "q": mine["q"].to_numpy(),
            "q_run": mine["q_run"].to_numpy(),
            "confidence": sure,
            "word": [confidence_word(value) if np.isfinite(value) else "" for value in sure],
            "kind": kind,
            "stability": np.nan,
            "n_a": column("n_a"),
            "n_b": column("n_b"),
            "support": kind,
        }
    )


def _merge(found: pd.DataFrame, dropped: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    """Claim a feature once: abundance speaks for detection where both found it."""
    kept: dict[str, dict[str, object]] = {}
    for row in found.to_dict("records"):
        feature = str(row["feature"])
        before = kept.get(feature)
        if before is None:
            kept[feature] = row
        elif before["direction"] == row["direction"]:
            before["support"] = f"{before['support']};{row['kind']}"
        else:
            reason = f"its direction contradicts that of {before['kind']}"
            dropped.append((f"{row['kind']}|{feature}", feature, str(row["kind"]), reason))
    return pd.DataFrame(list(kept.values()), columns=found.columns)


def _signs(table: pd.DataFrame) -> dict[str, str]:
    """Direction of each feature that a test table confirms at p < 0.05."""
    sure = table[table["p"].to_numpy(dtype=np.float64) < 0.05]
    return dict(zip(sure.iloc[:, 0].astype(str), np.where(sure["effect"] > 0, "up", "down"), strict=True))


def _agree(found: pd.DataFrame, other: pd.DataFrame, name: str) -> None:
    signs = _signs(other)
    agrees = [signs.get(f) == d for f, d in zip(found["feature"], found["direction"], strict=True)]
    found["support"] = np.where(agrees, found["support"] + f";{name}", found["support"])


def _kept_in(
    found: pd.DataFrame, rerun: pd.DataFrame, dropped: list[tuple[str, str, str, str]]
) -> pd.DataFrame:
    signs = _signs(rerun)
    kept = np.ones(len(found), dtype=bool)
    for index, row in enumerate(found.itertuples()):
        if row.kind != "detection" and signs.get(row.feature) != row.direction:
            kept[index] = False
            dropped.append(
                (
                    f"{row.kind}|{row.feature}",
                    row.feature,
                    row.kind,
                    "not confirmed without the outlying samples",
                )
            )
    found = found[kept].copy()
    again = found["kind"] != "detection"
    found["support"] = np.where(again, found["support"] + ";without outliers", found["support"])
    return found
