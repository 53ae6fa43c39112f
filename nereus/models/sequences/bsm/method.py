"""BSM as an estimator.

References
----------
BSM: Small but Powerful Biological Sequence Model for Genes and Proteins. arXiv:2410.11499. The authors published no code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.utils import ClassifierTags, RegressorTags, Tags
from torch import Tensor, nn

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.card import ColumnKind
from nereus.models.sequences.alphabets import Modality, problems
from nereus.models.sequences.bsm import scoring
from nereus.models.sequences.bsm.card import CARD
from nereus.models.sequences.bsm.comparing import compared
from nereus.models.sequences.bsm.config import BSMConfig
from nereus.models.sequences.bsm.examples import Examples, documents, read_examples
from nereus.models.sequences.bsm.finetuning import Finetuning, padded
from nereus.models.sequences.bsm.generation import continuations
from nereus.models.sequences.bsm.network import BSMNetwork
from nereus.models.sequences.bsm.pairs import Demonstrations, pair_likelihood, pair_of
from nereus.models.sequences.bsm.rounds import judges, run_rounds
from nereus.models.sequences.bsm.targets import Targets
from nereus.models.sequences.bsm.vectors import ROWS, pooled
from nereus.models.sequences.families import families
from nereus.models.training import History, Session, identity_of, train

if TYPE_CHECKING:
    import pandas as pd


class BSM(Method[BSMConfig]):
    """A language model of DNA, RNA and proteins, in one decoder.

    `fit` learns from sequences in rounds; with targets it then learns these. ``X`` is a list of sequences, or a DataFrame with a
    column ``sequence`` and any of ``modality, partner, partner_modality, gene, related, document, wild_type``: rows of an equal
    ``gene`` are of one gene, of an equal ``related`` of linked genes, of an equal ``document`` of one document or neighbourhood.
    `nereus.models.sequences.files` makes such a table of a GenBank file.

    Attributes
    ----------
    network_ : BSMNetwork
        Decoder and head.
    mixes_ : list of dict
        Every candidate mix of every round: its shares, its validation loss after annealing, and whether it was chosen.
    targets_ : Targets or None
        What the head answers.

    Examples
    --------
    >>> import pandas as pd
    >>> from nereus.models.sequences.bsm import BSM
    >>> table = pd.DataFrame({
    ...     "sequence": ["ATGAAATTT", "MKF", "ATGTGGGAT", "MWD"],
    ...     "modality": ["dna", "protein", "dna", "protein"], "gene": ["a", "a", "b", "b"]})
    >>> model = BSM(width=16, heads=2, layers=1, context=32, codons=(2, 4), tokens=500, validation=0, training__epochs=1)
    >>> model.fit(table).embed(["ATGAAA"]).shape
    (1, 16)
    """

    card = CARD
    config_class = BSMConfig
    version: ClassVar[str] = "1"

    network_: BSMNetwork
    mixes_: list[dict[str, Any]]
    targets_: Targets | None

    # ------------------------------------------------------------------ learning

    def _fit(self, X: Any, y: Any, session: Session) -> None:
        """Learn from sequences round by round (or load), then targets where there are any."""
        examples = read_examples(X, self.config)
        targets = None if y is None else Targets.of(y, len(examples), self.config.head)
        if self.config.too_long == "error":
            documents(examples, self.config)
        start = examples.identity()
        network, mixes = BSMNetwork(self.config), []
        if self.config.pretrained is not None:
            given = BSM.load(self.config.pretrained)
            self._require_alike(given, ("layers", "width", "heads", "widening", "rope_base"))
            start += hashlib.sha256(given.to_bytes()).hexdigest()
            network.load_state_dict(given.network_.state_dict(), strict=False)
            mixes = list(given.mixes_)
        network = network.to(self.device)
        identity = identity_of(self.config, start, without=("pretrained", "head", "finetuning"))
        history = History()
        if self.config.pretrained is None or targets is None:
            corpus, held = examples.corpora(self.config)
            judged = judges(held, self.config.random_state)
            history, mixes = run_rounds(network, corpus, judged, self.config, session, identity)
        history.notes = examples.notes + history.notes
        if targets is not None:
            told = self._finetune(network, examples, targets, y, session, identity)
            history.losses += told.losses
            history.notes += told.notes
        self.history_, self.network_, self.mixes_, self.targets_ = history, network, mixes, targets

    def _finetune(
        self,
        network: BSMNetwork,
        examples: Examples,
        targets: Targets,
        y: Any,
        session: Session,
        identity: str,
    ) -> History:
        numbers, known = targets.numbers(y)
        network.head = nn.Linear(self.config.width, targets.outputs).to(self.device)
        given = documents(examples, self.config)
        done = train(
            network,
            Finetuning(network, [given[row] for row in known], numbers[known], self.config.finetuning),
            self.config.finetuning,
            seed=self.config.random_state,
            session=session.stage("fine-tuning"),
            # The head of the next token is not asked for a target.
            parameters=[*network.decoder.model.parameters(), *network.head.parameters()],
            identity=identity + hashlib.sha256(numbers.tobytes()).hexdigest(),
        )
        done.losses = [
            {"finetuning" if name == "total" else name: v for name, v in e.items()} for e in done.losses
        ]
        return done

    # ------------------------------------------------------------------ asking

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class, or the value, (n,)."""
        targets, answers = self._answers(X)
        return targets.values(answers)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes_`, (n, classes)."""
        targets, answers = self._answers(X)
        return targets.probabilities(answers)

    @property
    def classes_(self) -> np.ndarray:
        """Names of the classes."""
        self._require_fitted()
        return np.array([] if self.targets_ is None else self.targets_.classes)

    def __sklearn_tags__(self) -> Tags:
        """Classifier or regressor: as the head is configured, else as the targets were that it learned."""
        tags = super().__sklearn_tags__()
        learned = None if getattr(self, "targets_", None) is None else bool(len(self.classes_))
        if self.config.head == "classes" or (self.config.head == "auto" and learned):
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        elif self.config.head == "value" or learned is False:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags

    def score(
        self,
        X: Any,
        y: Any = None,
        *,
        partner: Literal["given", "joined", "ignored"] = "given",
        strands: Literal["given", "both"] = "given",
        demonstrations: Demonstrations = (),
    ) -> np.ndarray:
        """Log-likelihood of each sequence, in nats, summed over its letters, (n,).

        Parameters
        ----------
        X
            See the class; sequences that the context does not hold are judged by the policy of ``too_long``.
        y
            Not used.
        partner
            Of a table with partners: likelihood of the sequence given its partner, of both together, or of the sequence alone.
        strands
            DNA alone on its strand, or on both (the logarithm of the mean of the likelihoods).
        demonstrations
            Pairs (partner, sequence) that come before, as examples of what belongs together.
        """
        return self._likelihood(X, partner, strands, demonstrations).log_likelihood

    def icl_score(self, demonstrations: Demonstrations, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Log-probability of the second sequence of each pair after demonstrations and the first, nats, (pairs,)."""
        import pandas as pd

        if not len(pairs):
            raise InputError("there is no pair", where="pairs", mend="give (first, second) of at least one")
        first, second = zip(*[pair_of(one) for one in pairs], strict=True)
        return self.score(pd.DataFrame({"sequence": second, "partner": first}), demonstrations=demonstrations)

    @torch.no_grad()
    def embed(self, X: Any, *, pooling: Literal["mean", "last"] = "mean") -> np.ndarray:
        """Vectors, (n, width), float32.

        Parameters
        ----------
        X
            See the class; with partners each document is ``partner <sep> sequence``.
        pooling
            Mean over the letters, or the last token, which has seen all. Of what the context does not hold the beginning is read.
        """
        network = self._fitted()
        if pooling not in ("mean", "last"):
            raise InputError(f"pooling is {pooling!r}", where="embed", mend="it is mean or last")
        given = documents(read_examples(X, self.config), self.config)
        return pooled(network, given, pooling, self.device)

    def generate(
        self,
        X: Any,
        *,
        n: int = 1,
        then: Modality | None = None,
        letters: int = 60,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> list[list[str]]:
        """Continuations of each sequence, or sequences that belong to it.

        Parameters
        ----------
        X
            Sequences to go on from.
        n
            How many of each.
        then
            None goes on within the sequence; a kind begins a new sequence of that kind after it (a protein for a gene).
        letters
            Most letters; fewer where the model ends earlier or the context is full. Of a sequence that leaves no room for them
            the beginning is left out, up to half of the context.
        temperature, top_p
            Of the drawing, which `random_state` decides.

        Returns
        -------
        list of list of str
            New letters alone, n of each row.
        """
        return continuations(
            self._fitted(),
            read_examples(X, self.config).sequences,
            self.config,
            n=n,
            then=then,
            letters=letters,
            temperature=temperature,
            top_p=top_p,
        )

    def _likelihood(
        self, X: Any, partner: str, strands: str, demonstrations: Demonstrations
    ) -> scoring.Likelihood:
        examples = read_examples(X, self.config)
        return pair_likelihood(self._fitted(), examples, self.config, partner, strands, demonstrations)

    def _answers(self, X: Any) -> tuple[Targets, Tensor]:
        network = self._fitted()
        if self.targets_ is None:
            raise InputError(
                "it learned from sequences without a target, so it predicts nothing",
                where="bsm",
                mend="ask it to score or embed; or fit with a target and pretrained=<its folder>",
            )
        given = documents(read_examples(X, self.config), self.config)
        with torch.no_grad():
            parts = [
                network.answers(*padded(given[start : start + ROWS], self.device)).cpu()
                for start in range(0, len(given), ROWS)
            ]
        return self.targets_, torch.cat(parts)

    def _fitted(self) -> BSMNetwork:
        self._require_fitted()
        self.network_.eval()
        return self.network_

    # ------------------------------------------------------------------ tables

    def _from_table(self, table: pd.DataFrame, columns: Mapping[str, list[str]]) -> tuple[Any, Any]:
        named = columns.get("target", [])
        roles = {role: one[0] for role, one in columns.items() if role != "target"}
        frame = table[list(roles.values())].set_axis(list(roles), axis=1)
        return frame, table[named[0]] if named else None

    def unreadable_rows(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> dict[int, str]:
        """Rows whose sequence, or partner where one is named, cannot be read."""
        named = {role: one if isinstance(one, str) else one[0] for role, one in columns.items() if one}
        found: dict[int, str] = {}
        for role, kind in (("partner", "partner_modality"), ("sequence", "modality")):
            if named.get(role) in table:
                kinds = table[named[kind]].tolist() if named.get(kind) in table else None
                texts = table[named[role]].tolist()
                found |= problems(texts, kinds or [self.config.modality_or_none] * len(texts))
        return found

    def relatives(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> np.ndarray | None:
        """Families of similar sequences, with those of one gene, of linked genes and of one partner."""
        X, _ = self._from_table(table, self._checked_columns(table, columns, training=True))
        examples = read_examples(X, self.config)
        return families(examples.sequences, [examples.gene, examples.related, examples.partners or []])

    def described(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> tuple[ColumnKind, list[str]]:
        """See `Method.described`: sequences, with their partners in lower case before them, so that counts tell them apart."""
        kind, texts = super().described(table, columns)
        named = columns.get("partner")
        if not named:
            return kind, texts
        partners = table[named if isinstance(named, str) else named[0]].astype(str).str.lower()
        return kind, [f"{partner} {text}" for partner, text in zip(partners, texts, strict=True)]

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """``prediction``: the value, the probability of the second of two classes, or the likeliest of several."""
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        targets, answers = self._answers(X)
        return pd.DataFrame(targets.columns(answers), index=table.index)

    def embed_table(
        self,
        table: pd.DataFrame,
        columns: Mapping[str, str | Sequence[str]],
        *,
        pooling: Literal["mean", "last"] = "mean",
    ) -> pd.DataFrame:
        """Vectors for a table: its index, one column a dimension; `pooling` as in `embed`."""
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        vectors = self.embed(X, pooling=pooling)
        return pd.DataFrame(vectors, index=table.index, columns=[f"e{i}" for i in range(vectors.shape[1])])

    def score_table(
        self,
        table: pd.DataFrame,
        columns: Mapping[str, str | Sequence[str]],
        *,
        partner: Literal["given", "joined", "ignored"] = "given",
        strands: Literal["given", "both"] = "given",
        demonstrations: Demonstrations = (),
        wild_type: str | None = None,
    ) -> pd.DataFrame:
        """Likelihoods of a table's sequences.

        Parameters
        ----------
        table, columns
            See `fit_table`.
        partner, strands, demonstrations
            See `score`.
        wild_type
            A sequence that all rows are variants of, where no column names one.

        Returns
        -------
        DataFrame
            ``log_likelihood`` (nats), ``letters``, ``per_letter`` (nats), ``perplexity``; with partners ``pairing`` (nats a
            letter that the partner adds: above zero, they belong together); with a wild type ``effect`` (log-likelihood of
            the variant minus that of the wild type, nats: below zero, the variant is less likely; missing where the context
            does not reach their difference). ``note``, only where it has something to tell: what was left out.
        """
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        if wild_type is not None:
            X = X.assign(wild_type=wild_type)
        settings = {"partner": partner, "strands": strands, "demonstrations": demonstrations}
        found = compared(X, read_examples(X, self.config), settings, self._likelihood)
        return pd.DataFrame(found, index=table.index)

    def generate_table(
        self,
        table: pd.DataFrame,
        columns: Mapping[str, str | Sequence[str]],
        *,
        n: int = 1,
        then: Modality | None = None,
        letters: int = 60,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> pd.DataFrame:
        """Continuations, one a row under ``<row>/<number>``: ``prompt_row``, ``generated``; options are those of `generate`."""
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        made = self.generate(X, n=n, then=then, letters=letters, temperature=temperature, top_p=top_p)
        rows = [
            {"sequence": f"{row}/{number}", "prompt_row": str(row), "generated": text}
            for row, texts in zip(table.index, made, strict=True)
            for number, text in enumerate(texts)
        ]
        return pd.DataFrame(rows).set_index("sequence")

    # ------------------------------------------------------------------ keeping

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}
        targets = None if self.targets_ is None else self.targets_.as_json()
        return tensors, {"mixes": self.mixes_, "targets": targets}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.mixes_ = list(facts["mixes"])
        self.targets_ = None if facts["targets"] is None else Targets(**facts["targets"])
        self.network_ = BSMNetwork(self.config, 0 if self.targets_ is None else self.targets_.outputs)
        self.network_.load_state_dict({name.removeprefix("network."): one for name, one in tensors.items()})
