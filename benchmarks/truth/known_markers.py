"""S5: known markers come first, with the right sign.

- D5, 700 blood cells: the first five markers of each population hold those that are known, for the given labels and for
  clusters of our own, through the whole product. A type passes when two of its markers (one, for a pair that stands for
  either) are among the first five.
- D6, survival: sign and q of published prognostic covariates, through the whole product on a table of covariates.
- D3, leukaemia, is not among the data that can be reached. In its place: known proteins of three public comparisons,
  through the whole product: among the first fifty claims of their direction, and among the first thirty hypotheses.

Naive arms: the plain t-test between one population and the rest; the t-test between those with and without the event,
which takes no notice of time; the moderated t with Benjamini-Hochberg.

    python -m benchmarks.truth.known_markers --data FOLDER --survival WHEEL_OR_FOLDER [--only D5 D6 D3]

The survival sets are those of the scikit-survival wheel (`pip download --no-deps scikit-survival`); it need not be installed.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.io import arff

from benchmarks.truth.results import RESULTS, data_folder, store
from nereus.tools import registry
from nereus.tools.base import SourceFile
from nereus.tools.statistics.moderated_t import benjamini_hochberg

FIRST = 5
LEVEL = 0.05

# ------------------------------------------------------------------------------------------------- D5: blood cells

TYPES: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "NK": (("NKG7", "GNLY", "GZMB", "PRF1"), 2, ("CD56+ NK",)),
    "B": (("CD79A", "CD79B", "MS4A1"), 2, ("CD19+ B",)),
    "monocyte": (("LYZ", "S100A8", "S100A9", "FCN1"), 2, ("CD14+ Monocyte",)),
    "T": (("CD3D", "CD3E", "IL7R", "CD8A", "CD8B"), 2, ("CD4+/CD25 T Reg", "CD8+/CD45RA+ Naive Cytotoxic")),
    "DC": (("FCER1A", "CLEC10A"), 1, ("Dendritic",)),
}
"""Type -> known markers, how many must be among the first five, and the given labels that are of the type."""


def cells() -> tuple[Any, Path]:
    """700 cells x 765 genes of the scanpy wheel, as the product reads them, and the file."""
    spec = find_spec("scanpy")
    if spec is None or spec.origin is None:
        sys.exit("D5 needs scanpy (pip install -e '.[cells]')")
    path = Path(spec.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    return registry.get("load_dataset")(SourceFile(path, path.name), None).dataset(), path


def first_markers(dataset: Any, labels: pd.Series) -> dict[str, list[str]]:
    """The naive arm: the first five of each population against all others, by a plain t-test of the values."""
    found = {}
    for population in sorted(set(labels.dropna())):
        inside = (labels == population).to_numpy()
        if inside.sum() < 10:
            continue
        x = np.asarray(dataset.X)
        t = stats.ttest_ind(x[inside], x[~inside]).statistic
        order = np.argsort(-np.nan_to_num(t, nan=-np.inf), kind="stable")
        found[population] = list(dataset.var_names[order[:FIRST]])
    return found


def own_markers(run: Any, column: str) -> dict[str, list[str]]:
    """The first five of each population in the run's own table."""
    asked = next(
        one for one in run.record.objectives if one.kind.value == "markers" and one.design["labels"] == column
    )
    table = run.output(f"{asked.id}:markers")
    leading = table[table["rank"] <= FIRST]
    return {str(name): list(rows["feature"]) for name, rows in leading.groupby("population")}


def score_types(markers: dict[str, list[str]], labelled: bool) -> dict[str, Any]:
    """Per type: the population that shows most of its markers (of its labels, where labels are given)."""
    rows: dict[str, Any] = {}
    for name, (known, needed, labels) in TYPES.items():
        among = {k: v for k, v in markers.items() if not labelled or k in labels}
        held = {population: [gene for gene in first if gene in known] for population, first in among.items()}
        best = max(held, key=lambda one: (len(held[one]), one), default="")
        hits = held.get(best, [])
        rows[name] = {
            "population": best,
            "first": among.get(best, []),
            "known": hits,
            "passes": len(hits) >= needed,
        }
    return {"types": rows, "passed": sum(row["passes"] for row in rows.values()), "of": len(TYPES)}


