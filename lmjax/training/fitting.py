"""Which parameters of another run fit a model: by name and shape, and by what their rows are of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError, nearest
from lmjax.nn.leaves import leaf_name
from lmjax.training.leaf_groups import below_params, matching

VOCABULARY = "vocab"  # the logical axis of parameters that has an entry for each token
OTHER_TOKENS = "entries of another vocabulary"
SHOWN = 6  # names in a message


class Vocabularies:
    """Whether tokens of another run's tokenizer, and of its sources', are the same ones here."""

    def __init__(self, old: Tokenizer, new: Tokenizer):
        pairs = (old.target, new.target), (old.source, new.source)
        self._known = [
            (before.vocabulary_size, after.vocabulary_size, _is_known(before, after))
            for before, after in pairs
        ]
        self.are_same = all(before == after and known for before, after, known in self._known)

    def agree(self, before: int, after: int) -> bool:
        """Whether entry i of an axis of size `before` is of the same token as entry i here.

        It is not where a target's and a source's vocabularies have these sizes and one of them
        differs.
        """
        found = [known for *sizes, known in self._known if sizes == [before, after]]
        return bool(found) and all(found)

    def may_be_of_others(self, shape: tuple[int, ...]) -> bool:
        """Whether an axis, of which it isn't known what it is of, may be of tokens that differ."""
        return any(size in shape for *sizes, known in self._known if not known for size in sizes)


def _is_known(old: Tokenizer, new: Tokenizer) -> bool:
    return old.to_json() == new.to_json() or new.extends(old)


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a tree of parameters by name; those that are boxed stay so."""
    return {
        leaf_name(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(
            tree, is_leaf=lambda leaf: isinstance(leaf, nn.Partitioned)
        )
    }


def renamed(old: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Leaves under the names that they have in the new model.

    Each of `paths` is THEIRS=OURS, where a module stood and where it stands; either may be empty,
    for the whole tree. The first that fits a name counts. Raises UserError for one without `=` or
    without a leaf, and if two leaves would have one name.
    """
    rules = [_rule(path) for path in paths]
    unused, found = {*range(len(rules))}, {}
    for name, leaf in old.items():
        below = below_params(name)
        for index, (theirs, ours) in enumerate(rules):
            if not theirs or f"{below}/".startswith(f"{theirs}/"):
                below = f"{ours}/{below.removeprefix(theirs).strip('/')}".strip("/")
                unused.discard(index)
                break
        name = f"params/{below}"
        if name in found:
            raise UserError(f"training.initial_paths gives two parameters the name {below}")
        found[name] = leaf
    for index in sorted(unused):
        known = sorted({part for name in old for part in _modules(below_params(name))})
        raise UserError(
            f"training.initial_paths has {paths[index]!r}, but no parameter of the other run is "
            f"left that stands there: {nearest(rules[index][0], known)}"
        )
    return found


def _rule(path: str) -> tuple[str, str]:
    theirs, equals, ours = path.partition("=")
    if not equals:
        raise UserError(f"training.initial_paths has {path!r}; give THEIRS=OURS, such as =encoder")
    return below_params(theirs).strip("/"), below_params(ours).strip("/")


def fitting(
    training: ConfigDict, old: Mapping[str, np.ndarray], like: Any, vocabularies: Vocabularies
) -> tuple[list[str], list[str], list[str]]:
    """The names of the parameters that are taken, drawn anew and left out.

    `like` is the new model's abstract tree, boxed with logical axis names. Raises UserError, with
    the cure, for what does not fit unless `training.initial_new` or `initial_left` names it.
    """
    wanted = named_leaves(like)
    new = matching(wanted, training.initial_new, "training.initial_new")
    left = matching(old, training.initial_left, "training.initial_left")
    taken, unfit = [], {}
    for name, leaf in wanted.items():
        if name in new:
            continue
        if name not in old or name in left:
            unfit[name] = "not in it"
        elif reason := _misfit(old[name], leaf, vocabularies):
            unfit[name] = reason
        else:
            taken.append(name)
    excess = {name: "not in this model" for name in old if name not in wanted and name not in left}
    complaints = [
        _complaint(names, everything, field, verb)
        for names, everything, field, verb in (
            (unfit, wanted, "initial_new", "drawn anew"),
            (excess, old, "initial_left", "left out"),
        )
        if names
    ]
    if complaints:
        raise UserError(f"it does not fit: {'. '.join(complaints)}")
    if not taken:
        raise UserError("nothing of it is taken; leave training.initial_params out")
    kept = set(taken)
    return taken, [name for name in wanted if name not in kept], sorted(old.keys() - kept)


def _misfit(old: np.ndarray, leaf: Any, vocabularies: Vocabularies) -> str:
    """Why a parameter can't be that of the other run; empty if it can."""
    new = nn.meta.unbox(leaf)
    shapes = f"{old.dtype}{list(old.shape)} there, {new.dtype}{list(new.shape)} here"
    if old.dtype != new.dtype or old.ndim != len(new.shape):
        return shapes
    if not isinstance(leaf, nn.Partitioned):
        if old.shape != new.shape:
            return shapes
        unsure = not vocabularies.are_same and vocabularies.may_be_of_others(old.shape)
        return f"perhaps {OTHER_TOKENS}" if unsure else ""
    for before, after, axis in zip(old.shape, new.shape, leaf.names, strict=True):
        if axis == VOCABULARY and not vocabularies.agree(before, after):
            return OTHER_TOKENS
        if axis != VOCABULARY and before != after:
            return shapes
    return ""


def _complaint(reasons: Mapping[str, str], everything: Iterable[str], field: str, verb: str) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(below_params(name))
    parts = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        parts.append(f"{', '.join(names[:SHOWN])}{more}: {reason}")
    patterns = _covering(reasons, everything)
    return (
        f"{'; '.join(parts)}. If they are to be {verb}, say so by "
        f"--config.training.{field}={','.join(patterns)}"
    )


def _covering(names: Iterable[str], everything: Iterable[str]) -> list[str]:
    """The fewest paths below which all leaves are among `names`."""
    others = {part for name in set(everything) - set(names) for part in _modules(name)}
    covering = (next(part for part in _modules(name) if part not in others) for name in names)
    return list(dict.fromkeys(map(below_params, covering)))


def _modules(name: str) -> list[str]:
    """The path of a leaf and those above it, from the top."""
    parts = name.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]
