"""AlphaPeptStats on one study, by its public classes. Runs in an environment of its own (Python 3.10, alphastats 0.7.2).

Usage: ``python alphapeptstats_arm.py settings.json results.csv``. The settings say what its user types: loader, columns,
sheet, contrasts. Its t-test returns p-values; they are adjusted by Benjamini and Hochberg, as its interface does.
"""

import json
import sys

import numpy as np
import pandas as pd
from alphastats.dataset.dataset import DataSet
from alphastats.loader.generic_loader import GenericLoader
from alphastats.loader.maxquant_loader import MaxQuantLoader
from statsmodels.stats.multitest import multipletests


def loaded(s: dict) -> DataSet:
    sheet = pd.read_csv(s["sheet"], sep=None, engine="python") if s.get("sheet") else None
    if s["loader"] == "maxquant":
        options = {key: s[key] for key in ("intensity_column", "index_column", "filter_columns") if key in s}
        loader = MaxQuantLoader(s["file"], **options)
    else:
        # Its generic loader wants features in rows; what is otherwise is turned by hand.
        table = pd.read_csv(s["file"], sep=s.get("sep", ","))
        if s.get("samples_in_rows"):
            known = [s["id"], *s.get("not_values", [])]
            if s.get("repeat_pattern"):
                subject = table[s["id"]].astype(str).str.replace(s["repeat_pattern"], "", regex=True)
                numbers = table.drop(columns=known).groupby(subject).mean()
                sheet = table[s["not_values"]].groupby(subject).first().reset_index(names="sample")
                sheet = sheet.rename(columns={s["id"]: "sample"})
            else:
                numbers = table.set_index(s["id"]).drop(columns=s.get("not_values", []))
            table = numbers.T.rename_axis("feature").reset_index()
            s = {**s, "id": "feature"}
        columns = [c for c in table.columns if c != s["id"] and pd.api.types.is_numeric_dtype(table[c])]
        if sheet is None:
            sheet = pd.DataFrame({"sample": columns, "group": [c[: s["group_letters"]] for c in columns]})
        loader = GenericLoader(table, intensity_column=columns, index_column=s["id"])
    name = s.get("sheet_id", "sample")
    sheet[name] = sheet[name].astype(str)
    return DataSet(loader, metadata_path_or_df=sheet, sample_column=name)


def adjusted(p: pd.Series) -> np.ndarray:
    q = np.full(len(p), np.nan)
    known = p.notna().to_numpy()
    if known.any():
        q[known] = multipletests(p[known], method="fdr_bh")[1]
    return q


def main() -> None:
    with open(sys.argv[1]) as file:
        s = json.load(file)
    made = loaded(s)
    made.preprocess(
        remove_contaminations=True, log2_transform=True, replace_zeroes=True, data_completeness=s["completeness"],
        normalization=s["normalization"], subset=True,
    )  # fmt: skip
    rows = []
    for factor, a, b in s["contrasts"]:
        found = made.diff_expression_analysis(group1=a, group2=b, column=factor, method="ttest")
        index = next(c for c in found.columns if c not in ("pval", "log2fc"))
        table = found.rename(columns={index: "feature", "pval": "p", "log2fc": "effect"})
        rows.append(table.assign(method="ttest", contrast=f"{a} vs {b}", q=adjusted(table["p"])))
        if s.get("covariates"):
            rows.append(ancova(made, s, factor, a, b))
    pd.concat(rows)[["method", "feature", "contrast", "effect", "p", "q"]].to_csv(sys.argv[2], index=False)


def ancova(made: DataSet, s: dict, factor: str, a: str, b: str) -> pd.DataFrame:
    """Its analysis of covariance, protein by protein; it takes numbers only, so levels become columns of 0 and 1."""
    dummies = pd.get_dummies(made.metadata[s["covariates"]], drop_first=True).astype(float)
    covariates = list(dummies.columns)
    made.metadata = pd.concat([made.metadata.drop(columns=s["covariates"]), dummies], axis=1)
    groups = made.metadata.set_index(made.metadata.columns[0])[factor]
    rows = []
    for feature in made.mat.columns:
        try:
            table = made.ancova(feature, covar=covariates, between=factor)
            p = float(table.loc[table["Source"] == factor, "p-unc"].iloc[0])
        except (
            ValueError,
            AssertionError,
            KeyError,
            IndexError,
        ):  # too few values: the protein stays untested
            p = np.nan
        values = made.mat[feature]
        means = [values[groups.reindex(values.index) == level].mean() for level in (a, b)]
        rows.append((feature, means[0] - means[1], p))
    table = pd.DataFrame(rows, columns=["feature", "effect", "p"])
    return table.assign(method="ancova", contrast=f"{a} vs {b}", q=adjusted(table["p"]))


if __name__ == "__main__":
    main()
