"""MBP as an estimator.

References
----------
Yan, Ye, Yang, Lu, Zhang, Liu & Qian: Multi-task Bioassay Pre-training for Protein-ligand Binding Affinity Prediction.
Briefings in Bioinformatics 2024, 25, bbad451, arXiv:2306.04886.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from rdkit import Chem
from sklearn.base import RegressorMixin
from torch import Tensor

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.card import ColumnKind
from nereus.models.files import content
from nereus.models.molecules.mbp.card import CARD
from nereus.models.molecules.mbp.comparing import wins
from nereus.models.molecules.mbp.complexes import (
    Complex,
    PackedComplexes,
    Posed,
    Protein,
    Variant,
    pack_free,
    pack_posed,
    problem,
    read_all,
    variant_of,
)
from nereus.models.molecules.mbp.config import MBPConfig
from nereus.models.molecules.mbp.features import LETTER
from nereus.models.molecules.mbp.learning import BLOCK, AssayLearning
from nereus.models.molecules.mbp.measurements import (
    HEADS,
    affinity_types,
    exact_values,
    head_names,
    measurements,
    molar_logarithms,
)
from nereus.models.molecules.mbp.network import SEQUENCE_PAD, Head, MBPNetwork
from nereus.models.molecules.mbp.structures import read_poses
from nereus.models.training import Session, train
from nereus.models.training.device import derive_seed
from nereus.models.training.running_statistics import settle_batch_norm

if TYPE_CHECKING:
    import pandas as pd

LONGEST_SEQUENCE = 1200
"""Letters of a sequence that are read: what is behind them is cut off and told."""
_SHAPE = ("width", "layers", "encoder", "heads")


class MBP(RegressorMixin, Method[MBPConfig]):  # type: ignore[misc]
    """Learns affinities and their order from assays, of ligands in pockets or of ligands alone.

    With ``pretrained="folder"`` it fine-tunes a saved one by the squared error of each type.

    Attributes
    ----------
    network_ : MBPNetwork
        Encoder and heads.
    variant_ : str
        ``structure`` or ``pose-free``.
    centres_ : dict
        Head to the mean affinity that it counts from; only heads that learned.
    default_head_ : str
        Head that most was learned of: it answers where no type is told.
    proteins_ : list of tuple
        Sequences and names that were learned from, without structures.

    Examples
    --------
    >>> from nereus.models.molecules.mbp import MBP
    >>> smiles = ["CCO", "CCN", "CCCO", "CCCN", "c1ccccc1O", "c1ccccc1N"]
    >>> model = MBP(width=8, layers=2, training__epochs=1)
    >>> model = model.fit(smiles, [5.0, 6.0, 5.5, 6.5, 7.0, 8.0], types=["Ki"] * 6)
    >>> model.predict(["CCCCO"]).shape
    (1,)
    >>> list(model.rank(["CCCCO", "CCCCN"]).columns)
    ['group', 'rank', 'of', 'score', 'prediction']
    """

    card = CARD
    config_class = MBPConfig
    version: ClassVar[str] = "1"

    network_: MBPNetwork
    variant_: Variant
    centres_: dict[str, float]
    default_head_: str
    proteins_: list[Protein]

    # ------------------------------------------------------------------ learning

    def fit(
        self,
        X: Sequence[Complex | str],
        y: Any = None,
        *,
        types: Sequence[object] | None = None,
        units: Sequence[object] | None = None,
        relations: Sequence[object] | None = None,
        assays: Sequence[object] | None = None,
        session: Session | None = None,
    ) -> Self:
        """Learn from assays, or fine-tune.

        Parameters
        ----------
        X
            Complexes, or SMILES, (n,).
        y
            Affinities, (n,): -log10 of mol/L, or concentrations with `units` (or the configuration's ``unit``); NaN where
            unknown.
        types
            IC50, Ki or Kd of each, None where it is not known.
        units
            Unit of each.
        relations
            ``=`` of values, ``>`` or ``<`` of bounds, which are not learned from.
        assays
            Assay of each; none is the same as one a protein.
        session
            Progress, cancellation and checkpoints.

        Raises
        ------
        InputError
            A complex, affinity, type, unit or relation cannot be used, or there is nothing to rank.
        """
        told = {"types": types, "units": units, "relations": relations, "assays": assays}
        return super().fit(X, (y, told), session=session)

    def _fit(self, X: Any, y: Any, session: Session) -> None:
        values, told = y
        complexes = as_complexes(X)
        variant = variant_of(complexes, self.config)
        read, notes = read_all(complexes, variant, self.config)
        known = measurements(values, self.config, targets=[one.target for one in complexes], **told)
        names = head_names(self.config.heads)
        centres = {
            name: float(known.y[known.heads == number].mean())
            for number, name in enumerate(names)
            if (known.heads == number).any()
        }
        written = [one.written if variant == "pose-free" else None for one in complexes]
        if cut := sum(one is not None and len(one[1]) > LONGEST_SEQUENCE for one in written):
            notes.append(f"{cut} sequences are longer than {LONGEST_SEQUENCE} letters and are cut there")
        proteins = sorted({one for one in written if one is not None})
        given = None if self.config.pretrained is None else MBP.load(self.config.pretrained)
        if given is None:
            network = MBPNetwork(self.config, variant, letters_of(proteins))
        else:
            self._require_same_shape(given, variant)
            centres = {**centres, **given.centres_}
            proteins = [*given.proteins_, *(one for one in proteins if one not in given.proteins_)]
            network = self._grown(given, proteins)
        network = network.to(self.device)
        number_of = {one: number for number, one in enumerate(proteins, start=1)}
        targets = np.array([0 if one is None else number_of[one] for one in written])
        packed = self._pack(read, targets, variant)
        learned, judged = _split(len(known.rows), self.config)
        options = self.config.training if given is None else self.config.finetuning
        objective = AssayLearning(
            network,
            packed,
            known,
            np.array([centres.get(name, 0.0) for name in names]),
            learned,
            judged,
            self.config,
            options,
            compare=given is None,
        )
        identity = hashlib.sha256(packed.identity() + known.y.tobytes() + known.heads.tobytes())
        identity.update(known.rows.tobytes() + known.groups.tobytes())
        if given is not None:
            identity.update(given.to_bytes())
        self.history_ = train(
            network,
            objective,
            options,
            seed=self.config.random_state,
            session=session,
            identity=identity.hexdigest(),
        )
        settle_batch_norm(network, objective, seed=self.config.random_state)
        self.history_.notes += [*notes, *known.notes]
        self.network_, self.variant_, self.proteins_, self.centres_ = network, variant, proteins, centres
        self.default_head_ = names[int(np.bincount(known.heads).argmax())]

    def _pack(self, read: Any, targets: np.ndarray, variant: Variant) -> PackedComplexes:
        if variant == "structure":
            return pack_posed(cast(list[list[Posed]], read), targets, self.config)
        return pack_free(read, targets)

    def _grown(self, given: MBP, proteins: Sequence[Protein]) -> MBPNetwork:
        """The given network with room for more proteins; a new name starts as any other's."""
        network = MBPNetwork(self.config, given.variant_, letters_of(proteins))
        state = given.network_.state_dict()
        if given.variant_ == "pose-free":
            rows = state["target.names.weight"]
            more = rows[:1].expand(1 + len(proteins) - len(rows), -1)
            state = {**state, "target.names.weight": torch.cat([rows, more])}
        network.load_state_dict({**state, "letters": network.letters})
        return network

    def _require_same_shape(self, given: MBP, variant: Variant) -> None:
        other: object
        for name in _SHAPE:
            if (own := getattr(self.config, name)) != (other := getattr(given.config, name)):
                raise InputError(
                    f"the pre-trained method has {name} {other!r}, here is {own!r}",
                    where=str(self.config.pretrained),
                    mend=f"set {name}={other!r}",
                )
        if given.variant_ != variant:
            raise InputError(
                f"the pre-trained method reads {given.variant_!r}, the data are {variant!r}",
                where=str(self.config.pretrained),
                mend="give the same columns as in pre-training",
            )

    # ------------------------------------------------------------------ asking

    def predict(self, X: Sequence[Complex | str], *, types: Sequence[object] | None = None) -> np.ndarray:
        """Affinities as -log10 of mol/L.

        Parameters
        ----------
        X
            Complexes, or SMILES, (n,); of several poses the first answers.
        types
            Type that each is asked for; where it is None the head that most was learned of answers.

        Returns
        -------
        ndarray
            (n,).

        Raises
        ------
        InputError
            A complex cannot be read, or nothing of a type was learned.
        """
        self._require_fitted()
        every = self._answers(as_complexes(X))
        return self._chosen(every, self._asked(types, len(X)))

    def rank(
        self,
        X: Sequence[Complex | str],
        groups: Sequence[object] | None = None,
        *,
        types: Sequence[object] | None = None,
        by: Literal["relation", "affinity"] | None = None,
    ) -> pd.DataFrame:
        """Order within groups: ligands of a series, or poses of a ligand.

        Parameters
        ----------
        X
            Complexes, or SMILES, (n,).
        groups
            What is compared with each other, (n,); by default what has the same protein.
        types
            See `predict`; of one type within a group.
        by
            ``relation`` asks the network that compares two ligands, ``affinity`` the predicted values. The default is what was
            learned: relations, unless it was fine-tuned or learned without them.

        Returns
        -------
        DataFrame
            One row an object: ``group``, ``rank`` (1 binds best), ``of`` (size of the group), ``score`` (mean probability of
            binding better than the others, or the affinity), ``prediction`` (-log10 of mol/L).

        Raises
        ------
        InputError
            Every group has a single member, a group mixes types, or relations are asked for that were not learned.
        """
        import pandas as pd

        self._require_fitted()
        complexes = as_complexes(X)
        named = _proteins(complexes) if groups is None else [str(one) for one in groups]
        if len(named) != len(complexes):
            raise InputError(f"{len(named)} groups for {len(complexes)} complexes", where="groups")
        related = self._relation_learned()
        by = by or ("relation" if related else "affinity")
        if by not in ("relation", "affinity"):
            raise InputError(f"there is no order by {by!r}", where="by", mend="by is relation or affinity")
        if by == "relation" and not related:
            raise InputError("it did not learn to compare two ligands", where="by", mend="ask by='affinity'")
        heads = np.array(self._asked(types, len(complexes)))
        key = pd.Series(named)
        sizes = key.map(key.value_counts())
        if len(named) and sizes.max() < 2:
            raise InputError(
                "every group has a single member: there is nothing to rank",
                where=f"group {named[0]!r}",
                mend="name the column that tells what is compared, as assay or group",
            )
        predicted = self._chosen(self._answers(complexes), heads.tolist())
        score = predicted.copy()
        if by == "relation":
            z = self._readouts(complexes)
            for name, rows in key.groupby(key).indices.items():
                if len(set(heads[rows])) > 1:
                    raise InputError(
                        f"types {sorted(set(heads[rows]))} are asked for in one group",
                        where=f"group {name!r}",
                        mend="ask for one type a group",
                    )
                head = str(heads[rows[0]])
                score[rows] = wins(self.network_, head, z[head][torch.as_tensor(rows, device=self.device)])
        order = pd.Series(score).groupby(key).rank(ascending=False, method="min").astype(np.int64)
        return pd.DataFrame(
            {"group": key, "rank": order, "of": sizes, "score": score, "prediction": predicted}
        )

    def _relation_learned(self) -> bool:
        config = self.config
        return config.pretrained is None and config.ranking_weight > 0 and config.ranking == "relation"

    def _asked(self, types: Any, n: int) -> list[str]:
        """The head of each row."""
        heads = []
        for row, kind in enumerate(affinity_types(types, n, self.config)):
            head = self.default_head_ if kind is None else HEADS[self.config.heads][kind]
            if head not in self.centres_:
                raise InputError(
                    f"row {row}: nothing of type {kind!r} was learned",
                    where="type",
                    mend=f"there is {', '.join(self.centres_)}",
                )
            heads.append(head)
        return heads

    def _chosen(self, every: dict[str, np.ndarray], heads: Sequence[str]) -> np.ndarray:
        return np.array([every[head][row] for row, head in enumerate(heads)], dtype=np.float64)

    def _answers(self, complexes: Sequence[Complex]) -> dict[str, np.ndarray]:
        """Affinities of every head that learned, (n,) each."""
        z = self._readouts(complexes)
        with torch.no_grad():
            return {
                name: cast(Head, self.network_.heads[name]).value(z[name]).cpu().numpy().astype(np.float64)
                + mean
                for name, mean in self.centres_.items()
            }

    @torch.no_grad()
    def _readouts(self, complexes: Sequence[Complex]) -> dict[str, Tensor]:
        """What the heads read, (n, 2 width) each; of several poses the first."""
        self.network_.eval()
        if self.variant_ == "structure" and any(one.ligand is None for one in complexes):
            raise InputError(
                "it learned from poses, and is asked about ligands without",
                where="mbp",
                mend="name the columns of ligand and pocket",
            )
        first = self.config.model_copy(update={"poses": 1})
        read, _ = read_all(complexes, self.variant_, first)
        written = [one.written if self.variant_ == "pose-free" else None for one in complexes]
        # A sequence that was not learned from is read like any other; a name that was not is any name.
        new = sorted(
            {one for one in written if one is not None and one[0] == "sequence"} - set(self.proteins_)
        )
        number_of = {one: number for number, one in enumerate([*self.proteins_, *new], start=1)}
        targets = np.array([0 if one is None else number_of.get(one, 0) for one in written])
        packed = self._pack(read, targets, self.variant_)
        extra = letters_of(new)[1:].to(self.device) if new else None
        parts = [
            self.network_.readouts(packed.batch(packed.first[start : start + BLOCK], self.device), extra)
            for start in range(0, len(packed), BLOCK)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in self.centres_}

    # ------------------------------------------------------------------ tables

    def fit_table(
        self,
        table: pd.DataFrame,
        columns: Mapping[str, str | Sequence[str]],
        *,
        session: Session | None = None,
    ) -> Self:
        """See `Method.fit_table`."""
        named = self._checked_columns(table, columns, training=True)
        told = {
            f"{role}s": table[named[role][0]].tolist()
            for role in ("type", "unit", "relation", "assay")
            if role in named
        }
        return self.fit(
            complexes_of(table, named), table[named["target"][0]].tolist(), session=session, **told
        )

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """See `Method.predict_table`: ``prediction``, and ``prediction_<head>`` of every head that learned."""
        import pandas as pd

        self._require_fitted()
        named = self._checked_columns(table, columns, training=False)
        every = self._answers(complexes_of(table, named))
        heads = self._asked(_cells(table, named, "type"), len(table))
        found = {"prediction": self._chosen(every, heads)}
        found |= {f"prediction_{name}": values for name, values in every.items()}
        return pd.DataFrame(found, index=table.index)

    def rank_table(
        self,
        table: pd.DataFrame,
        columns: Mapping[str, str | Sequence[str]],
        *,
        by: Literal["relation", "affinity"] | None = None,
        group: str | None = None,
    ) -> pd.DataFrame:
        """Order within groups of a table's rows; see `rank`.

        Parameters
        ----------
        table, columns
            See `Method.fit_table`.
        by
            See `rank`.
        group
            Column that tells what is compared with each other: of docked poses that of the ligand. By default the assay's,
            else the protein.
        """
        named = self._checked_columns(table, columns, training=False)
        if group is not None and group not in table.columns:
            raise InputError(
                f"there is no column {group!r}", where="group", mend=f"columns are {list(table.columns)[:20]}"
            )
        groups = _cells(table, named, "assay") if group is None else table[group].tolist()
        found = self.rank(complexes_of(table, named), groups, types=_cells(table, named, "type"), by=by)
        return found.set_axis(table.index, axis=0)

    def unreadable_rows(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> dict[int, str]:
        """See `Method.unreadable_rows`: poses and pockets that cannot be used, SMILES that are none."""
        named = _listed(columns)
        if not {"smiles", "ligand"} & set(named):
            return {}
        variant = self._variant(named)
        found = {
            row: problem(one, variant, self.config) for row, one in enumerate(complexes_of(table, named))
        }
        return {row: why for row, why in found.items() if why}

    def observed(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> np.ndarray:
        """See `Method.observed`: exact affinities as -log10 of mol/L."""
        named = _listed(columns)
        values = molar_logarithms(
            table[named["target"][0]].tolist(), _cells(table, named, "unit"), self.config
        )
        relations = _cells(table, named, "relation")
        return values if relations is None else np.where(exact_values(relations, self.config), values, np.nan)

    def described(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> tuple[ColumnKind, list[str]]:
        """See `Method.described`: SMILES, of poses those of their molecules."""
        named = _listed(columns)
        complexes = complexes_of(table, named)
        if self._variant(named) == "pose-free":
            return "smiles", [str(one.smiles) for one in complexes]
        return "smiles", [Chem.MolToSmiles(read_poses(content(str(one.ligand)))[0]) for one in complexes]

    def _variant(self, named: Mapping[str, list[str]]) -> Variant:
        if self.config.variant != "auto":
            return self.config.variant
        return "structure" if "ligand" in named else "pose-free"

    # ------------------------------------------------------------------ keeping

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}
        return tensors, {
            "variant": self.variant_,
            "centres": self.centres_,
            "default_head": self.default_head_,
            "proteins": [list(one) for one in self.proteins_],
        }

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.variant_ = facts["variant"]
        self.proteins_ = [(kind, text) for kind, text in facts["proteins"]]
        self.centres_, self.default_head_ = dict(facts["centres"]), facts["default_head"]
        self.network_ = MBPNetwork(self.config, self.variant_, tensors["network.letters"])
        self.network_.load_state_dict({name.removeprefix("network."): one for name, one in tensors.items()})


def as_complexes(X: Any) -> list[Complex]:
    """Complexes as they are given, and SMILES as ligands alone."""
    found = [one if isinstance(one, Complex) else Complex(smiles=one) for one in X]
    if not found:
        raise InputError("there is no complex", where="mbp", mend="give at least one row")
    return found


def complexes_of(table: pd.DataFrame, named: Mapping[str, list[str]]) -> list[Complex]:
    """A complex of each row of a table; empty cells are not given."""
    roles = [role for role in ("smiles", "ligand", "pocket", "sequence", "protein") if role in named]
    if not {"smiles", "ligand"} & set(roles):
        raise InputError(
            "no ligand is named",
            where="method 'mbp'",
            mend="name a column of SMILES, or of poses (ligand) and pockets",
        )
    cells = zip(*(_cells(table, named, role) or [] for role in roles), strict=True)
    return [
        Complex(**{role: str(one) for role, one in zip(roles, row, strict=True) if _told(one)})
        for row in cells
    ]


def _proteins(complexes: Sequence[Complex]) -> list[str]:
    """A short name of each one's protein: its own, or ``protein 1`` and so on."""
    number = {one: i for i, one in enumerate(dict.fromkeys(one.target for one in complexes), start=1)}
    return [one.protein or f"protein {number[one.target]}" for one in complexes]


def _told(cell: object) -> bool:
    return cell is not None and cell == cell and str(cell).strip() != ""


def _cells(table: pd.DataFrame, named: Mapping[str, list[str]], role: str) -> list[Any] | None:
    return table[named[role][0]].tolist() if named.get(role) else None


def _listed(columns: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    return {role: [one] if isinstance(one, str) else list(one) for role, one in columns.items() if one}


def letters_of(proteins: Sequence[Protein]) -> Tensor:
    """Sequences by classes of letters, (1 + proteins, length): the first, and names, are padding alone."""
    texts = ["", *(text[:LONGEST_SEQUENCE] if kind == "sequence" else "" for kind, text in proteins)]
    found = torch.full((len(texts), max(1, *map(len, texts))), SEQUENCE_PAD)
    for row, text in enumerate(texts):
        found[row, : len(text)] = torch.tensor([LETTER.get(one, 0) for one in text], dtype=torch.int64)
    return found


def _split(n: int, config: MBPConfig) -> tuple[np.ndarray, np.ndarray]:
    """Numbers that are learned from and that judge, each ascending."""
    if n < 2:
        raise InputError("there is one affinity to learn from", where="target", mend="give two rows or more")
    order = np.random.default_rng(derive_seed(config.random_state, "validation")).permutation(n)
    judges = min(round(config.validation * n), n - 2)
    return np.sort(order[judges:]), np.sort(order[:judges])
