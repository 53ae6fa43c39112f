"""MBP as an estimator.

References
----------
Yan, Ye, Yang, Lu, Zhang, Liu & Qian: Multi-task Bioassay Pre-training for Protein-ligand Binding Affinity Prediction.
Briefings in Bioinformatics 2024, 25, bbad451, arXiv:2306.04886.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import RegressorMixin
from torch import Tensor

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.card import ColumnKind
from nereus.models.molecules.mbp.asking import affinities, chosen, heads_asked, readouts
from nereus.models.molecules.mbp.card import CARD
from nereus.models.molecules.mbp.comparing import mean_wins, require_comparable
from nereus.models.molecules.mbp.complexes import (
    Complex,
    Protein,
    Variant,
    pack_read,
    problem,
    read_all,
    variant_of,
)
from nereus.models.molecules.mbp.config import MBPConfig
from nereus.models.molecules.mbp.learning import AssayLearning
from nereus.models.molecules.mbp.measurements import head_names, measurements, text_of
from nereus.models.molecules.mbp.network import MBPNetwork
from nereus.models.molecules.mbp.pretrained import grown, require_variant
from nereus.models.molecules.mbp.proteins import LONGEST_SEQUENCE, letters_of, short_names
from nereus.models.molecules.mbp.tables import (
    cells,
    complexes_of,
    exact_affinities,
    formulae,
    listed,
    variant_named,
)
from nereus.models.training import Session, identity_of, train
from nereus.models.training.device import derive_seed
from nereus.models.training.running_statistics import settle_batch_norm

if TYPE_CHECKING:
    import pandas as pd

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
            self._require_alike(given, _SHAPE)
            require_variant(given.variant_, variant, str(self.config.pretrained))
            centres = {**centres, **given.centres_}
            proteins = [*given.proteins_, *(one for one in proteins if one not in given.proteins_)]
            network = grown(given.network_, self.config, proteins)
        network = network.to(self.device)
        number_of = {one: number for number, one in enumerate(proteins, start=1)}
        targets = np.array([0 if one is None else number_of[one] for one in written])
        packed = pack_read(read, targets, variant, self.config)
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
        identity = identity_of(
            self.config,
            packed.identity(),
            *(one.tobytes() for one in (known.y, known.heads, known.rows, known.groups)),
            b"" if given is None else given.to_bytes(),
            without={"pretrained", "training", "finetuning"},
        )
        self.history_ = train(
            network,
            objective,
            options,
            seed=self.config.random_state,
            session=session,
            identity=identity,
        )
        if given is None and all(one is not None for one in written):
            # No row taught what any other protein is: that vector is still as random as it began.
            network.let_stand_for_others([number_of[one] for one in proteins if one[0] == "name"])
        settle_batch_norm(network, objective, seed=self.config.random_state)
        self.history_.notes += [*notes, *known.notes]
        self.network_, self.variant_, self.proteins_, self.centres_ = network, variant, proteins, centres
        self.default_head_ = names[int(np.bincount(known.heads).argmax())]

    # ------------------------------------------------------------------ asking

    def predict(self, X: Sequence[Complex | str], *, types: Sequence[object] | None = None) -> np.ndarray:
        """Affinities as -log10 of mol/L.

        Parameters
        ----------
        X
            Complexes, or SMILES, (n,); of several poses the first answers.
        types
            Type that each is asked for; where it is None that of ``affinity``, else the head that most was learned of, answers.

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
        every = self._answers(self._readouts(as_complexes(X)))
        return chosen(every, self._asked(types, len(X)))

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
            What is compared with each other, (n,); by default, and where it is empty, what has the same protein.
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
        named = short_names(complexes)
        if groups is not None:
            if len(groups) != len(complexes):
                raise InputError(f"{len(groups)} groups for {len(complexes)} complexes", where="groups")
            named = [text_of(one) or name for one, name in zip(groups, named, strict=True)]
        related = self._relation_learned()
        by = by or ("relation" if related else "affinity")
        if by not in ("relation", "affinity"):
            raise InputError(f"there is no order by {by!r}", where="by", mend="by is relation or affinity")
        if by == "relation" and not related:
            raise InputError("it did not learn to compare two ligands", where="by", mend="ask by='affinity'")
        heads = np.array(self._asked(types, len(complexes)))
        key = pd.Series(named)
        require_comparable(key, heads, by)
        z = self._readouts(complexes)
        predicted = chosen(self._answers(z), heads.tolist())
        score = mean_wins(self.network_, z, key, heads) if by == "relation" else predicted
        order = pd.Series(score).groupby(key).rank(ascending=False, method="min").astype(np.int64)
        found = {"group": key, "rank": order, "of": key.map(key.value_counts()), "score": score}
        return pd.DataFrame({**found, "prediction": predicted})

    def _relation_learned(self) -> bool:
        config = self.config
        return config.pretrained is None and config.ranking_weight > 0 and config.ranking == "relation"

    def _asked(self, types: Any, n: int) -> list[str]:
        """The head of each row."""
        return heads_asked(types, n, self.config, self.default_head_, self.centres_)

    def _answers(self, z: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """Affinities of every head that learned, (n,) each, from what they read."""
        return affinities(self.network_, z, self.centres_)

    def _readouts(self, complexes: Sequence[Complex]) -> dict[str, Tensor]:
        """What the heads that learned read, (n, 2 width) each; of several poses the first."""
        self.network_.eval()
        found = readouts(self.network_, complexes, self.config, self.proteins_, self.device)
        return {name: found[name] for name in self.centres_}

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
        every = self._answers(self._readouts(complexes_of(table, named)))
        heads = self._asked(cells(table, named, "type"), len(table))
        found = {"prediction": chosen(every, heads)}
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
        groups = cells(table, named, "assay") if group is None else table[group].tolist()
        found = self.rank(complexes_of(table, named), groups, types=cells(table, named, "type"), by=by)
        return found.set_axis(table.index, axis=0)

    def unreadable_rows(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> dict[int, str]:
        """See `Method.unreadable_rows`: poses and pockets that cannot be used, SMILES that are none."""
        named = listed(columns)
        if not {"smiles", "ligand"} & set(named):
            return {}
        variant = variant_named(named, self.config)
        found = {
            row: problem(one, variant, self.config) for row, one in enumerate(complexes_of(table, named))
        }
        return {row: why for row, why in found.items() if why}

    def observed(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> np.ndarray:
        """See `Method.observed`: exact affinities as -log10 of mol/L."""
        return exact_affinities(table, listed(columns), self.config)

    def described(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> tuple[ColumnKind, list[str]]:
        """See `Method.described`: SMILES, of poses those of their molecules."""
        return "smiles", formulae(table, listed(columns), self.config)

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


def _split(n: int, config: MBPConfig) -> tuple[np.ndarray, np.ndarray]:
    """Numbers that are learned from and that judge, each ascending."""
    if n < 2:
        raise InputError("there is one affinity to learn from", where="target", mend="give two rows or more")
    order = np.random.default_rng(derive_seed(config.random_state, "validation")).permutation(n)
    judges = min(round(config.validation * n), n - 2)
    return np.sort(order[judges:]), np.sort(order[:judges])
