"""What a method is: an estimator with a typed configuration, a card, and one way to train, keep and move it.

A method follows scikit-learn where that fits: hyper-parameters are given to the constructor and never changed by `fit`,
what is learned has a trailing underscore, `clone`, `cross_val_score` and pipelines work on methods that predict. A
subclass writes `_fit`, `_state` and `_restore`, and the verbs that its card names.

    model = UniMatch(hidden_width=64, random_state=1)     # or UniMatch(UniMatchConfig(...))
    model.fit(smiles, labels)
    model.predict_proba(other_smiles)
    model.save("folder")
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from nereus.errors import InputError
from nereus.models import storage
from nereus.models.card import Card, ColumnKind, Verb
from nereus.models.columns import nearest, numbers, require_column, require_numbers, single
from nereus.models.config import Config
from nereus.models.training.device import derive_seed, resolve, seeded
from nereus.models.training.loop import History
from nereus.models.training.session import Session

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

C = TypeVar("C", bound=Config)


def _fields(config: type[BaseModel]) -> list[str]:
    """Names of its fields and of those of its parts."""
    inner = [one.annotation for one in config.model_fields.values()]
    parts = [one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)]
    return [*config.model_fields, *(name for part in parts for name in part.model_fields)]


def _of_one_column(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb that takes objects also as a table or array of one column."""

    @wraps(verb)
    def asked(self: Any, X: Any, *others: Any, **told: Any) -> Any:
        return verb(self, single(X), *others, **told)

    return asked


class NotFitted(InputError):
    """A method is asked before it has learned anything."""


