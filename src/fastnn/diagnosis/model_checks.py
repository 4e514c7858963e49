"""What is wrong with a model before it is trained: shapes, outputs, mixed samples, layers that do not train, steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from .._files import listed
from ..autograd import raw
from ..data import Batches
from ..data.samples import leaves
from ..nn import Module, Parameter
from ..training.figures import Objective, Sample, values_of
from ..training.findings import Finding, graded, quoted
from ..training.generators import find_generators
from ..training.preserved import preserved
from ..training.streams import set_states, states_of
from .look import HEAVY, Look, heaviest, named_weights, run, target_of
from .losses import function_of, kind_of
from .overfit_batch import nothing_to_train, without_dropout
from .taken import Array, axis_of_samples, train_mode

FIRST_STEP_TOO_LARGE = (1.0, 3.0, 10.0)
"""Size of the first change over that of the weights, the median of layers. Adam's first step is its rate in every weight, so that
this is larger than later. Measured on 18 sound networks: 2e-5 (SGD, 0.001) to 0.09 (Adam, 0.01); SGD at 0.1 up to 0.1, but 1.0
where it diverged."""
FIRST_STEP_TOO_SMALL = (1e-5, 1e-6, 1e-7)
"""The same where it is too small; SageMaker Debugger's rule begins at 1e-8."""
WORSE = (1.5, 3.0, 10.0)
"""The loss of a batch after a step on it, over the loss before, or that of a network that knows nothing if that is larger."""
TOO_HEAVY = (HEAVY, 5.0, math.inf)
"""Gains; a warning at most, since they may do no harm."""
_OF_STEPS = "CS231n, Babysitting: ratio of updates to weights; bounds of a first step measured"
_BATCH = 64
_SAMPLES_TO_MIX = 9
_SAME = 1e-4  # outputs may differ by this share of their size: kernels add in another order for other sizes
_LISTED = 3
_ONE_VALUE = "more than one value per channel"  # from the error of a norm over a batch that gets one


# ---- shapes ------------------------------------------------------------------------------------------------------------


def shapes(look: Look) -> Iterator[Finding]:
    """Where the model fails, or the loss does not take what it gives."""
    assert look.run is not None
    failed, run = look.run.failed, look.run
    outputs, targets = _all_shapes(run.outputs, run.count), _all_shapes(look.taken.target, look.taken.count)
    if failed is not None:
        message = f"{quoted(failed.name, failed.kind)} got {failed.given} and fails: {_told(failed.error)}"
        yield Finding("problem", "shapes", message, advice=_advice(failed.error), layer=failed.name)
    elif run.loss_error is not None:
        message = f"the loss takes no outputs of {outputs} with targets of {targets}: {_told(run.loss_error)}"
        yield Finding("problem", "shapes", message)
    elif _broadcasts(look):
        message = f"outputs of {outputs} and targets of {targets} become one of all pairs in a loss of your own"
        yield Finding("problem", "shapes", message, advice="give both one shape: y[:, None], or output[:, 0]")
    else:
        given = ", ".join(_all_shapes(array, look.taken.count) for array in look.taken.inputs)
        yield Finding("ok", "shapes", f"inputs {given}, outputs {outputs}{look.data.only_first}")


def single_samples(look: Look) -> Iterator[Finding]:
    """Batches of one sample, which a norm over the batch does not take where it gets one value per channel."""
    where = _where_single(look)
    if not where or look.taken.count < 2 or look.run is None or look.run.failed is not None:
        return
    with preserved(look.model):
        train_mode(look.model)
        failed = run(look.model, look.taken.at(slice(1)), look.loss).failed
    if failed is not None and _ONE_VALUE in str(failed.error):
        message = f"{where} has 1 sample, for which {quoted(failed.name, failed.kind)} raises {_told(failed.error)}"
        advice = "Batches(drop_last=True), or another batch_size"
        yield Finding("problem", "shapes", message, 1.0, 2.0, advice=advice, layer=failed.name)


