"""A trained model as a JSON file: name, version, digest, definition, traits and numbers. No pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from covey.churn.definition import Definition
from covey.churn.features import FEATURE_NAMES, TRAIT_VERSION, Floats
from covey.churn.predictors import Line, Predictor, Trees
from covey.errors import InputError
from covey.parameters import TraitParameters

FORMAT = "covey.churn/1"
MOST_BYTES = 16 * 1024 * 1024
_KINDS: dict[str, type[Line] | type[Trees]] = {"logistic": Line, "boosting": Trees}


@dataclass(frozen=True, eq=False, slots=True)
class ChurnModel:
    """An immutable variant of how to tell who is about to leave.

    Attributes:
        name: of its line of versions.
        version: 1, 2, ... within the name.
        kind: logistic or boosting.
        feature_names: which columns it reads, in its order.
        definition: what it foretells.
        parameters: of the traits that it was trained on.
        trait_version: of their definitions.
        predictor: features to an uncalibrated logit.
        slope: of the calibration, logit -> slope * logit + intercept, fitted on learners that each fold had not seen.
        intercept: of the calibration.
        threshold: probability from which a learner is flagged: a tenth of the rows trained on.
        typical: median of each feature in training: what a reason compares with.
        facts: on what it was trained and how it did, for people.
        digest: SHA-256 of all the above, in hexadecimal.
    """

    name: str
    version: int
    kind: str
    feature_names: tuple[str, ...]
    definition: Definition
    parameters: TraitParameters
    predictor: Predictor
    slope: float
    intercept: float
    threshold: float
    typical: Floats
    facts: dict[str, Any] = field(default_factory=dict)
    trait_version: int = TRAIT_VERSION
    digest: str = ""

    @property
    def variant(self) -> str:
        """Name, version and the beginning of the digest: what a score says that it came from."""
        return f"{self.name}@{self.version}:{self.digest[:12]}"

    @property
    def columns(self) -> list[int]:
        """Of the columns of `FEATURE_NAMES`, those that it reads."""
        return [FEATURE_NAMES.index(name) for name in self.feature_names]

    def logits(self, features: Floats) -> Floats:
        """Calibrated logits of rows of `FEATURE_NAMES`."""
        return self.slope * self.predictor.logits(features[:, self.columns]) + self.intercept

    def probabilities(self, features: Floats) -> Floats:
        """Chance that the learner of each row leaves."""
        return probabilities_of(self.logits(features))

    def sealed(self) -> ChurnModel:
        """The same with its digest."""
        return replace(self, digest=_digest(_plain(self)))


def probabilities_of(logits: Floats) -> Floats:
    """The logistic function."""
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float64)


def save_model(model: ChurnModel, path: Path) -> None:
    """Write the file.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps({**_plain(model), "digest": model.digest}, indent=None, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def load_model(source: Path | bytes) -> ChurnModel:
    """Read a file, or its bytes, and check everything that can be checked.

    Raises:
        InputError: it is no such file, was changed since it was written, or was trained on other traits.
        OSError: it cannot be read.
    """
    where = str(source) if isinstance(source, Path) else "model"
    data = source.read_bytes() if isinstance(source, Path) else source
    if len(data) > MOST_BYTES:
        raise InputError(f"{len(data):,} bytes", source=where, expected=f"at most {MOST_BYTES:,}")
    try:
        plain = json.loads(data)
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise InputError("no model of churn", expected=f"a JSON object with format {FORMAT}")
        digest = plain.pop("digest", "")
        if digest != _digest(plain):
            raise InputError(
                "its digest is not that of its content: it was changed after it was trained",
                remedy="take the file that `covey churn train` wrote",
            )
        return _model(plain, digest)
    except InputError as error:
        raise InputError(error.problem, source=where, expected=error.expected, remedy=error.remedy) from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"no model of churn ({error})", source=where) from None


def _model(plain: dict[str, Any], digest: str) -> ChurnModel:
    if plain["trait_version"] != TRAIT_VERSION:
        raise InputError(
            f"trained on version {plain['trait_version']} of the traits, and these are version {TRAIT_VERSION}: its "
            "numbers mean something else here",
            remedy="train it anew",
        )
    names = tuple(plain["feature_names"])
    unknown = [name for name in names if name not in FEATURE_NAMES]
    if unknown:
        raise InputError(f"the model reads '{unknown[0]}', which is not known here", remedy="train it anew")
    if plain["kind"] not in _KINDS:
        raise InputError(f"the model is of kind '{plain['kind']}'", expected=" or ".join(_KINDS))
    return ChurnModel(
        name=str(plain["name"]),
        version=int(plain["version"]),
        kind=plain["kind"],
        feature_names=names,
        definition=Definition(**plain["definition"]),
        parameters=TraitParameters(**plain["trait_parameters"]),
        predictor=_KINDS[plain["kind"]].of_plain(plain["predictor"], len(names)),
        slope=float(plain["calibration"]["slope"]),
        intercept=float(plain["calibration"]["intercept"]),
        threshold=float(plain["threshold"]),
        typical=np.array([plain["typical"][name] for name in names], dtype=np.float64),
        facts=dict(plain["facts"]),
        trait_version=plain["trait_version"],
        digest=digest,
    )


def _plain(model: ChurnModel) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": model.name,
        "version": model.version,
        "kind": model.kind,
        "trait_version": model.trait_version,
        "trait_parameters": model.parameters.to_keywords(),
        "definition": asdict(model.definition),
        "feature_names": list(model.feature_names),
        "typical": dict(zip(model.feature_names, model.typical.tolist(), strict=True)),
        "calibration": {"slope": model.slope, "intercept": model.intercept},
        "threshold": model.threshold,
        "facts": model.facts,
        "predictor": model.predictor.to_plain(),
    }


def _digest(plain: dict[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
