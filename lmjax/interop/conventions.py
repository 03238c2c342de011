"""Between the tensors of another ecosystem's file and our parameters, by a table of rules.

One table serves both directions. It is complete or refused: each of their tensors and each of our
parameters has its rule, or stands in a list of those that may be left out or made new.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from lmjax.errors import UserError
from lmjax.interop.settings import Settings

MOST_LISTED = 3  # names in a message
WIDENED = {"float16", "bfloat16"}  # read as float32, which holds each of their numbers

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Rule:
    """A parameter of ours, by its path, and the tensor of theirs that it is.

    Where several of theirs make one of ours, they are joined along its last axis, all of a size.
    `{layer}` or another name in braces stands for each of as many numbers as there are.
    """

    ours: str
    theirs: tuple[str, ...]
    transposed: bool = False  # theirs is (out, in), as torch.nn.Linear keeps it
    as_row: bool = False  # theirs has a first axis, of one, that ours lacks
    same: tuple[str, ...] = ()  # further names under which their file may repeat the tensor

    def expanded(self, counts: Mapping[str, int]) -> Iterator["Rule"]:
        """The rule for each number that the name in braces stands for."""
        names = [name for name in counts if f"{{{name}}}" in self.ours]
        for name in names:
            for number in range(counts[name]):
                numbers = {name: number}
                theirs = tuple(their.format(**numbers) for their in self.theirs)
                yield replace(self, ours=self.ours.format(**numbers), theirs=theirs)
        if not names:
            yield self

    def to_ours(self, tensors: list[np.ndarray]) -> np.ndarray:
        """The parameter that their tensors are."""
        joined = np.concatenate([t.T if self.transposed else t for t in tensors], axis=-1)
        return joined[0] if self.as_row else joined

    def to_theirs(self, parameter: np.ndarray) -> list[np.ndarray]:
        """Their tensors that make the parameter."""
        whole = parameter[None] if self.as_row else parameter
        parts = np.split(whole, len(self.theirs), axis=-1)
        return [part.T if self.transposed else part for part in parts]


def one(ours: str, theirs: str, **how: Any) -> Rule:
    """The rule of a parameter that is one tensor; `how` are the other fields of a rule."""
    return Rule(ours, (theirs,), **how)


def dense(ours: str, *theirs: str, bias: bool = True, transposed: bool = True) -> tuple[Rule, ...]:
    """The rules of a dense layer, which several of theirs may make together."""
    kernel = Rule(f"{ours}/kernel", tuple(f"{t}.weight" for t in theirs), transposed)
    return (kernel, Rule(f"{ours}/bias", tuple(f"{t}.bias" for t in theirs)))[: 1 + bias]


def norm(ours: str, theirs: str, *, bias: bool = True) -> tuple[Rule, ...]:
    """The rules of a normalisation's scale and bias."""
    return (one(f"{ours}/scale", f"{theirs}.weight"), one(f"{ours}/bias", f"{theirs}.bias"))[
        : 1 + bias
    ]


@dataclass(frozen=True)
class Convention:
    """How one architecture is written in a folder of Hugging Face's and in our configuration.

    `family` is ours. `to_model` reads the fields of `config.model` that differ from the family's
    defaults out of their config.json, `to_settings` writes the latter; both raise UserError for
    what the other side lacks. `rules` and `counts` may depend on `config.model`.
    """

    model_type: str  # theirs
    architectures: tuple[str, ...]  # their classes; an export is of the first
    family: str
    prefix: str  # of their tensors, missing in files of the bare backbone
    to_model: Callable[[Settings], dict[str, Any]]
    to_settings: Callable[[ConfigDict, int], dict[str, Any]]
    rules: Callable[[ConfigDict], Iterable[Rule]]
    counts: Callable[[ConfigDict], Mapping[str, int]]
    ends_sources: bool = False  # whether the end of a text stands behind each source
    buffers: str = r"(?!)"  # a pattern of names in their files that are computed, not learned
    left_out: str = r"(?!)"  # of tensors that our model has no use for: an import says which
    made_new: tuple[str, ...] = ()  # of our parameters, which a file may lack: drawn, and said
    older: Mapping[str, str] = field(default_factory=dict)  # endings of names, and today's


@dataclass(frozen=True)
class Imported:
    """Parameters by their path, and which of either side have no counterpart in the other."""

    params: Arrays
    left_out: list[str]  # of their tensors
    made_new: list[str]  # of our parameters, which are not in `params`


