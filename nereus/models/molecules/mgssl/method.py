"""MGSSL as an estimator.

References
----------
Zhang, Liu, Wang, Lu & Lee: Motif-based Graph Self-Supervised Learning for Molecular Property Prediction. NeurIPS 2021,
arXiv:2110.00987.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from rdkit import Chem
from sklearn.base import ClassifierMixin
from torch import Tensor, nn

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.evaluation.splits import scaffold_split
from nereus.models.molecules.graphs.packed import PackedGraphs
from nereus.models.molecules.graphs.read import largest_fragment, pack, read_smiles
from nereus.models.molecules.labels import binary_labels
from nereus.models.molecules.mgssl.card import CARD
from nereus.models.molecules.mgssl.config import MGSSLConfig
from nereus.models.molecules.mgssl.finetuning import Finetuning
from nereus.models.molecules.mgssl.generation import right
from nereus.models.molecules.mgssl.motifs import UNKNOWN, MotifTree, Vocabulary, motif_tree
from nereus.models.molecules.mgssl.network import MGSSLNetwork
from nereus.models.molecules.mgssl.pretraining import Pretraining
from nereus.models.molecules.mgssl.trees import PackedTrees
from nereus.models.training import History, Session, identity_of, train

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 512
"""Molecules that are encoded at a time."""
_OF_FINETUNING = ("finetuning", "finetuning_dropout", "validation")
"""Settings that pre-training does not depend on."""


class MGSSL(ClassifierMixin, Method[MGSSLConfig]):  # type: ignore[misc]
    """Pre-trains a graph network on molecules without labels, and fine-tunes it on labels.

    `fit` without labels pre-trains; with labels it pre-trains on all molecules given, then learns the labels. With
    ``pretrained="folder"`` it starts from a saved one instead.

    Attributes
    ----------
    network_ : MGSSLNetwork
        Encoder, generator, heads.
    vocabulary_ : Vocabulary
        Motifs of the molecules of pre-training.
    tasks_ : list of str
        Names of the targets; empty before fine-tuning.
    classes_ : ndarray
        ``[0, 1]``.

    Examples
    --------
    >>> from nereus.models.molecules.mgssl import MGSSL
    >>> smiles = ["CCOC(=O)c1ccccc1", "CCNC(=O)c1ccccc1", "CC(C)COC1CCCC1", "CC(C)CNC1CCCC1"]
    >>> model = MGSSL(width=8, layers=2, training__epochs=1, finetuning__epochs=1).fit(smiles, [1, 0, 1, 0])
    >>> model.predict_proba(["CCOCC"]).shape
    (1, 2)
    >>> model.fragment(["CC(=O)Nc1ccccc1"])[0].smiles
    ('C', 'C', 'O', 'N', 'C1=CC=CC=C1')
    """

    card = CARD
    config_class = MGSSLConfig
    version: ClassVar[str] = "1"

    network_: MGSSLNetwork
    vocabulary_: Vocabulary
    tasks_: list[str]

    # ------------------------------------------------------------------ learning

    def _fit(self, X: Any, y: Any, session: Session) -> None:
        """Pre-train (or load), then learn labels where there are any."""
        smiles, molecules, notes = _read(X)
        labels, names, known = _targets(y, len(molecules), notes)
        if labels is None and (self.config.pretrained or self.config.tasks == "none"):
            raise InputError(
                "there is nothing to learn: no target, and no pre-training",
                where="mgssl",
                mend="name a target, or leave pretrained and tasks as they are by default",
            )
        graphs = pack(molecules)
        self._require_batches(graphs, labels is not None)
        start = "\n".join(smiles).encode()
        if self.config.pretrained is not None:
            given = MGSSL.load(self.config.pretrained)
            self._require_alike(given, ("width", "layers", "order", "rules"))
            start += given.to_bytes()
            network, vocabulary, before = given.network_.to(self.device), given.vocabulary_, History()
        else:
            identity = identity_of(self.config, start, without={"training", *_OF_FINETUNING})
            network, vocabulary, before = self._pretrain(molecules, graphs, session, identity)
        losses = [_named(one, "pretraining") for one in before.losses]
        notes += before.notes
        self.history_ = History(losses, notes=notes)
        if labels is not None:
            network.classifier = nn.Linear(self.config.width, labels.shape[1]).to(self.device)
            identity = identity_of(self.config, start, labels.tobytes(), without={"pretrained", "finetuning"})
            after = self._finetune(network, molecules, graphs, labels, known, session, identity)
            best = None if after.best_epoch is None else len(losses) + after.best_epoch
            losses += [_named(one, "finetuning") for one in after.losses]
            self.history_ = History(losses, best, after.stopped_early, [*notes, *after.notes])
        self.network_, self.vocabulary_, self.tasks_ = network, vocabulary, names

    def _require_batches(self, graphs: PackedGraphs, labelled: bool) -> None:
        """Refuse what could be a batch of a single atom, of which batch norm has no variance."""
        stages = [] if self.config.pretrained or self.config.tasks == "none" else [self.config.training]
        stages += [self.config.finetuning] if labelled else []
        alone = len(graphs) == 1 or any(one.batch_size == 1 for one in stages)
        if alone and bool((graphs.atoms == 1).any()):
            raise InputError(
                "a batch of a single atom teaches nothing",
                where="mgssl",
                mend="give more molecules and a batch_size of two or more, or leave single atoms out",
            )

    def _pretrain(
        self, molecules: Sequence[Chem.Mol], graphs: PackedGraphs, session: Session, identity: str
    ) -> tuple[MGSSLNetwork, Vocabulary, History]:
        trees = [motif_tree(molecule, self.config.rules) for molecule in molecules]
        vocabulary = Vocabulary.of(trees, self.config.least_count)
        network = MGSSLNetwork(self.config, len(vocabulary)).to(self.device)
        if self.config.tasks == "none":
            return network, vocabulary, History()
        packed = PackedTrees(trees, vocabulary)
        if self.config.tasks == "motifs" and packed.sizes.max() < 2:
            raise InputError(
                "no molecule has two motifs", where="mgssl", mend="give larger molecules, or set tasks='all'"
            )
        history = train(
            network,
            Pretraining(network, graphs, packed, self.config),
            self.config.training,
            seed=self.config.random_state,
            session=session.stage("pre-training"),
            identity=identity,
        )
        return network, vocabulary, history

    def _finetune(
        self,
        network: MGSSLNetwork,
        molecules: Sequence[Chem.Mol],
        graphs: PackedGraphs,
        labels: np.ndarray,
        known: np.ndarray,
        session: Session,
        identity: str,
    ) -> History:
        train_rows, valid_rows = known, known[:0]
        if self.config.validation:
            share = self.config.validation
            texts = [Chem.MolToSmiles(molecules[row]) for row in known]
            split = scaffold_split(texts, (1 - share, share, 0.0), seed=self.config.random_state)
            train_rows, valid_rows = (
                known[split.train],
                known[np.sort(np.concatenate([split.valid, split.test]))],
            )
        if not len(train_rows):
            raise InputError(
                "no molecule is left to learn from",
                where="validation",
                mend="lower validation, or give more scaffolds",
            )
        network.encoder.dropout.p = self.config.finetuning_dropout
        objective = Finetuning(network, graphs, labels, train_rows, valid_rows, self.config.finetuning)
        assert network.classifier is not None
        return train(
            network,
            objective,
            self.config.finetuning,
            seed=self.config.random_state,
            session=session.stage("fine-tuning"),
            parameters=[*network.encoder.parameters(), *network.classifier.parameters()],
            identity=identity,
        )

    @property
    def classes_(self) -> np.ndarray:
        """The classes: 0 and 1."""
        return np.array([0, 1])

    # ------------------------------------------------------------------ asking

    def predict_proba(self, X: Sequence[str]) -> np.ndarray:
        """Probabilities.

        Parameters
        ----------
        X
            SMILES, (n,).

        Returns
        -------
        ndarray
            Of 0 and 1, (n, 2), for one target; of being 1, (n, targets), for several.
        """
        p = self._probabilities(X)
        return np.column_stack([1 - p[:, 0], p[:, 0]]) if p.shape[1] == 1 else p

    def predict(self, X: Sequence[str]) -> np.ndarray:
        """The more likely class, (n,) for one target, (n, targets) for several."""
        found = (self._probabilities(X) > 0.5).astype(np.int64)
        return found[:, 0] if found.shape[1] == 1 else found

    def embed(self, X: Sequence[str]) -> np.ndarray:
        """Vectors of molecules, the mean of their atoms', (n, width), float32."""
        return self._blocks(X, self._fitted().vectors)

    def fragment(self, X: Sequence[str]) -> list[MotifTree]:
        """The motifs of molecules, as trees; of salts those of the largest part, whose atoms are numbered anew."""
        self._fitted()
        return [motif_tree(molecule, self.config.rules) for molecule in _read(X)[1]]

    @torch.no_grad()
    def motif_accuracy(self, X: Sequence[str]) -> dict[str, float]:
        """How well the generator names the motifs and finds the shape of molecules, each true motif shown before the next.

        Parameters
        ----------
        X
            SMILES that it did not see, (n,).

        Returns
        -------
        dict
            ``motif`` and ``topology`` accuracy; beside each the share of its most frequent answer (``motif_majority``,
            ``topology_majority``), ``unknown`` the share of motifs beside the vocabulary, ``n`` the number of motifs asked for.
        """
        network = self._fitted()
        molecules = _read(X)[1]
        graphs = pack(molecules)
        trees = PackedTrees([motif_tree(one, self.config.rules) for one in molecules], self.vocabulary_)
        stop = network.generator.classes
        parts = []
        for start in range(0, len(graphs), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(graphs)))
            tree = trees.batch(rows).to(self.device)
            grown = network.grow(graphs.batch(rows, self.device), tree)
            further = grown.true_further if len(grown.further) else (grown.true_labels == stop).float()
            parts.append((*right(grown, stop), tree.labels[tree.children], further))
        named, shaped, labels, further = (torch.cat(one).float().cpu() for one in zip(*parts, strict=True))
        if not len(named):
            raise InputError("no molecule has two motifs", where="mgssl", mend="give larger molecules")
        share = float(further.mean())
        return {
            "motif": float(named.mean()),
            "motif_majority": float(labels.long().bincount().max()) / len(labels),
            "topology": float(shaped.mean()),
            "topology_majority": max(share, 1 - share),
            "unknown": float((labels == UNKNOWN).float().mean()),
            "n": float(len(labels)),
        }

    def _probabilities(self, X: Sequence[str]) -> np.ndarray:
        network = self._fitted()
        if network.classifier is None:
            raise InputError(
                "it was pre-trained without labels, so it predicts nothing",
                where="mgssl",
                mend="fit it with a target; settings pretrained=<its folder> starts from this one",
            )
        return np.asarray(
            self._blocks(X, lambda graph: torch.sigmoid(network.logits(graph))), dtype=np.float64
        )

    @torch.no_grad()
    def _blocks(self, X: Sequence[str], answer: Any) -> np.ndarray:
        self.network_.eval()
        graphs = pack(_read(X)[1])
        parts = [
            answer(graphs.batch(np.arange(start, min(start + _BLOCK, len(graphs))), self.device)).cpu()
            for start in range(0, len(graphs), _BLOCK)
        ]
        return np.asarray(torch.cat(parts))

    def _fitted(self) -> MGSSLNetwork:
        self._require_fitted()
        return self.network_

    # ------------------------------------------------------------------ tables

    def _from_table(self, table: pd.DataFrame, columns: Mapping[str, list[str]]) -> tuple[Any, Any]:
        named = columns.get("target", [])
        return table[columns["smiles"][0]].tolist(), table[named] if named else None

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """See `Method.predict_table`: ``prediction`` of the first target, and ``prediction_<target>`` of each of several."""
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        p = self._probabilities(X)
        found = {"prediction": p[:, 0]}
        if len(self.tasks_) > 1:
            found |= {f"prediction_{name}": p[:, number] for number, name in enumerate(self.tasks_)}
        return pd.DataFrame(found, index=table.index)

    def fragment_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """The motifs of a table's molecules.

        Returns
        -------
        DataFrame
            One row a motif, its index ``<row>/<motif>``: ``molecule`` (the table's row), ``motif`` (number in it, the
            root 0), ``motif_smiles``, ``parent`` (number of the motif that it hangs on; missing for the root), ``atoms`` (their
            numbers in the molecule as RDKit reads it, or in the largest part of a salt), ``known`` (whether the vocabulary of
            pre-training holds it), ``note``.
        """
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        trees = self.fragment(X)
        classes = self.vocabulary_.classes()
        rows = []
        for row, text, tree in zip(table.index, X, trees, strict=True):
            note = "motifs of the largest part" if "." in str(text) else ""
            for number, (smiles, parent, atoms) in enumerate(
                zip(tree.smiles, tree.parents, tree.atoms, strict=True)
            ):
                rows.append(
                    {
                        "piece": f"{row}/{number}",
                        "molecule": str(row),
                        "motif": number,
                        "motif_smiles": smiles,
                        "parent": parent if parent >= 0 else None,
                        "atoms": " ".join(map(str, atoms)),
                        "known": smiles in classes,
                        "note": note,
                    }
                )
        return pd.DataFrame(rows).astype({"motif": "Int64", "parent": "Int64"}).set_index("piece")

    # ------------------------------------------------------------------ keeping

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}
        return tensors, {"motifs": list(self.vocabulary_.motifs), "tasks": list(self.tasks_)}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.vocabulary_, self.tasks_ = Vocabulary(tuple(facts["motifs"])), list(facts["tasks"])
        self.network_ = MGSSLNetwork(self.config, len(self.vocabulary_), len(self.tasks_))
        self.network_.load_state_dict({name.removeprefix("network."): one for name, one in tensors.items()})