def blood(work: Path) -> dict[str, Any]:
    """Given labels and own clusters, through the whole product, each beside the naive arm on the same labels."""
    import nereus

    dataset, path = cells()
    run = nereus.discover(
        path, question="what marks each population?", home=work / "home", out=work / "D5", seed=0
    )
    prepared = run.record.outputs["prepared"].split("/")
    step = next(one for one in run.record.steps() if one.id == prepared[0])
    clustered = run.artifacts.dataset(run.record.calls[step.call_key].outputs[prepared[1]])
    given = dataset.obs["bulk_labels"].astype(str)
    made = clustered.obs["cluster"].astype(str)
    return {
        "given": score_types(own_markers(run, "bulk_labels"), True),
        "given_naive": score_types(first_markers(dataset, given), True),
        "own": score_types(own_markers(run, "cluster"), False),
        "own_naive": score_types(first_markers(dataset, made), False),
        "own_clusters": {str(name): int(n) for name, n in made.value_counts().items()},
    }


# --------------------------------------------------------------------------------------------------- D6: survival


@dataclass(frozen=True)
class Cohort:
    """A survival data set: its columns of time and event, the level of the event, and published signs.

    Attributes
    ----------
    truth
        Covariate -> sign of the log hazard ratio; ``column=level`` is the indicator of a level.
    """

    file: str
    time: str
    event: str
    happened: str
    truth: dict[str, int]
    source: str


COHORTS: dict[str, Cohort] = {
    "GBSG2": Cohort(
        "GBSG2.arff", "time", "cens", "1", {"horTh=yes": -1, "tgrade": 1, "pnodes": 1, "progrec": -1},
        "Schumacher et al. 1994, J Clin Oncol 12:2086",
    ),
    "veteran": Cohort(
        "veteran.arff", "Survival_in_days", "Status", "dead",
        {"Karnofsky_score": -1, "Celltype=smallcell": 1, "Celltype=squamous": -1},
        "Kalbfleisch & Prentice 1980",
    ),
    "whas500": Cohort(
        "whas500.arff", "lenfol", "fstat", "1", {"age": 1, "hr": 1, "bmi": -1, "chf=1": 1, "sho=1": 1},
        "Hosmer, Lemeshow & May 2008",
    ),
    "flchain": Cohort(
        "flchain.arff", "futime", "death", "dead", {"age": 1, "kappa": 1, "lambda": 1, "creatinine": 1},
        "Dispenzieri et al. 2012, Mayo Clin Proc 87:517",
    ),
    "GSE7390": Cohort(
        "breast_cancer_GSE7390-metastasis.arff", "t.tdm", "e.tdm", "1", {"size": 1},
        "Desmedt et al. 2007, Clin Cancer Res 13:3207",
    ),
}  # fmt: skip
GRADES = {"I": 1.0, "II": 2.0, "III": 3.0}
MOST_ROWS = 1500


