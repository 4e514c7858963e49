"""`draw_graph`: the computation graph of a function, with values at its nodes and local derivatives on its edges."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .core import TensorBase, raw
from .graph import conform
from .modes import Vjp, enable_grad, mode
from .tensors import Tensor


@dataclass
class GraphNode:
    """An input, constant or operation.

    Attributes
    ----------
    name : str
        Of the operation, or of the input.
    value : ndarray
        What it is.
    inputs : list of (int, ndarray or None)
        For each input the number of its node, and the local derivative on that edge: of the sum of this value by the
        input, None where nothing flows back. For scalars that is the derivative itself.
    gradient : ndarray or None
        The derivative of the sum of the graph's result by this value.
    """

    name: str
    value: np.ndarray
    inputs: list[tuple[int, np.ndarray | None]] = field(default_factory=list)
    gradient: np.ndarray | None = None


@dataclass
class ComputationGraph:
    """What `draw_graph` found: ``nodes`` in the order of computation, the result last; ``str`` is a picture in text."""

    nodes: list[GraphNode]

    def __str__(self) -> str:
        labels = [f"[{i}] {node.name}" for i, node in enumerate(self.nodes)]
        width = max(len(label) for label in labels)
        lines = []
        for label, node in zip(labels, self.nodes, strict=True):
            gradient = "" if node.gradient is None else f"   d result = {shown(node.gradient)}"
            lines.append(f"{label:<{width}} = {shown(node.value)}{gradient}")
            for i, derivative in node.inputs:
                edge = "nothing flows back" if derivative is None else f"local derivative {shown(derivative)}"
                lines.append(f"{'':>{width}}   from {labels[i]}: {edge}")
        return "\n".join(lines)

    def levels(self) -> list[int]:
        """For each node the length of the longest way to it from an input."""
        level: list[int] = []
        for node in self.nodes:
            level.append(max((level[i] + 1 for i, _ in node.inputs), default=0))
        return level

    def draw(self, ax: Any = None) -> Any:
        """A picture with Matplotlib (``pip install 'fastnn[plot]'``): inputs at the left, the result at the right.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default in a new figure.

        Returns
        -------
        matplotlib Axes
        """
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.figure(figsize=(2.6 * (max(self.levels()) + 1), 4)).add_subplot()
        place = self._places()
        ax.set_axis_off()
        ax.set_xlim(-0.6, max(x for x, _ in place) + 0.6)
        ax.set_ylim(-0.1, 1.1)
        for to, node in enumerate(self.nodes):
            for i, derivative in node.inputs:
                ax.annotate(
                    "",
                    place[to],
                    place[i],
                    arrowprops={"arrowstyle": "->", "shrinkA": 28, "shrinkB": 28, "color": "0.5"},
                )
                if derivative is not None:
                    middle = [(a + b) / 2 for a, b in zip(place[i], place[to], strict=True)]
                    ax.text(*middle, shown(derivative), color="tab:red", ha="center", va="bottom", fontsize=8)
            gradient = "" if node.gradient is None else f"\n∂ {shown(node.gradient)}"
            color = "white" if node.inputs else "0.93"
            box = {"boxstyle": "round", "facecolor": color, "edgecolor": "0.3"}
            ax.text(*place[to], f"{node.name}\n{shown(node.value)}{gradient}", ha="center", va="center", bbox=box)
        return ax

    def _places(self) -> list[tuple[float, float]]:
        """Columns by level; in a column, nodes spread evenly in the order of computation."""
        levels = self.levels()
        counts = [levels.count(level) for level in range(max(levels) + 1)]
        seen = [0] * len(counts)
        places = []
        for level in levels:
            places.append((float(level), 1 - (seen[level] + 0.5) / counts[level]))
            seen[level] += 1
        return places


def shown(value: np.ndarray) -> str:
    """A number, up to four of them, or shape and Euclidean norm."""
    if value.size == 1:
        return f"{value.item():.4g}"
    if value.size <= 4:
        return np.array2string(value, precision=4, separator=", ").replace("\n", "")
    return f"array {value.shape}, norm {np.linalg.norm(value):.4g}"


@dataclass
class _Step:
    name: str
    inputs: Sequence[Any]
    vjp: Vjp
    result: TensorBase


def draw_graph(f: Callable[..., Any], *inputs: Any) -> ComputationGraph:
    """The computation graph of ``f(*inputs)``.

    Parameters
    ----------
    f : callable
        Takes tensors and returns a tensor, a module too.
    *inputs : array_like
        float32 or float64.

    Returns
    -------
    ComputationGraph
        Print it, or ``.draw()`` it with Matplotlib. Its ``nodes`` hold the numbers.

    Raises
    ------
    TypeError
        If ``f`` does not return a tensor that depends on its inputs.

    Examples
    --------
    >>> import fastnn as fnn
    >>> print(fnn.draw_graph(lambda a, b: (a + b) * (b + 1.0), 2.0, 1.0))
    [0] a        = 2   d result = 2
    [1] b        = 1   d result = 5
    [2] add      = 3   d result = 2
                   from [0] a: local derivative 1
                   from [1] b: local derivative 1
    [3] 1        = 1
    [4] add      = 2   d result = 3
                   from [1] b: local derivative 1
                   from [3] 1: nothing flows back
    [5] multiply = 6   d result = 1
                   from [2] add: local derivative 2
                   from [4] add: local derivative 3
    """
    leaves = [Tensor(raw(x), requires_grad=True) for x in inputs]
    steps: list[_Step] = []

    def observe(name: str, output: np.ndarray, given: Sequence[Any], vjp: Vjp, result: TensorBase) -> Vjp:
        steps.append(_Step(name, given, vjp, result))
        return vjp

    previous = mode.observers
    mode.observers = (*previous, observe)
    try:
        with enable_grad():
            result = f(*leaves)
    finally:
        mode.observers = previous
    if not isinstance(result, Tensor) or all(step.result is not result for step in steps):
        raise TypeError("draw_graph: the function must return a tensor that was computed from its inputs")
    return _graph(f, leaves, steps, result)


def _graph(f: Callable[..., Any], leaves: list[Tensor], steps: list[_Step], result: Tensor) -> ComputationGraph:
    nodes: list[GraphNode] = []
    number: dict[int, int] = {}  # for each tensor, by its id, the number of its node

    def add(name: str, value: Any, key: Any = None) -> int:
        nodes.append(GraphNode(name, np.asarray(value)))
        if key is not None:
            number[id(key)] = len(nodes) - 1
        return len(nodes) - 1

    for name, leaf in zip(_names(f, len(leaves)), leaves, strict=True):
        add(name, leaf.data, leaf)
    for step in _reaching(steps, result):
        # Arguments that are None, such as a bias that there is not, are not part of the graph.
        given = [(i, x) for i, x in enumerate(step.inputs) if x is not None]
        froms = [number[id(x)] if id(x) in number else _constant(add, x) for _, x in given]
        ones = np.ones_like(step.result.data, order="C")
        needs = tuple(isinstance(x, Tensor) and x.requires_grad for x in step.inputs)
        local = step.vjp(ones, needs)
        me = add(step.name, step.result.data, step.result)
        nodes[me].inputs = [
            (n, _derivative(step.name, x, local[i], needs[i])) for n, (i, x) in zip(froms, given, strict=True)
        ]
    _fill_gradients(nodes, number, steps, result)
    return ComputationGraph(nodes)


def _derivative(name: str, x: Any, gradient: Any, needed: bool) -> np.ndarray | None:
    """What a backward gave for an input, as the reverse pass would hand it on."""
    return conform(gradient, x.shape, x.dtype, name) if needed and gradient is not None else None


def _names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of the parameters of ``f``, as far as it says them."""
    try:
        names = [p.name for p in inspect.signature(f).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    except (TypeError, ValueError):
        names = []
    return [*names[:count], *(f"x{i}" for i in range(len(names), count))]


def _constant(add: Callable[..., int], x: Any) -> int:
    value = np.asarray(raw(x))
    name = f"{value.item():.4g}" if value.size == 1 else "parameter" if isinstance(x, Tensor) else "constant"
    return add(name, value, x if isinstance(x, Tensor) else None)


def _reaching(steps: list[_Step], result: Tensor) -> list[_Step]:
    """The steps that the result depends on, in order."""
    wanted, kept = {id(result)}, []
    for step in reversed(steps):
        if id(step.result) in wanted:
            wanted.update(id(x) for x in step.inputs)
            kept.append(step)
    return kept[::-1]


def _fill_gradients(nodes: list[GraphNode], number: dict[int, int], steps: list[_Step], result: Tensor) -> None:
    nodes[number[id(result)]].gradient = np.ones_like(result.data, order="C")
    for step in reversed(_reaching(steps, result)):
        dy = nodes[number[id(step.result)]].gradient
        if dy is None:
            continue
        needs = tuple(isinstance(x, Tensor) and x.requires_grad for x in step.inputs)
        for x, needed, given in zip(step.inputs, needs, step.vjp(dy, needs), strict=True):
            g = _derivative(step.name, x, given, needed)
            if g is not None:
                node = nodes[number[id(x)]]
                node.gradient = g if node.gradient is None else node.gradient + g
