"""UniMatch as an estimator.

References
----------
UniMatch: Universal Matching from Atom to Task for Few-Shot Drug Discovery. ICLR 2025, arXiv:2502.12453. The authors
published no code; the encoder and the defaults of meta-learning follow PAR (Wang et al., NeurIPS 2021), whose setting the
paper takes over.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from torch import Tensor

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.molecules.graphs import PackedGraphs, featurise, read_smiles
from nereus.models.molecules.graphs.pretrained import load_encoder
from nereus.models.molecules.labels import binary_labels
from nereus.models.molecules.unimatch.auxiliary import property_tasks
from nereus.models.molecules.unimatch.card import CARD
from nereus.models.molecules.unimatch.config import UniMatchConfig
from nereus.models.molecules.unimatch.episodes import MetaLearning, one_hot
from nereus.models.molecules.unimatch.network import UniMatchNetwork
from nereus.models.training import Session, identity_of, train

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 512
"""Molecules that are encoded at a time."""
_EQUAL = 1e-5
"""Distance of two molecules' vectors, in parts of a vector's length, below which they are one molecule: sums round."""
_KNOWN = "is in the support: answered from its own label among others"


class UniMatch(ClassifierMixin, Method[UniMatchConfig]):  # type: ignore[misc]
    """Few-shot classifier of molecules.

    `meta_fit` learns from related assays how to compare molecules; `adapt` takes a handful of labels of a new assay;
    `predict_proba` answers for other molecules. `fit` does the first two in one go.

    Attributes
    ----------
    network_ : UniMatchNetwork
        Meta-trained network.
    support_ : Tensor
        Vectors of the adapted support, (levels, support, width).
    labels_ : Tensor
        Its one-hot labels, (support, 2).
    classes_ : ndarray
        ``[0, 1]``.

    Examples
    --------
    >>> from nereus.models.molecules.unimatch import UniMatch
    >>> smiles = ["CCO", "CCN", "CCCO", "CCCN", "CCCCO", "CCCCN", "OCCO", "NCCN"] * 4
    >>> model = UniMatch(width=8, layers=2, shots=2, training__epochs=1, episodes=1)
    >>> model = model.fit(smiles, [1, 0, 1, 0, 1, 0, 1, 0] * 4)
    >>> model.predict_proba(["CCCCCO", "CCCCCN"]).shape
    (2, 2)
    """

    card = CARD
    config_class = UniMatchConfig
    version: ClassVar[str] = "1"

    network_: UniMatchNetwork
    support_: Tensor
    labels_: Tensor

    # ------------------------------------------------------------------ learning

    def fit(
        self,
        X: Sequence[str],
        y: Any = None,
        *,
        related: np.ndarray | None = None,
        session: Session | None = None,
    ) -> Self:
        """Meta-train on related assays, then adapt to the new one.

        Parameters
        ----------
        X
            SMILES, (n,).
        y
            Activity in the new assay, (n,): 1, 0, NaN where unknown.
        related
            Activities in related assays, (n, assays). None takes properties that are computed from the structures.
        session
            Progress, cancellation and checkpoints.

        Raises
        ------
        InputError
            A SMILES cannot be read, a class has no molecule, a molecule has two labels, or too few related assays are known.
        """
        smiles = list(X)
        target = _labels(y, smiles)[:, 0]
        _both_classes(target)
        if related is None:
            molecules, _, _ = read_smiles(smiles)
            related = property_tasks(molecules)
        self.meta_fit(smiles, related, session=session)
        known = np.flatnonzero(np.isfinite(target))
        return self.adapt([smiles[row] for row in known], target[known])

    def meta_fit(self, X: Sequence[str], labels: np.ndarray, *, session: Session | None = None) -> Self:
        """Learn to compare molecules.

        Parameters
        ----------
        X
            SMILES, (n,).
        labels
            Activities in related assays, (n, assays): 1, 0, NaN where unknown.
        session
            Progress, cancellation and checkpoints.

        Raises
        ------
        InputError
            A SMILES cannot be read, or fewer than two assays have enough molecules of each class.
        """
        super().fit(X, labels, session=session)
        for name in ("support_", "labels_"):
            self.__dict__.pop(name, None)
        return self

    def _fit(self, X: Any, y: Any, session: Session) -> None:
        smiles = list(X)
        labels = _labels(y, smiles)
        graphs, _, _ = featurise(smiles)
        network = UniMatchNetwork(self.config, labels.shape[1])
        if self.config.pretrained is not None:
            load_encoder(network.encoder, self.config.pretrained)
        network.encoder.requires_grad_(self.config.encoder == "learns")
        network = network.to(self.device)
        objective = MetaLearning(network, graphs, labels, self.config)
        self.history_ = train(
            network,
            objective,
            self.config.training,
            seed=self.config.random_state,
            session=session,
            identity=identity_of(self.config, "\n".join(smiles), labels.tobytes(), without={"training"}),
        )
        self.network_ = network

    def adapt(self, X: Sequence[str], y: Any) -> Self:
        """Take the labels of a new assay as the support of what is asked next.

        Parameters
        ----------
        X
            SMILES, (support,).
        y
            1 or 0, (support,): at least one of each.
        """
        self._require_fitted()
        smiles = list(X)
        labels = _labels(y, smiles)[:, 0]
        _both_classes(labels)
        if not np.isfinite(labels).all():
            raise InputError(
                "a label of the support is missing", where="support", mend="leave the molecule out"
            )
        self.support_ = self._vectors(smiles)
        self.labels_ = one_hot(labels, self.device)
        return self

    @property
    def classes_(self) -> np.ndarray:
        """The classes: 0 and 1."""
        return np.array([0, 1])

    # ------------------------------------------------------------------ asking

    def predict_proba(self, X: Sequence[str]) -> np.ndarray:
        """Probabilities of being inactive and active, (n, 2).

        Molecules that are in the support are answered from their own label among others; this is told as a warning.
        """
        self._require_support()
        queries = self._vectors(list(X))
        if known := int(self._in_support(queries).sum()):
            warnings.warn(
                f"{known} of {len(X)} molecules are in the support: they are answered from their own labels",
                stacklevel=2,
            )
        return self._probabilities(queries)

    def _probabilities(self, queries: Tensor) -> np.ndarray:
        w = self.network_.adapt(self.support_, self.labels_)
        with torch.no_grad():
            logits = self.network_.answer(w, queries, self.support_, self.labels_)
        return np.asarray(logits.softmax(1).cpu(), dtype=np.float64)

    def _in_support(self, queries: Tensor) -> np.ndarray:
        """Which molecules have the vectors of one of the support, (n,)."""
        a, b = (one.transpose(0, 1).flatten(1) for one in (queries, self.support_))
        apart = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        return np.asarray((apart <= _EQUAL * b.norm(dim=1).mean()).cpu())

    def predict(self, X: Sequence[str]) -> np.ndarray:
        """The more likely class of each molecule, (n,)."""
        return np.asarray(self.predict_proba(X).argmax(1))

    def embed(self, X: Sequence[str]) -> np.ndarray:
        """Vectors of molecules, all levels side by side, (n, levels * width)."""
        self._require_fitted()
        return np.asarray(self._vectors(list(X)).transpose(0, 1).flatten(1).cpu())

    @torch.no_grad()
    def _vectors(self, smiles: Sequence[str]) -> Tensor:
        """(levels, molecules, width), with the running statistics of training: a query never sees the others."""
        self.network_.eval()
        graphs, _, _ = featurise(smiles)
        return torch.cat([self._encode(graphs, start) for start in range(0, len(graphs), _BLOCK)], dim=1)

    def _encode(self, graphs: PackedGraphs, start: int) -> Tensor:
        rows = np.arange(start, min(start + _BLOCK, len(graphs)))
        return self.network_.encode(graphs.batch(rows, self.device))

    def _require_support(self) -> None:
        self._require_fitted()
        if "support_" not in self.__dict__:
            raise InputError(
                "there is no support: it was meta-trained, not adapted",
                where="unimatch",
                mend="call `adapt` with labels of the new assay",
            )

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
        X, y = self._from_table(table, {role: one for role, one in named.items() if role != "related"})
        related = binary_labels(table[named["related"]], len(table)) if named.get("related") else None
        return self.fit(X, y, related=related, session=session)

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """See `Method.predict_table`: the probability of being active; ``note``, only where molecules are in the support."""
        import pandas as pd

        self._require_support()
        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        queries = self._vectors(X)
        found = pd.DataFrame({"prediction": self._probabilities(queries)[:, 1]}, index=table.index)
        known = self._in_support(queries)
        return found.assign(note=np.where(known, _KNOWN, "")) if known.any() else found

    # ------------------------------------------------------------------ keeping

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}
        if "support_" in self.__dict__:
            tensors |= {"support": self.support_, "labels": self.labels_}
        tasks = self.network_.relation.mix.shape[0] if self.network_.relation is not None else 0
        return tensors, {"tasks": tasks}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.network_ = UniMatchNetwork(self.config, facts["tasks"])
        prefix = "network."
        self.network_.load_state_dict(
            {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
        )
        if "support" in tensors:
            self.support_, self.labels_ = tensors["support"], tensors["labels"]

    def to(self, device: str) -> Self:
        """See `Method.to`."""
        super().to(device)
        if "support_" in self.__dict__:
            self.support_, self.labels_ = self.support_.to(self.device), self.labels_.to(self.device)
        return self


def _labels(given: Any, smiles: Sequence[str]) -> np.ndarray:
    """Checked labels, (molecules, tasks); no molecule has two."""
    labels = binary_labels(given, len(smiles))
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        rows[str(text)].append(row)
    for text, same in rows.items():
        one = labels[same]
        if len(same) > 1 and (((one == 1).any(0)) & ((one == 0).any(0))).any():
            raise InputError(
                f"{text!r} is active in one row and inactive in another (rows {same[:4]})",
                where="labels",
                mend="keep one of them",
            )
    return labels


def _both_classes(labels: np.ndarray) -> None:
    actives, inactives = int((labels == 1).sum()), int((labels == 0).sum())
    if not actives or not inactives:
        raise InputError(
            f"need at least one active and one inactive, got {actives}/{inactives}",
            where="support",
            mend="add molecules of the other class",
        )