class Method(BaseEstimator, Generic[C]):  # type: ignore[misc]
    """Base of every method.

    Parameters
    ----------
    config
        The whole configuration.
    **settings
        Single fields of it, which go before `config`: ``hidden_width=64``, and of its parts ``training__epochs=5`` or
        ``training={"epochs": 5}``, which leaves the rest of the part as it is.

    Attributes
    ----------
    config
        The configuration; never changed by `fit`.
    network_
        The trained torch module.
    history_
        The course of training.
    """

    card: ClassVar[Card]
    config_class: ClassVar[type[Config]]
    version: ClassVar[str] = "1"
    """Raised when files of the earlier version can no longer be read."""

    network_: nn.Module
    history_: History

    def __init_subclass__(cls, **told: Any) -> None:
        super().__init_subclass__(**told)
        for verb in ("fit", "predict", "predict_proba", "embed"):
            if verb in cls.__dict__:
                setattr(cls, verb, _of_one_column(cls.__dict__[verb]))

    def __init__(self, config: C | None = None, **settings: Any) -> None:
        self.config: C = self._configured(config, settings)

    # ------------------------------------------------------------------ configuration (scikit-learn's ways)

    @classmethod
    def _configured(cls, config: C | None, settings: Mapping[str, Any]) -> C:
        values = {} if config is None else config.model_dump()
        for name, value in settings.items():
            part, _, inner = name.partition("__")
            changed = {inner: value} if inner else value
            kept = values.get(part, {})
            if isinstance(changed, Mapping) and isinstance(kept, Mapping):
                values[part] = {**kept, **changed}
            else:
                values[name] = value
        try:
            return cls.config_class.model_validate(values)  # type: ignore[return-value]
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, one['loc']))}: {one['msg']} (got {one['input']!r})"
                for one in error.errors()
            )
            near = [
                found
                for one in error.errors()
                if one["type"] == "extra_forbidden"
                for found in nearest(str(one["loc"][-1]), _fields(cls.config_class))
            ]
            perhaps = f"perhaps {', '.join(near)}; " if near else ""
            raise InputError(
                wrong,
                where=f"configuration of {cls.card.name!r}",
                mend=f"{perhaps}fields are {', '.join(cls.config_class.model_fields)}; "
                f"see `nereus methods show {cls.card.name}`",
            ) from None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Fields of the configuration; with `deep` those of its parts as ``training__epochs``."""
        values = {name: getattr(self.config, name) for name in type(self.config).model_fields}
        if deep:
            for name, value in list(values.items()):
                if hasattr(value, "model_fields_set"):
                    values |= {
                        f"{name}__{inner}": getattr(value, inner) for inner in type(value).model_fields
                    }
        return values

    def set_params(self, **params: Any) -> Self:
        """Replace fields of the configuration."""
        self.config = self._configured(self.config, params)
        return self

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.config)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        changed = {
            name: value
            for name, value in self.config.model_dump().items()
            if value != type(self.config)().model_dump()[name]
        }
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"[:N_CHAR_MAX]

    # ------------------------------------------------------------------ training

    def fit(self, X: Any, y: Any = None, *, session: Session | None = None) -> Self:
        """Train.

        Parameters
        ----------
        X
            The objects; see the method. A table or array of one column is that column.
        y
            Their targets, where the method takes any.
        session
            Progress, cancellation and checkpoints.

        Raises
        ------
        InputError
            The data cannot be used as they are.
        TrainingCancelled
            The session was cancelled.
        """
        with seeded(derive_seed(self.config.random_state, self.card.name)):
            self._fit(single(X), y, session or Session())
        self.network_.eval()
        return self

    @abstractmethod
    def _fit(self, X: Any, y: Any, session: Session) -> None:
        """Set `network_`, `history_` and what else is learned. Random numbers of torch are seeded."""

    def fit_table(
        self,
        table: pd.DataFrame,
        columns: Mapping[str, str | Sequence[str]],
        *,
        session: Session | None = None,
    ) -> Self:
        """Train on a table, with the columns of each role that the card names.

        Parameters
        ----------
        table
            One row an object.
        columns
            Role to column, or to several columns where the role takes many: ``{"smiles": "smiles", "target": "pIC50"}``.
        session
            See `fit`.
        """
        X, y = self._from_table(table, self._checked_columns(table, columns, training=True))
        return self.fit(X, y, session=session)

    def predict_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """Predict for a table: its index, with a column ``prediction`` and what else the card lists.

        Methods that do not predict answer with the columns of their first verb.
        """
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        return pd.DataFrame({"prediction": self.predict(X)}, index=table.index)

    def embed_table(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
        """Vectors for a table: its index, one column a dimension."""
        import pandas as pd

        X, _ = self._from_table(table, self._checked_columns(table, columns, training=False))
        vectors = self.embed(X)
        return pd.DataFrame(vectors, index=table.index, columns=[f"e{i}" for i in range(vectors.shape[1])])

    def explain_table(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]], *, parts: int = 10
    ) -> pd.DataFrame:
        """What the predictions for a table rest on: how each changes without a part of its object.

        Parameters
        ----------
        table, columns
            See `predict_table`.
        parts
            Most parts of a row.

        Returns
        -------
        DataFrame
            See `nereus.models.explaining.explained`.
        """
        from nereus.models.explaining import explained

        self._require_fitted()
        return explained(self, table, columns, parts)

    def _from_table(self, table: pd.DataFrame, columns: Mapping[str, list[str]]) -> tuple[Any, Any]:
        """`X` and `y` of a table. The default: one column of objects, and the target columns where they are named."""
        objects = table[columns[self.card.inputs[0].name][0]].tolist()
        named = columns.get("target", [])
        if not named:
            return objects, None
        y = table[named].to_numpy()
        return objects, y if len(named) > 1 else y[:, 0]

    # What tables tell beyond the columns themselves; methods whose columns are no plain numbers and texts answer for themselves.

    def unreadable_rows(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> dict[int, str]:
        """Row numbers that only this method can tell to be unreadable, with the reason."""
        return {}

    def observed(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> np.ndarray:
        """What `prediction` is to be compared with, (n,), NaN where unknown: the first target, as a number."""
        named = columns["target"]
        return numbers(table[named if isinstance(named, str) else named[0]])

    def relatives(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> np.ndarray | None:
        """Number of each row's family, (n,), where rows of one family would tell each other's answers; None where none would."""
        return None

    def described(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]
    ) -> tuple[ColumnKind, list[str]]:
        """What splits and baselines read of the rows, and its kind: the first role, as text."""
        role = self.card.inputs[0]
        named = columns[role.name]
        return role.kind, table[named if isinstance(named, str) else named[0]].astype(str).tolist()

    def require_columns(self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]]) -> None:
        """Refuse columns, and targets, that training on a table could not take.

        Raises
        ------
        InputError
            A role is unknown or lacks its column, a column is not there, or a target is no number and no other is a word.
        """
        self._checked_columns(table, columns, training=True)
        require_numbers(self.card, table, columns)

    def _checked_columns(
        self, table: pd.DataFrame, columns: Mapping[str, str | Sequence[str]], training: bool
    ) -> dict[str, list[str]]:
        named = {role: [one] if isinstance(one, str) else list(one) for role, one in columns.items() if one}
        known = {one.name: one for one in self.card.inputs}
        where = f"method {self.card.name!r}"
        if unknown := sorted(set(named) - set(known)):
            raise InputError(
                f"there is no role {unknown[0]!r}", where=where, mend=f"roles are {sorted(known)}"
            )
        for role, column in known.items():
            # Targets are what predictions give, so they are asked for in training only.
            if column.required and role not in named and (training or not column.answered):
                raise InputError(
                    f"no column for {role!r}",
                    where=where,
                    mend=f"{role}: {column.about}; columns are {list(table.columns)[:20]}",
                )
            if len(named.get(role, [])) > 1 and not column.many:
                raise InputError(f"{role!r} takes one column, got {named[role]}", where=where)
        for name in (one for role in named.values() for one in role):
            require_column(name, table, where)
        if not len(table):
            raise InputError("the table has no rows", where=where)
        return named

    # ------------------------------------------------------------------ keeping

    @abstractmethod
    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What was learned: tensors by name, and facts as JSON values."""

    @abstractmethod
    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Put back what `_state` gave, on the CPU."""

    def _header(self, facts: dict[str, Any]) -> storage.Header:
        # Where it was trained is no part of what was learned: equal methods give equal files.
        config = self.config.model_copy(update={"device": "auto"}).model_dump(mode="json")
        return storage.Header(
            method=self.card.name,
            version=self.version,
            config=config,
            facts=facts,
            history=self.history_.as_json(),
        )

    def save(self, folder: Path | str) -> Path:
        """Write the trained method into a folder, as safetensors and JSON; see `nereus.models.storage`."""
        self._require_fitted()
        tensors, facts = self._state()
        storage.write(Path(folder), self._header(facts), tensors)
        return Path(folder)

    def to_bytes(self) -> bytes:
        """The trained method as the content of one file, equal for equal methods."""
        self._require_fitted()
        tensors, facts = self._state()
        return storage.to_bytes(self._header(facts), tensors)

    @classmethod
    def load(cls, place: Path | str) -> Self:
        """Read a trained method from the folder or file that `save` wrote.

        Raises
        ------
        InputError
            There is none, it is damaged, or it is another method's or version's.
        """
        header = storage.read_header(Path(place))
        if header.method != cls.card.name or header.version != cls.version:
            raise InputError(
                f"this is {header.method!r} version {header.version}, not {cls.card.name!r} version {cls.version}",
                where=str(place),
                mend="load it with `nereus.models.load`, or train again",
            )
        tensors = storage.read_tensors(Path(place))
        try:
            method = cls(cls.config_class.model_validate(header.config))  # type: ignore[arg-type]
            method.history_ = History(**header.history)
            method._restore(tensors, header.facts)
        except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
            # A header or tensors that another version wrote, or that were changed: whatever reading them met first.
            raise InputError(
                f"what the file holds does not fit {cls.card.name!r}: {type(error).__name__}: {str(error).splitlines()[0]}",
                where=str(place),
                mend="use the version of nereus that wrote it, or train again",
            ) from error
        method.network_.eval()
        return method.to(method.config.device)

    def to(self, device: str) -> Self:
        """Move to a device, and compute there from now on."""
        place = resolve(device)
        self.config = self.config.model_copy(update={"device": device})
        if self.__sklearn_is_fitted__():
            self.network_.to(place)
        return self

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return resolve(self.config.device)

    # ------------------------------------------------------------------ asking

    def __sklearn_is_fitted__(self) -> bool:
        return "network_" in self.__dict__

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFitted(
                f"{type(self).__name__} has learned nothing yet",
                where=f"method {self.card.name!r}",
                mend="call `fit`, or `load` a trained one",
            )

    @classmethod
    def can(cls, verb: Verb) -> bool:
        """Whether the method has a verb."""
        return verb in cls.card.verbs

    def _require_alike(self, given: Method[Any], settings: Sequence[str]) -> None:
        """Refuse a pre-trained method that differs in one of these settings.

        Raises
        ------
        InputError
            With the setting that would fit.
        """
        for name in settings:
            if (own := getattr(self.config, name)) != (other := getattr(given.config, name)):
                raise InputError(
                    f"the pre-trained method has {name} {other!r}, here is {own!r}",
                    where=str(getattr(self.config, "pretrained", "")),
                    mend=f"set {name}={other!r}",
                )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = type(self)(self.config)
        memo[id(self)] = twin
        twin.__dict__ |= {name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()}
        return twin