def survival_table(folder: Path, cohort: Cohort) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Covariates as numbers (levels as indicators, grades in order) and the sheet with follow-up and event."""
    if folder.is_file():
        with zipfile.ZipFile(folder) as wheel:
            text = wheel.read(f"sksurv/datasets/data/{cohort.file}").decode()
    else:
        text = next(folder.rglob(cohort.file)).read_text()
    rows, _ = arff.loadarff(io.StringIO(text))
    frame = pd.DataFrame(rows)
    for name in frame:
        if frame[name].dtype == object:
            frame[name] = frame[name].str.decode("utf-8")
    frame = frame.iloc[:: max(1, -(-len(frame) // MOST_ROWS))].reset_index(drop=True)
    frame.index = pd.Index([f"patient{i:04d}" for i in range(len(frame))], name="patient")
    happened = (pd.to_numeric(frame[cohort.event], errors="coerce").astype("Int64").astype(str)
                if frame[cohort.event].dtype != object else frame[cohort.event])  # fmt: skip
    sheet = pd.DataFrame(
        {"survival_days": frame[cohort.time], "death": (happened == cohort.happened).astype(int)}
    )
    sheet["survival_days"] = sheet["survival_days"].clip(lower=1)
    left = frame.drop(columns=[cohort.time, cohort.event])
    columns: dict[str, Any] = {}
    for name in left:
        if left[name].dtype != object:
            columns[str(name)] = left[name].astype(float)
        elif set(left[name].dropna()) <= set(GRADES):
            columns[str(name)] = left[name].map(GRADES)
        else:
            levels = sorted(set(left[name].dropna()) - {"?"})
            if len(levels) <= 5:
                columns |= {f"{name}={one}": (left[name] == one).astype(float) for one in levels}
    values = pd.DataFrame(columns, index=frame.index)
    # In standard deviations: covariates have units of their own, and none is an intensity.
    return (values - values.mean()) / values.std(), sheet


def survival(folder: Path, work: Path) -> dict[str, Any]:
    """Signs and q of the published covariates in the run's own table of hazards."""
    import nereus

    found: dict[str, Any] = {}
    for name, cohort in COHORTS.items():
        values, sheet = survival_table(folder, cohort)
        place = work / name
        place.mkdir()
        # Anonymised: a reader takes a column called age for a property of the samples, not for what was measured.
        tokens = {column: f"X{i:03d}" for i, column in enumerate(values)}
        values.rename(columns=tokens).to_csv(place / "covariates.csv")
        sheet.to_csv(place / "samples.csv")
        run = nereus.discover(
            place / "covariates.csv",
            place / "samples.csv",
            question="which covariates go with survival?",
            budget=["objectives=2", "hypotheses=20"],
            home=work / "home",
            out=place / "report",
            seed=0,
        )
        asked = next((one for one in run.record.objectives if one.kind.value == "survival"), None)
        done = asked is not None and f"{asked.id}:survival" in run.record.outputs
        table = run.output(f"{asked.id}:survival").set_index("feature") if asked and done else pd.DataFrame()
        rows = {}
        died = sheet["death"].to_numpy() == 1
        p = {c: stats.ttest_ind(values[c][died], values[c][~died], nan_policy="omit").pvalue for c in values}
        q = dict(zip(p, benjamini_hochberg(np.array(list(p.values()))), strict=True))
        for covariate, sign in cohort.truth.items():
            column = (
                covariate if covariate in values else next((c for c in values if c.startswith(covariate)), "")
            )
            token = tokens.get(column, "")
            tested = token in table.index
            effect = table.loc[token, "effect"] if tested else np.nan
            own_q = table.loc[token, "q"] if tested else np.nan
            shift = values[column][died].mean() - values[column][~died].mean()
            rows[covariate] = {
                "published_sign": sign,
                "effect": effect,
                "q": own_q,
                "right": bool(tested and np.sign(effect) == sign and own_q <= LEVEL),
                "naive_right": bool(np.sign(shift) == sign and q[column] <= LEVEL),
            }
        found[name] = {"asked": done, "rows": len(values), "source": cohort.source, "covariates": rows}
        print(
            name,
            {k: (round(float(v["effect"]), 3), float(v["q"]), v["right"]) for k, v in rows.items()},
            flush=True,
        )
    every = [row for one in found.values() for row in one["covariates"].values()]
    return {
        "cohorts": found,
        "right": sum(row["right"] for row in every),
        "naive_right": sum(row["naive_right"] for row in every),
        "of": len(every),
        "share": sum(row["right"] for row in every) / len(every),
    }


# ------------------------------------------------------------------------- in place of D3: public comparisons


@dataclass(frozen=True)
class Comparison:
    """A public comparison with known proteins that are higher in one group."""

    data: str
    samples: str | None
    question: str
    higher: str
    markers: tuple[str, ...]


