"""UTGDiff as an estimator.

References
----------
Instruction-Based Molecular Graph Generation with Unified Text-Graph Diffusion Model. ECAI 2025, arXiv:2408.09896.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from nereus.errors import InputError
from nereus.models.base import Method
from nereus.models.columns import require_list
from nereus.models.molecules.utgdiff.card import CARD
from nereus.models.molecules.utgdiff.config import UTGDiffConfig
from nereus.models.molecules.utgdiff.denoising import Denoising, diffusions, split
from nereus.models.molecules.utgdiff.graphs import AtomVocabulary, Generated, Graph, build
from nereus.models.molecules.utgdiff.instructions import (
    NOTHING,
    Instruction,
    graphs,
    instructions,
    sources_of,
)
from nereus.models.molecules.utgdiff.network import Denoiser, own_shape
from nereus.models.molecules.utgdiff.packed import PackedExamples, PackedMolecules
from nereus.models.molecules.utgdiff.pretrained import put, read_pretrained
from nereus.models.molecules.utgdiff.sampling import Drawing, sample
from nereus.models.molecules.utgdiff.text import TextTokenizer
from nereus.models.tables import REASON
from nereus.models.training import Session, identity_of, train
from nereus.models.training.device import derive_seed, seeded

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 256
"""Molecules that are made at a time."""
_OPTIONS = ("jumps", "temperature", "top_k", "repairs")


class UTGDiff(Method[UTGDiffConfig]):
    """Learns to make molecular graphs from instructions, and to edit molecules by them.

    `fit` takes instructions (or None, for molecules without any) and the SMILES of what they describe.

    Attributes
    ----------
    network_ : Denoiser
        The text-graph transformer.
    tokenizer_ : TextTokenizer
        Of the instructions; saved with the method.
    atoms_ : AtomVocabulary
        Atoms that can be drawn: those of the molecules that were learned from.
    slots_ : int
        Slots of a graph, one more than the largest molecule that was learned from.
    asked_ : dict
        Whether it learned with ``text``, without any (``none``), and with a ``source``.

    Examples
    --------
    >>> from nereus.models.molecules.utgdiff import Instruction, UTGDiff
    >>> texts = ["an alcohol", "an amine", "a long alcohol", "a long amine"]
    >>> model = UTGDiff(layers=1, width=16, heads=4, training__epochs=1).fit(texts, ["CO", "CN", "CCCO", "CCCN"])
    >>> len(model.generate(["an alcohol"], n=3, jumps=4))
    3
    >>> editor = UTGDiff(layers=1, width=16, heads=4, training__epochs=1)
    >>> editor = editor.fit([Instruction("make it an amine", "CO"), Instruction("make it an amine", "CCO")], ["CN", "CCN"])
    >>> len(editor.edit(["CCCO"], ["make it an amine"], jumps=4))
    1
    """

    card = CARD
    config_class = UTGDiffConfig
    version: ClassVar[str] = "1"

    network_: Denoiser
    tokenizer_: TextTokenizer
    atoms_: AtomVocabulary
    slots_: int
    asked_: dict[str, bool]

    # ------------------------------------------------------------------ learning

    def _fit(self, X: Any, y: Any, session: Session) -> None:
        """Read instructions and molecules, make or load the tokenizer, train the denoiser."""
        if y is None:
            raise InputError(
                "there are no molecules to learn from",
                where="utgdiff",
                mend="give their SMILES as y (role smiles)",
            )
        notes: list[str] = []
        smiles = list(y)
        asked = [Instruction()] * len(smiles) if X is None else instructions(X)
        if len(asked) != len(smiles):
            raise InputError(f"{len(asked)} instructions, but {len(smiles)} molecules", where="utgdiff")
        targets = graphs(smiles, notes)
        sources = sources_of(asked, notes)
        rows = self._usable(targets, sources, notes)
        asked = [asked[row] for row in rows]
        made: list[Graph] = [targets[row] for row in rows]  # type: ignore[misc]
        edited: list[Graph] = [sources[row] for row in rows]  # type: ignore[misc]
        atoms, slots = AtomVocabulary.of(made + edited), max(len(one.atoms) for one in made) + 1
        most = max(len(one.atoms) for one in made + edited) + 2
        texts = [one.text for one in asked if one.text is not None]
        if self.config.pretrained is not None:
            needed = max(self.config.text_tokens, most)
            shape, weights, tokenizer = read_pretrained(self.config.pretrained, self.config.dropout, needed)
        else:
            tokenizer, weights = TextTokenizer.trained(texts, self.config.vocabulary), {}
            shape = own_shape(self.config, len(tokenizer), tokenizer.pad, most)
        tokens, cut = tokenizer.encode([one.text for one in asked], self.config.text_tokens)
        if cut.any():
            notes.append(f"{int(cut.sum())} instructions are cut at {self.config.text_tokens} tokens")
        network = _network(shape, atoms, self.config).to(self.device)
        if self.config.pretrained is not None:
            put(network, weights, self.config.pretrained)
        examples = PackedExamples(
            tokens,
            tokenizer.pad,
            tokenizer.stop,
            PackedMolecules(edited, atoms),
            PackedMolecules(made, atoms),
            slots,
        )
        learned, held = split(len(made), self.config.validation, self.config.random_state)
        told = "\n".join(
            [tokenizer.content, *map(repr, zip(asked, [smiles[row] for row in rows], strict=True))]
        )
        self.history_ = train(
            network,
            Denoising(network, examples, learned, held, self.config),
            self.config.training,
            seed=self.config.random_state,
            session=session.stage("denoising"),
            identity=identity_of(self.config, told, without={"training", *_OPTIONS}),
        )
        self.history_.notes[:0] = notes
        self.network_, self.tokenizer_, self.atoms_, self.slots_ = network, tokenizer, atoms, slots
        silent = len(texts) < len(asked) or self.config.no_text > 0
        self.asked_ = {"text": bool(texts), "none": silent, "source": any(one.source for one in asked)}

    def _usable(
        self, targets: Sequence[Graph | str], sources: Sequence[Graph | str], notes: list[str]
    ) -> list[int]:
        """Rows whose molecules are graphs of a size that is learned; the others are counted."""
        rows, left = [], dict[str, int]()
        for row, pair in enumerate(zip(targets, sources, strict=True)):
            why = next((one for one in pair if isinstance(one, str)), None)
            if (
                why is None
                and max(len(one.atoms) for one in pair if isinstance(one, Graph)) > self.config.most_atoms
            ):
                why = f"more than {self.config.most_atoms} atoms"
            if why is None:
                rows.append(row)
            else:
                left[why] = left.get(why, 0) + 1
        notes += [f"{count} molecules are left out: they have {why}" for why, count in left.items()]
        if not rows:
            raise InputError(
                f"none of {len(targets)} molecules can be learned from: {'; '.join(left)}",
                where="utgdiff",
                mend="give molecules within the table of atoms, or raise most_atoms",
            )
        return rows

    # ------------------------------------------------------------------ asking

    def generate(
        self,
        X: Sequence[str | Instruction | tuple[str | None, str | None]] | None = None,
        *,
        n: int = 1,
        **options: Any,
    ) -> list[Generated]:
        """Make molecules.

        Parameters
        ----------
        X
            Instructions, (rows,); None asks for molecules without any.
        n
            Molecules of each row (of all, where there are no rows).
        **options
            ``jumps``, ``temperature``, ``top_k``, ``repairs`` in place of the configuration's.

        Returns
        -------
        list of Generated
            ``rows * n``, those of a row together. What is no molecule has no SMILES and a reason. Equal seeds give equal
            molecules.
        """
        self._require_fitted()
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"n is {n!r}", where="utgdiff", mend="ask for one molecule or more")
        if wrong := sorted(set(options) - set(_OPTIONS)):
            raise InputError(
                f"there is no option {wrong[0]!r}",
                where="utgdiff",
                mend=f"options are n, {', '.join(_OPTIONS)}",
            )
        config = self._configured(self.config, options)
        asked = [Instruction()] if X is None else instructions(X)
        if not asked:
            raise InputError(
                "there is no instruction", where="utgdiff", mend="give one, or None for molecules without any"
            )
        self._require_learned(asked)
        notes: list[str] = []
        sources, problems = self._known(sources_of(asked, notes))
        tokens, cut = self.tokenizer_.encode([one.text for one in asked], self.config.text_tokens)
        examples = PackedExamples(
            [one for one in tokens for _ in range(n)],
            self.tokenizer_.pad,
            self.tokenizer_.stop,
            PackedMolecules([one for one in sources for _ in range(n)], self.atoms_),
            PackedMolecules([NOTHING] * (len(asked) * n), self.atoms_),
            self.slots_,
        )
        found: list[Generated] = []
        drawing = Drawing(config.jumps, config.temperature, config.top_k)
        noise = diffusions(config, self.network_.classes)
        self.network_.eval()
        with seeded(derive_seed(self.config.random_state, "utgdiff", "generate")):
            for start in range(0, len(examples), _BLOCK):
                batch = examples.batch(np.arange(start, min(start + _BLOCK, len(examples)))).to(self.device)
                atoms, edges = (one.cpu().numpy() for one in sample(self.network_, batch, noise, drawing))
                found += [
                    build(*pair, self.atoms_, config.repairs) for pair in zip(atoms, edges, strict=True)
                ]
        for number, one in enumerate(found):
            row = number // n
            if row in problems:
                found[number] = Generated(None, problems[row])
            elif cut[row]:
                told = f"the instruction was cut at {self.config.text_tokens} tokens"
                found[number] = replace(one, note="; ".join(filter(None, (one.note, told))))
        return found

    def edit(self, sources: Sequence[str], X: Sequence[str] | None = None, **options: Any) -> list[Generated]:
        """Edit molecules: `generate` with a source each, and instructions where it learned with any."""
        require_list(sources)
        texts: Sequence[str | None] = [None] * len(sources) if X is None else list(X)
        if len(texts) != len(sources):
            raise InputError(f"{len(texts)} instructions, but {len(sources)} molecules", where="utgdiff")
        return self.generate([Instruction(*one) for one in zip(texts, sources, strict=True)], **options)

    def _require_learned(self, asked: Sequence[Instruction]) -> None:
        wanted = {
            "text": any(one.text is not None for one in asked),
            "none": any(one.text is None for one in asked),
            "source": any(one.source is not None for one in asked),
        }
        what = {
            "text": "with instructions",
            "none": "without an instruction",
            "source": "with a molecule to edit",
        }
        for name, is_wanted in wanted.items():
            if is_wanted and not self.asked_[name]:
                raise InputError(
                    f"it is asked {what[name]}, and has not learned so",
                    where="utgdiff",
                    mend="ask as in training, or fit it anew"
                    + (" with no_text > 0" if name == "none" else ""),
                )

    def _known(self, sources: Sequence[Graph | str]) -> tuple[list[Graph], dict[int, str]]:
        """The molecules to edit; those with atoms that were never learned are told by row, and stand empty."""
        classes = self.atoms_.classes()
        positions = self.network_.transformer.config.max_position_embeddings - self.network_.pad - 3
        kept, problems = [], {}
        for row, graph in enumerate(sources):
            why = f"the source has {graph}" if isinstance(graph, str) else ""
            if isinstance(graph, Graph):
                if strange := next((one for one in graph.atoms if one not in classes), None):
                    atom = AtomVocabulary((strange,)).token(0)
                    why = f"the source has an atom that training did not see: {atom}"
                elif len(graph.atoms) > positions:
                    why = f"the source has {len(graph.atoms)} atoms, at most {positions} are read"
            kept.append(NOTHING if why or isinstance(graph, str) else graph)
            if why:
                problems[row] = why
        return kept, problems

    # ------------------------------------------------------------------ tables

    def _from_table(self, table: pd.DataFrame, columns: Mapping[str, list[str]]) -> tuple[Any, Any]:
        def cells(role: str) -> list[Any] | None:
            if role not in columns:
                return None
            values = table[columns[role][0]]
            return [None if missing else one for one, missing in zip(values, values.isna(), strict=True)]

        texts, sources = cells("text"), cells("source")
        asked = None
        if texts is not None or sources is not None:
            size = len(table)
            texts = [None] * size if texts is None else ["" if one is None else one for one in texts]
            asked = [
                Instruction(text, source if isinstance(source, str) and source.strip() else None)
                for text, source in zip(texts, sources or [None] * size, strict=True)
            ]
        return asked, cells("smiles")

    def generate_table(
        self,
        table: pd.DataFrame,
        columns: Mapping[str, str | Sequence[str]],
        *,
        n: int = 1,
        jumps: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        repairs: int | None = None,
    ) -> pd.DataFrame:
        """Make molecules for a table.

        Parameters
        ----------
        table
            One instruction a row; may be empty where no column is named, which asks for `n` molecules without any instruction.
        columns, n
            See `fit_table` and `generate`.
        jumps, temperature, top_k, repairs
            In place of the configuration's, where given.

        Returns
        -------
        DataFrame
            ``smiles`` (missing where the graph is no molecule), ``reason`` why it is none, ``note`` of what was done unasked,
            ``mended`` (whether it is a molecule only since a hydrogen was set), ``graph`` (raw tokens and bonds). Its index is
            the table's with one molecule a row, else ``<row>/<number>``.
        """
        import pandas as pd

        roles = {role: named for role, named in columns.items() if role in ("text", "source") and named}
        if roles:
            X, _ = self._from_table(table, self._checked_columns(table, roles, training=False))
        else:
            X = None
        drawing = {"jumps": jumps, "temperature": temperature, "top_k": top_k, "repairs": repairs}
        options = {name: value for name, value in drawing.items() if value is not None}
        found = pd.DataFrame(
            [
                {
                    "smiles": one.smiles,
                    REASON: one.reason,
                    "note": one.note,
                    "mended": one.mended,
                    "graph": one.graph,
                }
                for one in self.generate(X, n=n, **options)
            ]
        )
        if X is None:
            found.index = pd.Index(
                [f"molecule {number}" for number in range(1, len(found) + 1)], name="sample"
            )
        elif n == 1:
            found.index = table.index
        else:
            names = [f"{row}/{number}" for row in table.index for number in range(1, n + 1)]
            found.index = pd.Index(names, name="sample")
        return found

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """One molecule a row; see `generate_table`."""
        return self.generate_table(table, columns)

    # ------------------------------------------------------------------ keeping

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        from nereus.models.molecules.utgdiff.network import shape_of

        tensors = {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}
        return tensors, {
            "shape": shape_of(self.network_.transformer.config),
            "tokenizer": self.tokenizer_.content,
            "atoms": [list(one) for one in self.atoms_.atoms],
            "slots": self.slots_,
            "asked": dict(self.asked_),
        }

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.tokenizer_ = TextTokenizer(facts["tokenizer"])
        self.atoms_ = AtomVocabulary(tuple((element, charge) for element, charge in facts["atoms"]))
        self.slots_, self.asked_ = int(facts["slots"]), dict(facts["asked"])
        self.network_ = _network(facts["shape"], self.atoms_, self.config)
        self.network_.load_state_dict({name.removeprefix("network."): one for name, one in tensors.items()})


def _network(shape: Mapping[str, Any], atoms: AtomVocabulary, config: UTGDiffConfig) -> Denoiser:
    return Denoiser(shape, len(atoms), told_level=config.noise == "uniform")