def to_ours(
    convention: Convention, model: ConfigDict, theirs: Arrays, like: Mapping[str, Any]
) -> Imported:
    """Our parameters out of their tensors.

    `like` has the shape of each parameter of the model by its path. Raises UserError, naming them,
    if tensors are unused or parameters unset that are in no list, for another shape than in `like`,
    a number that is not finite, and for a repeated tensor that is another.
    """
    tensors = _named_as_today(convention, theirs)
    unused = {name for name in tensors if not re.fullmatch(convention.buffers, name)}
    params, missing, made_new = {}, [], []
    for rule in _expanded(convention, model, like):
        absent = [name for name in rule.theirs if name not in tensors]
        if absent and absent == list(rule.theirs) and rule.ours in convention.made_new:
            made_new.append(rule.ours)
        elif absent:
            missing += absent
        else:
            found = [_checked(name, tensors[name], rule) for name in rule.theirs]
            params[rule.ours] = _fitting(rule, found, like[rule.ours].shape)
            for name in set(rule.same) & tensors.keys():
                if not np.array_equal(tensors[name], tensors[rule.theirs[0]]):
                    raise UserError(
                        f"{name} should be {rule.theirs[0]} once more and is another tensor; see "
                        "that tie_word_embeddings in config.json says so of these weights"
                    )
        unused -= {*rule.theirs, *rule.same}
    left_out = sorted(name for name in unused if re.fullmatch(convention.left_out, name))
    unused -= set(left_out)
    if missing or unused:
        raise UserError(
            f"the weights are not those of a {convention.model_type} of this config.json: "
            f"{_listed('missing', missing)}; {_listed('without a place', unused)}; see that "
            "config.json and model.safetensors are of one model"
        )
    return Imported(params, left_out, made_new)


def to_theirs(convention: Convention, model: ConfigDict, ours: Arrays) -> Arrays:
    """Their tensors out of our parameters by path; raises UserError for one without a place."""
    tensors = {}
    for rule in _expanded(convention, model, ours):
        tensors |= zip(rule.theirs, rule.to_theirs(ours[rule.ours]), strict=True)
    return tensors


def _expanded(convention: Convention, model: ConfigDict, like: Mapping[str, Any]) -> list[Rule]:
    counts = convention.counts(model)
    rules = [each for rule in convention.rules(model) for each in rule.expanded(counts)]
    placed = {rule.ours for rule in rules}
    if placed != like.keys():
        raise UserError(
            f"this model is no {convention.model_type}: "
            f"{_listed('parameters without a place', like.keys() - placed)}; "
            f"{_listed('missing', placed - like.keys())}; change the fields of config.model that "
            "make them"
        )
    return rules


def _named_as_today(convention: Convention, theirs: Arrays) -> Arrays:
    """Their tensors with the prefix, and names that older files spell otherwise."""
    is_whole = any(name.startswith(convention.prefix) for name in theirs)
    prefix = "" if is_whole else convention.prefix
    tensors = {}
    for name, tensor in theirs.items():
        for older, today in convention.older.items():
            if name.endswith(older):
                name = name.removesuffix(older) + today
        tensors[prefix + name] = tensor
    if len(tensors) < len(theirs):
        raise UserError(
            "the weights have a tensor under two names, an older one and today's; fetch them again"
        )
    return tensors


def _checked(name: str, tensor: np.ndarray, rule: Rule) -> np.ndarray:
    if tensor.dtype.name in WIDENED:
        tensor = tensor.astype(np.float32)
    if tensor.dtype != np.float32:
        raise UserError(f"{name} is of {tensor.dtype}; save the weights in float32 or 16 bits")
    if rule.transposed and tensor.ndim != 2:
        raise UserError(f"{name} has {tensor.ndim} dimensions, not 2; fetch the weights again")
    if not np.isfinite(tensor).all():
        raise UserError(f"{name} is not finite; fetch or train the weights again")
    return tensor


def _fitting(rule: Rule, tensors: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The parameter of their `tensors`, which have the shapes that theirs have of it."""
    expected = [part.shape for part in rule.to_theirs(np.broadcast_to(np.float32(0), shape))]
    for name, tensor, should_be in zip(rule.theirs, tensors, expected, strict=True):
        if tensor.shape != should_be:
            raise UserError(
                f"{name} has the shape {list(tensor.shape)}, and config.json says "
                f"{list(should_be)}; see that config.json and model.safetensors are of one model"
            )
    return rule.to_ours(tensors)


def _listed(what: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"{what}: {', '.join(names[:MOST_LISTED]) or 'none'}{more}"