def _where_single(look: Look) -> str:
    """Which batch has one sample; empty where none has."""
    train, counts = look.train, look.data.counts
    if isinstance(train, Batches):
        rest = train.samples % train.batch_size
        if train.batch_size == 1:
            return "each batch (batch_size=1)"
        if rest != 1 or train.drop_last:
            return ""
        return f"the last batch of each epoch ({train.samples} samples, batch_size={train.batch_size})"
    return f"batch {counts.index(1) + 1} of {len(counts)}" if 1 in counts else ""


def of_validation(look: Look, train: Look) -> Iterator[Finding]:
    """What the training would raise at its first validation."""
    for finding in shapes(look):
        if finding.level != "ok":
            inputs = [_all_shapes(part.inputs, part.count) for part in (look.taken, train.taken)]
            targets = [_all_shapes(part.target, part.count) for part in (look.taken, train.taken)]
            which, here, there = ("targets", *targets) if inputs[0] == inputs[1] else ("inputs", *inputs)
            differs = f"; its {which} are {here}, those of the training part {there}" if here != there else ""
            yield replace(finding, message=f"{finding.message}{differs}; fit raises this at the end of the first epoch")


def _told(error: Exception) -> str:
    """The kind of exception, and what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _advice(error: Exception) -> str:
    text = str(error)
    if "float64" in text and "float32" in text:
        return "one dtype for inputs and weights: x.astype(np.float32)"
    return "fastnn.summary(model, shape) lists what each layer gives"


def _all_shapes(part: Any, count: int) -> str:
    """Dtypes and shapes, with N in the place of the number of samples."""
    shown = []
    for array in map(np.asarray, map(raw, leaves(part))):
        extents = ["N" if extent == count else str(extent) for extent in array.shape]
        shown.append(f"{array.dtype} ({', '.join(extents)}{',' * (len(extents) == 1)})")
    return " and ".join(shown)


def _broadcasts(look: Look) -> bool:
    """(N, 1) and (N,), which make (N, N) in a difference."""
    assert look.run is not None
    if kind_of(look.loss) != "unknown" or isinstance(look.run.outputs, tuple) or isinstance(look.taken.target, tuple):
        return False
    target, outputs = target_of(look.taken), np.shape(look.run.outputs)
    return target.dtype.kind == "f" and (target.shape[1:], outputs[1:]) in (((), (1,)), ((1,), ()))


# ---- outputs -----------------------------------------------------------------------------------------------------------


def outputs(look: Look) -> Iterator[Finding]:
    """Probabilities where logits are wanted and the other way round, and ends of the range that targets lie beyond."""
    assert look.run is not None
    given, last = look.run.outputs, look.run.last
    if isinstance(given, tuple) or isinstance(look.taken.target, tuple):
        return
    found = _of_this_loss(look, np.asarray(given), last, function_of(look.loss))
    if found is None:
        values = f"{given.min():.3g}…{given.max():.3g}"
        yield Finding("ok", "outputs", f"{values}, mean {given.mean():.3g}")
    else:
        level, message, advice = found
        yield Finding(level, "outputs", message, advice=advice)


_Found = tuple[str, str, str]

# What functions can give, by their names on the tape.
_REACH = {
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
    "logsigmoid": (-math.inf, 0.0),
}


def _of_this_loss(look: Look, given: Array, last: str, loss: Any) -> _Found | None:
    span = f"{given.min():.3g}…{given.max():.3g}"
    if loss is F.cross_entropy:
        return _before_cross_entropy(given, last)
    if loss in (F.nll_loss, F.kl_div):
        name = "nll_loss" if loss is F.nll_loss else "kl_div"
        if not _sums_to_one(np.exp(np.minimum(given, 80))):
            what = "probabilities" if _sums_to_one(given) else f"numbers of {span}"
            return "problem", f"{name} takes logarithms of probabilities, and gets {what}", "end with nn.LogSoftmax()"
    if loss is F.binary_cross_entropy_with_logits:
        if last in ("sigmoid", "softmax", "hardsigmoid", "logsigmoid"):
            message = f"a {last} before binary_cross_entropy_with_logits, which makes one itself: outputs lie in {span}"
            return "problem", message, f"leave the {last} out; predictions are its values afterwards"
        if _ends_with(last, "relu") or last == "relu6":
            message = f"a {last} gives the logits: none is below 0, so no class 0 can be said"
            return "problem", message, f"leave the {last} out"
    if kind_of(look.loss) in ("numbers", "unknown"):
        return _of_numbers(look, given, last)
    return None


def _before_cross_entropy(given: Array, last: str) -> _Found | None:
    if last == "softmax" or (given.shape[1] > 1 and _sums_to_one(given)):
        outputs = f"outputs are probabilities of {given.min():.3g}…{given.max():.3g}"
        advice = "leave the softmax out: cross_entropy makes one itself; predictions are F.softmax(output) afterwards"
        return "problem", f"a softmax before cross_entropy, which takes logits: {outputs}", advice
    low, high = _REACH.get(last, (-math.inf, math.inf))
    if math.isfinite(high - low):
        least = math.log1p((given.shape[1] - 1) * math.exp(low - high))
        message = f"a {last} before cross_entropy: logits lie in [{low:g}, {high:g}], so that the loss cannot fall below {least:.3g}"
        return "problem", message, f"leave the {last} out"
    if _ends_with(last, "relu"):
        return "warning", f"a {last} before cross_entropy cuts off the logits at 0", f"leave the last {last} out"
    return None


def _ends_with(last: str, name: str) -> bool:
    """Whether an operation is this one, alone or fused with what is before it."""
    return last == name or (last.endswith(f"_{name}") and not last.startswith("leaky"))


def _sums_to_one(given: Array) -> bool:
    return bool(given.ndim > 1 and given.min() >= 0 and np.abs(given.sum(axis=1) - 1).max() < 1e-3)


def _of_numbers(look: Look, given: Array, last: str) -> _Found | None:
    """What outputs cannot reach of the targets."""
    assert look.run is not None
    target = target_of(look.data)
    if kind_of(look.loss) == "unknown" and look.run.loss is not None and not math.isfinite(look.run.loss):
        found = f"the loss is {look.run.loss} for outputs of {given.min():.3g}…{given.max():.3g}"
        logits = "a loss that takes logits: F.binary_cross_entropy_with_logits, F.cross_entropy"
        message = f"{found}; where it takes logarithms, outputs must be probabilities"
        return "problem", message, f"end with a sigmoid or softmax, or use {logits}"
    if target.dtype.kind != "f" or target.shape[1:] != given.shape[1:] or not np.isfinite(target).all():
        return None
    reach = _REACH.get(last)
    if reach is None and _ends_with(last, "relu"):
        reach = 0.0, math.inf
    if reach is None:
        return None
    beyond = float(np.mean((target < reach[0]) | (target > reach[1])))
    if not beyond:
        return None
    away = f"{beyond:.0%} of the targets lie beyond ({target.min():.3g}…{target.max():.3g})"
    message = f"a {last} gives numbers in [{reach[0]:g}, {reach[1]:g}], but {away}"
    return "problem", message, f"leave the last {last} out, or scale the targets"


# ---- weights -----------------------------------------------------------------------------------------------------------


def heavy_weights(look: Look) -> Iterator[Finding]:
    """Weights that make signals much larger; in recurrent layers nothing else tells, since their outputs are bounded."""
    found = heaviest(look.model)
    if found is not None and (grade := graded(found.gain, TOO_HEAVY)):
        message = f"{found}: it makes signals {found.gain:.3g} times as large"
        advice = "draw the weights by init.he_normal, or by init.xavier_normal before tanh and in recurrent layers"
        yield grade.finding("exploding", message, "He et al. 2015", advice, found.name)


# ---- samples -----------------------------------------------------------------------------------------------------------


def mixed_samples(look: Look) -> Iterator[Finding]:
    """Whether the output of a sample depends on another one: it is computed again among others."""
    few = look.taken.at(slice(_samples_to_mix(look)))
    if few.count < 2 or any(axis_of_samples(array, few.count) is None for array in few.inputs):
        return
    others = np.zeros(few.count, np.intp)  # indices: the first sample, then copies of another one
    others[1:] = few.count - 1
    modes = ["evaluation"]
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
    norms = any(isinstance(m, kinds) or getattr(m, "uses_batch_statistics", False) for m in look.model.modules())
    if not norms:
        modes.append("training")
    for mode in modes:
        if _depends(look, few, few.at(others), mode):
            message = f"in {mode} mode the output of a sample changes with the other samples of its batch"
            advice = "see which axis is that of samples: reshape(len(x), -1) keeps it, softmax and means must not go along it"
            yield Finding("problem", "mixed samples", message, advice=advice)
            return
    yield Finding("ok", "mixed samples", f"each output follows from its own sample in {' and '.join(modes)} mode")


def _samples_to_mix(look: Look) -> int:
    """A few, but not as many as there are steps or features, so that the axis of samples can be told."""
    taken = {extent for array in look.taken.inputs for extent in array.shape[:2]}
    return next(count for count in range(_SAMPLES_TO_MIX, 0, -1) if count not in taken)


def _depends(look: Look, few: Any, among_others: Any, mode: str) -> bool:
    with preserved(look.model):
        if mode == "evaluation":
            look.model.eval()
        else:
            without_dropout(look.model)
        generators = find_generators(look.model)
        states = states_of(generators)
        first = values_of(look.model(*few.inputs))
        set_states("the model", generators, states)  # layers that draw are to draw the same
        second = values_of(look.model(*among_others.inputs))
    for a, b in zip(leaves(first), leaves(second), strict=True):
        axis = axis_of_samples(a, few.count)
        if axis is None:
            continue
        one, two = (np.take(array, 0, axis).astype(np.float64) for array in (a, b))
        if np.abs(one - two).max(initial=0) > _SAME * max(np.abs(a).max(initial=0), 1e-30):
            return True
    return False


# ---- what trains -------------------------------------------------------------------------------------------------------


def not_trained(look: Look, frozen: set[int]) -> Iterator[Finding]:
    """Parameters that are frozen, and those that the optimiser does not have."""
    named = list(look.model.named_parameters())
    found = [*_left_out(look, named, frozen), *_frozen_ones(look.model, named, frozen)]
    if found:
        yield from found
    elif named:
        yield Finding("ok", "not trained", f"all {len(named)} parameters are trained")
    else:
        message, advice = nothing_to_train(look.model)
        yield Finding("problem", "not trained", message, advice=advice)


def _left_out(look: Look, named: list[tuple[str, Any]], frozen: set[int]) -> Iterator[Finding]:
    if look.optimizer is None:
        return
    had = {id(p) for group in look.optimizer.param_groups for p in group["params"]}
    lacking = [name for name, p in named if id(p) not in had and id(p) not in frozen]
    if lacking:
        level = "problem" if all(id(p) not in had for _, p in named) else "warning"
        message = f"the optimiser lacks {len(lacking)} of {len(named)} parameters: {listed(lacking, _LISTED)}"
        advice = "make it of model.parameters(), after the last layer was added and after astype"
        yield Finding(level, "not trained", message, float(len(lacking)), 0.0, advice=advice, layer=lacking[0])


def _frozen_ones(model: Module, named: list[tuple[str, Any]], frozen: set[int]) -> Iterator[Finding]:
    """Fine-tuning freezes the first layers, which were trained before; all else is worth a warning."""
    still = [name for name, p in named if id(p) in frozen]
    if not still:
        return
    message = f"{len(still)} of {len(named)} parameters are frozen (requires_grad is False): {listed(still, _LISTED)}"
    first = [id(p) in frozen for _, p in named]
    if all(first):
        said, advice = nothing_to_train(model)
        yield Finding("problem", "not trained", said, advice=advice, layer=still[0])
        return
    raw_layers = [name for name, module in _frozen_layers(model, frozen) if _was_never_trained(module)]
    if raw_layers:
        what = f"{message}; layer {raw_layers[0]!r} was never trained: its bias is 0 or its statistics are those of the beginning"
        advice = f"if it was meant to train: requires_grad_(True) of layer {raw_layers[0]!r}"
        yield Finding("warning", "not trained", what, advice=advice, layer=raw_layers[0])
    elif first != sorted(first, reverse=True):
        advice = "fine-tuning freezes the first layers; was this one meant to train?"
        yield Finding("warning", "not trained", message, advice=advice, layer=still[0])
    else:
        advice = "right for fine-tuning; requires_grad_(True) has them train"
        yield Finding("note", "not trained", message, advice=advice, layer=still[0])


def _frozen_layers(model: Module, frozen: set[int]) -> Iterator[tuple[str, Module]]:
    for name, module in model.named_modules():
        if any(isinstance(p, Parameter) and id(p) in frozen for p in vars(module).values()):
            yield name, module


def _was_never_trained(module: Module) -> bool:
    """A bias that is exactly 0 has had no step; nor have the statistics of a norm that are 0 and 1."""
    mean = getattr(module, "running_mean", None)
    if mean is not None:
        return not np.any(mean)
    biases = [p for name, p in vars(module).items() if name.startswith("bias") and isinstance(p, Parameter)]
    return bool(biases) and all(not np.any(p.data) for p in biases)


def reached(look: Look) -> Iterator[Finding]:
    """A loss that depends on no parameter at all."""
    assert look.run is not None
    if not look.run.learns and any(True for _ in look.model.parameters()):
        advice = "look for detach, numpy() and no_grad in the model and in the loss"
        yield Finding("problem", "no gradient", "the loss depends on no parameter of the model", advice=advice)


# ---- steps -------------------------------------------------------------------------------------------------------------


def first_update(look: Look, expected: float | None) -> Iterator[Finding]:
    """A step of the optimiser against the weights, and what it does to the loss of its batch."""
    if look.optimizer is None:
        return
    with preserved(look.model, look.optimizer, look.loss):
        ratios, before, after = _stepped(look)
    if not ratios:
        return
    ratio = float(np.median(list(ratios.values())))
    rate = ", ".join(f"{lr:g}" for lr in dict.fromkeys(group["lr"] for group in look.optimizer.param_groups))
    name, largest = max(ratios.items(), key=lambda item: item[1])
    worse = after / max(before, expected or 0.0, 1e-30) if math.isfinite(after) else math.inf
    message = (
        f"the first step at rate {rate} changes weights by {ratio:.2g} of their size (the most by {largest:.2g}: {name}), "
        f"and the loss of its batch from {before:.3g} to {after:.3g}"
    )
    large = max(graded(ratio, FIRST_STEP_TOO_LARGE), graded(worse, WORSE))  # the first where they are equal
    small = graded(ratio, FIRST_STEP_TOO_SMALL, below=True)
    if large:
        advice = f"a lower rate: {_lower(look, ratio)}, or see lr_range_test"
        yield large.finding("update too large", message, _OF_STEPS, advice, name)
    elif small and look.optimizer._scheduled:
        advice = "a higher rate; see lr_range_test (a schedule that begins low is right so)"
        yield small.at_most("note").finding("update too small", message, _OF_STEPS, advice, name)
    elif small:
        yield small.finding("update too small", message, _OF_STEPS, "a higher rate; see lr_range_test", name)
    else:
        yield large.finding("update too large", message, _OF_STEPS)


def _lower(look: Look, ratio: float) -> str:
    rate = max(group["lr"] for group in look.optimizer.param_groups)
    return f"{rate / (10 * max(ratio, 1.0)):.1g}"


def _stepped(look: Look) -> tuple[dict[str, float], float, float]:
    """How much each weight that has a gradient changed relative to its size, and the loss of the batch before and after."""
    train_mode(look.model)
    objective, sample = Objective(look.loss), Sample(look.taken.at(slice(_BATCH)).batch())
    generators = find_generators(look.model)
    states = states_of(generators)
    weights = {name: p for name, _, p in named_weights(look.model) if p.requires_grad}
    values = {name: p.data.copy() for name, p in weights.items()}
    look.optimizer.zero_grad()
    loss = objective(look.model(*sample.inputs), sample)
    loss.backward()
    look.optimizer.step()
    set_states("the model", generators, states)  # so that dropout draws the same masks again
    after = float(raw(objective(look.model(*sample.inputs), sample)))
    ratios = {}
    for name, p in weights.items():
        size = float(np.linalg.norm(values[name].astype(np.float64)))
        if size > 0 and p.grad is not None and np.any(p.grad):
            ratios[name] = float(np.linalg.norm(p.data.astype(np.float64) - values[name])) / size
    return ratios, float(raw(loss)), after