COMPARISONS: dict[str, Comparison] = {
    "alzheimer_csf": Comparison(
        "clinical_alzheimer_csf_bader/proteome.csv.gz", "clinical_alzheimer_csf_bader/clinic_ml.csv",
        "which proteins differ in AD?", "",
        ("P10636", "P04075", "P00338", "P63104", "P61981", "P14618", "P14174", "P00441"),
    ),
    "septic_aki": Comparison(
        "clinical_septic_aki_binn/sample_datamatrix.csv.gz", "clinical_septic_aki_binn/sample_design_matrix.tsv",
        "which proteins differ between the groups?", "2",
        ("P08571", "P59665", "P16070", "P61769", "P05362", "Q86VB7", "P01034"),
    ),
    "covid_olink": Comparison(
        "clinical_covid_olink_gisby/serum_npx_level.csv.gz", "clinical_covid_olink_gisby/serum_sample_level.csv",
        "which proteins differ between positive and negative?", "POSITIVE",
        ("EIF4G1", "DDX58", "TRIM21", "CASP8", "TRIM5", "ITGB1BP2", "IRF9"),
    ),
}  # fmt: skip


def comparisons(folder: Path, work: Path) -> dict[str, Any]:
    """Where the known proteins stand among the claims of their direction, and among the hypotheses."""
    import nereus

    found: dict[str, Any] = {}
    for name, one in COMPARISONS.items():
        run = nereus.discover(
            folder / one.data,
            None if one.samples is None else folder / one.samples,
            question=one.question,
            budget=["objectives=1", "hypotheses=40"],
            home=work / "home",
            out=work / name,
            seed=0,
        )
        claims = run.claims
        contrast = claims["contrast"].iloc[0] if len(claims) else ""
        up = "down" if one.higher and not contrast.startswith(one.higher) else "up"
        ranked = claims[claims["direction"] == up].sort_values(["confidence", "q"], ascending=[False, True])
        fifty = [f"{r.feature} {r.gene}" for r in ranked.head(50).itertuples()]
        told = [
            f"{entity.id} {entity.name}"
            for h in run.hypotheses[:30]
            if h.status in ("supported", "tentative")
            for entity in h.claim.entities
            if entity.direction == up
        ]
        differential = next((o for o in run.record.outputs if o.endswith(":differential")), None)
        naive: list[str] = []
        if differential:
            loaded = run.output(differential)
            sign = 1 if up == "up" else -1
            plain = loaded[np.sign(loaded["effect"]) == sign].sort_values("p").head(50)
            naive = [f"{r.feature} {r.gene}" for r in plain.itertuples()]
        hits = {
            where: [m for m in one.markers if any(m in text.replace(";", " ").split() for text in texts)]
            for where, texts in (
                ("first_50_claims", fifty),
                ("first_30_hypotheses", told),
                ("table_by_p", naive),
            )
        }
        found[name] = {"contrast": contrast, "markers": len(one.markers), **hits}
        print(name, contrast, {k: f"{len(v)}/{len(one.markers)}" for k, v in hits.items()}, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--survival", type=Path, help="scikit-survival wheel, or a folder of its arff files")
    parser.add_argument("--only", nargs="+", choices=["D3", "D5", "D6"], default=["D5", "D6", "D3"])
    options = parser.parse_args()
    kept = RESULTS / "known_markers.json"
    content: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    content = {name: content[name] for name in ("D3", "D5", "D6") if name in content}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="nereus-markers-") as work:
        if "D5" in options.only:
            content["D5"] = blood(Path(work))
            for arm in ("given", "given_naive", "own", "own_naive"):
                one = content["D5"][arm]
                print(
                    arm,
                    f"{one['passed']}/{one['of']}",
                    {k: v["known"] for k, v in one["types"].items()},
                    flush=True,
                )
        if "D6" in options.only and options.survival is not None:
            content["D6"] = survival(options.survival, Path(work))
            print({k: content["D6"][k] for k in ("right", "naive_right", "of", "share")}, flush=True)
        if "D3" in options.only:
            content["D3"] = {
                "leukaemia": "not among the data that can be reached",
                "in_its_place": comparisons(data_folder(options.data), Path(work)),
            }
    store(
        "known_markers",
        {"claim": "S5", **content},
        module="benchmarks.truth.known_markers",
        arguments=sys.argv[1:],
        seconds=time.perf_counter() - start,
    )


if __name__ == "__main__":
    main()