def _read(X: Any) -> tuple[list[str], list[Chem.Mol], list[str]]:
    """SMILES, molecules (of salts the largest part), and what is to be told of them."""
    smiles = list(X)
    molecules, _, _ = read_smiles(smiles)
    whole = [largest_fragment(one) for one in molecules]
    cut = [row for row, (a, b) in enumerate(zip(molecules, whole, strict=True)) if a is not b]
    notes = []
    if cut:
        notes.append(
            f"{len(cut)} molecules have several parts, of which the largest is taken; first row {cut[0]}"
        )
    return smiles, whole, notes


def _targets(y: Any, molecules: int, notes: list[str]) -> tuple[np.ndarray | None, list[str], np.ndarray]:
    """Labels (molecules, tasks), names of the tasks, and the molecules with a known label; tells of tasks with one class."""
    if y is None:
        return None, [], np.zeros(0, dtype=np.int64)
    labels = binary_labels(y, molecules)
    names = [str(one) for one in getattr(y, "columns", [])] or [
        f"target_{number}" for number in range(labels.shape[1])
    ]
    one_class = [
        name
        for name, column in zip(names, labels.T, strict=True)
        if not ((column == 1).any() and (column == 0).any())
    ]
    if len(one_class) == len(names):
        raise InputError(
            f"target {names[0]!r} has {int((labels[:, 0] == 1).sum())} molecules of class 1 and "
            f"{int((labels[:, 0] == 0).sum())} of class 0",
            where="mgssl",
            mend="give labels of both classes",
        )
    if one_class:
        notes.append(f"targets with one class teach nothing, AUC is undefined: {', '.join(one_class[:10])}")
    return labels, names, np.flatnonzero(np.isfinite(labels).any(1))


def _named(losses: Mapping[str, float], stage: str) -> dict[str, float]:
    """Losses of a stage, with its total named after it."""
    return {stage if name == "total" else name: value for name, value in losses.items()}
