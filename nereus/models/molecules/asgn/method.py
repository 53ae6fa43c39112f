"""ASGN as an estimator.

References
----------
Hao, Lu, Huang, Wang, Hu, Liu, Chen & Lee: ASGN: An Active Semi-supervised Graph Neural Network for Molecular Property
Prediction. KDD 2020, arXiv:2007.03196.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from rdkit import Chem
from sklearn.base import RegressorMixin
from torch import Tensor

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.molecules.asgn.active import act, count
from nereus.models.molecules.asgn.answers import Oracle
from nereus.models.molecules.asgn.card import CARD
from nereus.models.molecules.asgn.config import ASGNConfig
from nereus.models.molecules.asgn.network import ASGNNetwork, Backbone
from nereus.models.molecules.asgn.rounds import Rounds, properties, vectors
from nereus.models.molecules.asgn.scaling import Scale
from nereus.models.molecules.asgn.selection import Choice, k_centres
from nereus.models.molecules.asgn.structures import Structures, read_structures
from nereus.models.molecules.asgn.tables import all_rows, chosen_rows, molecules_of, unreadable_blocks
from nereus.models.molecules.labels import property_values
from nereus.models.training import Session
from nereus.models.training.device import derive_seed, seeded

if TYPE_CHECKING:
    import pandas as pd

Molecules = Sequence[str | Chem.Mol]


class ASGN(RegressorMixin, Method[ASGNConfig]):  # type: ignore[misc]
    """Learns properties from few measured and many unmeasured molecules, and says which to measure next.

    `fit` takes all molecules, those without a value too (NaN). `select` then chooses from a library; `fit_actively` chooses, asks
    and learns in turn. Molecules are SMILES, for which conformers are made, or molecules of RDKit with one.

    Attributes
    ----------
    network_ : ASGNNetwork
        Teacher and student.
    targets_ : list of str
        Names of the properties; empty where there was no value to learn.
    labels_ : ndarray
        What was known of each molecule of training at the end, (molecules, targets), NaN where unknown. Not kept by `save`.
    rounds_ : list of dict
        What each round of `fit_actively` chose, what failed, and how well its choice covers the molecules.

    Examples
    --------
    >>> import numpy as np
    >>> from nereus.models.molecules.asgn import ASGN
    >>> smiles = ["CCO", "CCN", "CCCO", "CCCN", "CO", "CN", "CCCCO", "CC(C)O"]
    >>> solubility = [0.3, 0.5, -0.1, 0.2, np.nan, np.nan, np.nan, np.nan]
    >>> model = ASGN(width=8, layers=2, rounds=1, training__epochs=1, student__epochs=1).fit(smiles, solubility)
    >>> model.predict(["CCCCN"]).shape
    (1,)
    >>> len(model.select(smiles, n=2))
    2
    """

    card = CARD
    config_class = ASGNConfig
    version: ClassVar[str] = "1"

    network_: ASGNNetwork
    targets_: list[str]
    labels_: np.ndarray
    rounds_: list[dict[str, Any]]
    measured_: list[str]
    """Canonical SMILES of the molecules with a value of every target."""
    centres_: Tensor
    """Their vectors, (measured, width)."""
    elements_: list[int]
    """Atomic numbers that training saw."""
    scale_: Scale | None

    # ------------------------------------------------------------------ learning

    def _fit(self, X: Any, y: Any, session: Session) -> None:
        """Rounds of teacher and student; without a label the teacher alone, on structures."""
        structures, labels, names, notes = self._read(X, y)
        rounds = Rounds(structures, labels, self.config, self.device, session)
        if not len(rounds.labelled) and self.config.parts == "student":
            raise InputError(
                "no value is known", where="asgn", mend="name a target, or let the teacher learn"
            )
        rounds.require_labels()
        for _ in range(self.config.rounds if len(rounds.labelled) else 1):
            rounds.teach()
            rounds.study()
        self._keep(rounds, names, notes)

    def fit_actively(
        self,
        X: Molecules | Structures,
        oracle: Oracle,
        y: Any = None,
        *,
        budget: int,
        batch: int | None = None,
        targets: int = 1,
        target_error: float | None = None,
        session: Session | None = None,
    ) -> Self:
        """Choose, measure and learn in turn.

        Parameters
        ----------
        X
            All molecules, (n,).
        oracle
            Measures one molecule: called with its row, gives a number, or one a target. It is called for chosen molecules only;
            where it raises or gives no number, the molecule is skipped, and told in `rounds_`. A failed measurement has cost.
        y
            What is known already, (n,) or (n, targets), NaN where unknown; None where nothing is.
        budget
            Most measurements in all, with those in `y`.
        batch
            Measurements of a round; by default the budget is spent in `config.rounds` rounds.
        targets
            Number of properties, where `y` does not tell it.
        target_error
            Stop when the student's error is no larger; see `Round.error`.
        session
            Progress, cancellation, checkpoints. With checkpoints, answers are kept too, and never asked for twice.

        Raises
        ------
        InputError
            The budget is not above what is known already, a batch is larger than what is left, or the molecules cannot be read.
        """
        with seeded(derive_seed(self.config.random_state, self.card.name)):
            structures = self._structures(X)
            if y is None:
                y = np.full((structures.given, count("targets", targets)), np.nan)
            structures, labels, names, notes = self._read(structures, y)
            rounds = Rounds(structures, labels, self.config, self.device, session or Session())
            notes += act(rounds, oracle, budget=budget, batch=batch, target_error=target_error)
            self._keep(rounds, names, notes)
        self.network_.eval()
        return self

    def _read(self, X: Any, y: Any) -> tuple[Structures, np.ndarray, list[str], list[str]]:
        """Molecules, values (molecules, targets), names of the targets, and what is to be told."""
        structures = self._structures(X)
        notes = structures.notes(self.config.relax)
        if y is None:
            return structures, np.full((len(structures), 1), np.nan), [], notes
        labels = property_values(y, structures.given)[structures.rows]
        names = [str(one) for one in getattr(y, "columns", [])] or [
            f"target_{number}" for number in range(labels.shape[1])
        ]
        flat = [name for name, column in zip(names, labels.T, strict=True) if _flat(column)]
        if 0 < len(flat) < len(names):
            notes.append(f"targets that do not vary teach nothing: {', '.join(flat[:10])}")
        return structures, labels, names, notes

    def read(self, X: Molecules) -> Structures:
        """Molecules read once, to be given to `fit`, `predict` or `select` in their place.

        Molecules that cannot be used are left out and named in its ``problems``; values go with all that were given.
        """
        return read_structures(X, self.config)

    def _structures(self, X: Any) -> Structures:
        """Molecules as they are read; one that cannot be used is an error, unless they were read before."""
        return X if isinstance(X, Structures) else self.read(X).whole()

    def _asked(self, X: Any) -> Structures:
        """Molecules that a trained method is asked about, all of whose elements it knows."""
        self._require_fitted()
        return self._structures(X).known(self.elements_).whole()

    def _keep(self, rounds: Rounds, names: list[str], notes: list[str]) -> None:
        labelled = rounds.labelled
        self.network_, self.scale_ = rounds.network, rounds.scale
        self.targets_ = names if len(labelled) else []
        self.labels_ = np.full((rounds.structures.given, rounds.labels.shape[1]), np.nan)
        self.labels_[rounds.structures.rows] = rounds.labels
        whole = np.flatnonzero(np.isfinite(rounds.labels).all(1))
        self.measured_ = [rounds.structures.names[row] for row in whole]
        self.elements_ = rounds.structures.elements()
        self.rounds_ = [one.as_json() for one in rounds.done]
        if len(whole):
            points = vectors(rounds.chooser, rounds.structures.graphs.take(whole), self.device)
            self.centres_ = torch.from_numpy(points)
        else:
            self.centres_ = torch.zeros(0, self.config.width)
        self.history_ = rounds.history
        self.history_.notes = notes

    # ------------------------------------------------------------------ asking

    def predict(self, X: Molecules | Structures) -> np.ndarray:
        """Properties in their own units, (n,) for one target, (n, targets) for several.

        Raises
        ------
        InputError
            A molecule cannot be used (row, reason), or there was no value to learn.
        """
        found = self._said(self._asked(X))
        return found[:, 0] if found.shape[1] == 1 else found

    def embed(self, X: Molecules | Structures) -> np.ndarray:
        """The teacher's vectors of molecules, in which is chosen what to measure, (n, width), float32."""
        structures = self._asked(X)
        return vectors(self._chooser, structures.graphs, self.device)

    def select(
        self, X: Molecules | Structures, n: int = 100, measured: Sequence[bool] | np.ndarray | None = None
    ) -> np.ndarray:
        """Which molecules to measure next, the first first.

        Each is the one that lies farthest, in the teacher's space, from all molecules of training with a value, all that are said
        to be measured, and all that were chosen before it. Molecules with a value in training are not chosen.

        Parameters
        ----------
        X
            The library, (molecules,).
        n
            How many.
        measured
            Which molecules of the library are measured, (molecules,).

        Returns
        -------
        ndarray
            Rows of `X`, (n,), int64.

        Raises
        ------
        InputError
            There are fewer unmeasured molecules, or one cannot be used.
        """
        structures = self._asked(X)
        return np.asarray(structures.rows[self._choice(structures, n, measured).rows])

    def _choice(self, structures: Structures, n: int, measured: Sequence[bool] | np.ndarray | None) -> Choice:
        given = (
            np.zeros(structures.given, dtype=bool) if measured is None else np.asarray(measured, dtype=bool)
        )
        if len(given) != structures.given:
            raise InputError(
                f"{len(given)} marks of being measured for {structures.given} molecules", where="select"
            )
        known = given[structures.rows]
        learned = set(self.measured_)
        free = ~known & np.array([name not in learned for name in structures.names])
        candidates = np.flatnonzero(free)
        n = count("n", n)
        if n > len(candidates):
            raise InputError(
                f"{n} molecules are asked for, {len(candidates)} are not measured yet",
                where="select",
                mend=f"n={len(candidates)} or less" if len(candidates) else "give a larger library",
            )
        points = vectors(self._chooser, structures.graphs, self.device)
        centres = np.concatenate([np.asarray(self.centres_), points[known]])
        if self.config.choice == "random":
            rng = np.random.default_rng(derive_seed(self.config.random_state, "select"))
            rows = rng.permutation(candidates)[:n]
            return Choice(rows, np.full(n, np.nan), np.nan)
        return k_centres(points, centres, candidates, int(n))

    @property
    def _chooser(self) -> Backbone:
        return self.network_.student if self.config.parts == "student" else self.network_.teacher.backbone

    def _said(self, structures: Structures) -> np.ndarray:
        if self.scale_ is None:
            raise InputError(
                "it learned from structures without a value, so it predicts nothing",
                where="asgn",
                mend="fit it with a target; `select` says what to measure first",
            )
        student = self.config.parts != "teacher"
        backbone = self.network_.student if student else self.network_.teacher.backbone
        return properties(backbone, structures, self.scale_, self.device)[:, : len(self.targets_)]

    # ------------------------------------------------------------------ tables

    def _from_table(self, table: pd.DataFrame, columns: Mapping[str, list[str]]) -> tuple[Any, Any]:
        """Molecules of the column of structures where it has one, else of the SMILES; those that cannot be used are left out."""
        named = columns.get("target", [])
        return self.read(molecules_of(table, columns)), table[named] if named else None

    def unreadable_rows(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> dict[int, str]:
        """See `Method.unreadable_rows`: mol blocks that are none."""
        named = {role: [one] if isinstance(one, str) else list(one) for role, one in columns.items() if one}
        return unreadable_blocks(table, named)

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """See `Method.predict_table`: ``prediction`` of the first target, and ``prediction_<target>`` of each of several."""
        structures = self._of_table(table, columns)
        return all_rows(table, structures, self._predictions(structures))

    def embed_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """See `Method.embed_table`."""
        structures = self._of_table(table, columns)
        points = vectors(self._chooser, structures.graphs, self.device)
        return all_rows(table, structures, {f"e{i}": column for i, column in enumerate(points.T)})

    def select_table(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]], n: int = 100
    ) -> pd.DataFrame:
        """Which rows to measure next, the first first.

        Parameters
        ----------
        table
            The library.
        columns
            See `fit_table`. Where targets are named, rows with a value of each are measured already.
        n
            How many.

        Returns
        -------
        DataFrame
            Rows of the table's index: ``order`` from one, ``distance`` to the nearest molecule that was measured or chosen before
            (empty where nothing is measured yet), and what `predict_table` gives where there was a value to learn. Rows that
            cannot be used come last, with a ``problem``.
        """
        import pandas as pd

        structures = self._of_table(table, columns)
        named = self._checked_columns(table, columns, training=False).get("target", [])
        measured = None
        if named:
            values = table[named].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
            measured = np.isfinite(values).all(1)
        choice = self._choice(structures, n, measured)
        said = {} if self.scale_ is None else self._predictions(structures.take(choice.rows))
        return chosen_rows(table, structures, choice, said)

    def _of_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> Structures:
        self._require_fitted()
        found: Structures = self._from_table(table, self._checked_columns(table, columns, training=False))[0]
        return found.known(self.elements_)

    def _predictions(self, structures: Structures) -> dict[str, np.ndarray]:
        said = self._said(structures)
        found = {"prediction": said[:, 0]}
        if len(self.targets_) > 1:
            found |= {f"prediction_{name}": said[:, number] for number, name in enumerate(self.targets_)}
        return found

    # ------------------------------------------------------------------ keeping

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}
        tensors |= {"centres": self.centres_} | ({} if self.scale_ is None else self.scale_.tensors())
        facts = {
            "targets": list(self.targets_),
            "measured": list(self.measured_),
            "elements": list(self.elements_),
            "clusters": self.network_.teacher.cluster.out_features,
            "outputs": self.network_.student.targets,
            "rounds": self.rounds_,
        }
        return tensors, facts

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.targets_, self.measured_ = list(facts["targets"]), list(facts["measured"])
        self.elements_, self.rounds_ = list(facts["elements"]), list(facts["rounds"])
        self.centres_ = tensors["centres"]
        self.scale_ = Scale.kept(tensors) if "scale.offset" in tensors else None
        outputs = facts.get(
            "outputs", len(self.targets_)
        )  # all may be without a value, and so without a name
        self.network_ = ASGNNetwork(self.config, outputs, facts["clusters"])
        prefix = "network."
        self.network_.load_state_dict(
            {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
        )


def _flat(column: np.ndarray) -> bool:
    return len(np.unique(column[np.isfinite(column)])) < 2
