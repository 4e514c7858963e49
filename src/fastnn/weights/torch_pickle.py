"""What ``torch.save`` pickles, read by rules of our own: nothing is imported, nothing is called, memory is bounded.

A pickle is a program for a stack machine. This machine knows the instructions that ``torch.save`` writes (protocol 2), and of
names those that tensors need; each name is a word here, and stands for a rule in this file, not for what Python would find
under it. Tensors become descriptions (`StoredTensor`), checked against the size of the storage that they claim to lie in.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from .error import WeightsError
from .numbers import STORED, span, stored_bytes

HINT = "in PyTorch, torch.save(model.state_dict(), path) writes what can be read"
_MOST_MEMORY = 40 << 20
_MOST_AXES = 64
_MOST = 1 << 63


class Name(str):
    """A name of Python that the pickle mentions."""

    __slots__ = ()


class Ordered(dict[Any, Any]):
    """An ``OrderedDict``: the one object that may be given attributes, which are passed over."""

    __slots__ = ()


class Other(str):
    """A value that is no weight, such as a device."""

    __slots__ = ()


class Storage(NamedTuple):
    """Numbers that lie in one entry of the archive, under its key."""

    kind: str
    key: str
    length: int


class StoredTensor(NamedTuple):
    """A tensor that lies within a storage."""

    storage: Storage
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_STORAGES = {
    "Bool": "bool",
    "Byte": "uint8",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Float": "float32",
    "Double": "float64",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
_KIND_OF_STORAGE = {
    **{f"torch.{name}Storage": kind for name, kind in _STORAGES.items()},
    "torch.storage.UntypedStorage": "bytes",
}
_FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
_UNREAD = (
    "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2",
    "complex32", "qint8", "quint8", "qint32", "quint4x2", "quint2x4",
)  # fmt: skip
_TYPES = {f"torch.{kind}" for kind in (*STORED, *_UNREAD)}


def damaged(why: str) -> NoReturn:
    raise WeightsError(f"is damaged: {why}")


# ---- what the names stand for -------------------------------------------------------------------------------------------


def _ordered(*items: Any) -> Ordered:
    if items:
        damaged("an OrderedDict is made of something")
    return Ordered()


def _counter(*items: Any) -> dict[Any, Any]:
    match items:
        case ():
            return {}
        case (dict() as counts,):
            return counts
    damaged("a Counter is made of no dictionary")


def _size(*items: Any) -> tuple[Any, ...]:
    match items:
        case (tuple() as shape,):
            return shape
    damaged("a torch.Size is made of no tuple")


def _device(*items: Any) -> Other:
    return Other("device")


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> StoredTensor:
    if type(storage) is not Storage or storage.kind == "bytes":
        damaged("a tensor lies in no storage")
    return _checked(storage, storage.kind, offset, shape, strides, requires_grad, hooks, metadata)


def _typed_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, kind: Any, metadata: Any = None
) -> StoredTensor:
    if type(storage) is not Storage or storage.kind != "bytes" or type(kind) is not Name:
        damaged("a tensor lies in no storage")
    name = kind.removeprefix("torch.")
    if name in _UNREAD:
        raise WeightsError(
            f"holds a tensor of {name}, which NumPy has no type for; in PyTorch, save its .float() instead"
        )
    if name not in STORED:
        damaged(f"{str(kind)!r:.100} is no type of numbers")
    return _checked(storage, name, offset, shape, strides, requires_grad, hooks, metadata)


def _checked(
    storage: Storage,
    kind: str,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any,
) -> StoredTensor:
    """A tensor, once it is sure that it lies within its storage."""
    if type(shape) is not tuple or type(strides) is not tuple or not len(shape) == len(strides) <= _MOST_AXES:
        damaged("shape and strides of a tensor do not belong together")
    if not all(type(number) is int and 0 <= number < _MOST for number in (offset, *shape, *strides)):
        damaged("offset, shape and strides of a tensor are no numbers from 0 on")
    if (
        type(requires_grad) is not bool
        or (requires_grad and kind not in _FLOATS)
        or type(hooks) is not Ordered
        or hooks
    ):
        damaged("a tensor has hooks, or a gradient that it cannot have")
    if metadata is not None and metadata != {}:
        raise WeightsError(
            "holds a tensor that is conjugated or negated when it is read; save its .resolve_conj().resolve_neg()"
        )
    there = storage.length // stored_bytes(kind) if storage.kind == "bytes" else storage.length
    needed = 0 if 0 in shape else span(shape, strides)
    if offset + needed > there:
        damaged(f"a tensor of shape {str(shape)[:100]} reaches beyond its storage of {there} numbers")
    return StoredTensor(storage, kind, offset, shape, strides)


def _parameter(tensor: Any, requires_grad: Any, hooks: Any) -> StoredTensor:
    if type(tensor) is not StoredTensor or type(requires_grad) is not bool or type(hooks) is not Ordered or hooks:
        damaged("a parameter is made of no tensor")
    if requires_grad and tensor.kind not in _FLOATS:
        damaged("a parameter has a gradient that it cannot have")
    return tensor


_MADE_BY: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counter,
    "torch.Size": _size,
    "torch.device": _device,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
_ALLOWED = {*_MADE_BY, *_KIND_OF_STORAGE, *_TYPES}


# ---- the machine --------------------------------------------------------------------------------------------------------


class _Machine:
    """Carries out the instructions of one pickle."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []
        self.storages: dict[str, Storage] = {}
        self.memory = 0

    def run(self) -> Any:
        if self.take(2) != b"\x80\x02":
            raise WeightsError(
                f"is no pickle of protocol 2, which is the one that torch.save writes by default; {HINT}"
            )
        while True:
            code = self.take(1)
            if code == b".":
                break
            if code not in _INSTRUCTIONS:
                raise WeightsError(f"has the pickle instruction {code!r}, which torch.save never writes; {HINT}")
            cost, instruction = _INSTRUCTIONS[code]
            self.spend(cost)
            instruction(self)
        if len(self.stack) != 1 or self.marks or self.at != len(self.data):
            damaged("its pickle does not end where it should")
        return self.stack[0]

    def spend(self, cost: int) -> None:
        self.memory += cost
        if self.memory > _MOST_MEMORY:
            raise WeightsError(f"has a pickle of more objects than are read; {HINT}")

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) != count:
            damaged("its pickle ends too early")
        self.at += count
        return taken

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 200)
        if end < 0:
            damaged("its pickle has a name without an end")
        text = self.take(end + 1 - self.at)[:-1].decode()
        return text

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            damaged("its pickle takes more values than there are")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        """The value on top of the stack, of a type."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0) or not isinstance(self.stack[-1], kind):
            damaged(f"its pickle has no {kind.__name__} where it needs one")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        if not self.marks:
            damaged("its pickle has no mark where it needs one")
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        self.spend(8 * len(items))
        return items


def _push(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value(machine))


def _text(machine: _Machine) -> str:
    data = machine.take(machine.number("<I"))
    machine.spend(4 * len(data))
    return data.decode()


def _long(machine: _Machine) -> int:
    data = machine.take(machine.number("B"))
    machine.spend(len(data))
    return int.from_bytes(data, "little", signed=True)


def _name(machine: _Machine) -> Name:
    full = f"{machine.line()}.{machine.line()}"
    if full not in _ALLOWED:
        raise WeightsError(
            f"names {full!r:.100}, which is none of the names that tensors need; nothing was run. {HINT[0].upper()}{HINT[1:]}"
        )
    return Name(full)


def _tuple_of(count: int) -> Callable[[_Machine], tuple[Any, ...]]:
    return lambda machine: tuple(reversed([machine.pop() for _ in range(count)]))


def _mark(machine: _Machine) -> None:
    machine.marks.append(len(machine.stack))


def _remember(form: str) -> Callable[[_Machine], None]:
    def remember(machine: _Machine) -> None:
        if machine.number(form) != len(machine.memo):
            damaged("its pickle remembers values out of turn")
        machine.memo.append(machine.top(object))

    return remember


def _recall(form: str) -> Callable[[_Machine], Any]:
    def recall(machine: _Machine) -> Any:
        place = machine.number(form)
        if place >= len(machine.memo):
            damaged("its pickle recalls a value that it has not remembered")
        return machine.memo[place]

    return recall


def _storage(machine: _Machine) -> Storage:
    """The storage that a persistent id names: ("storage", type, key, device, count)."""
    match machine.pop():
        case tuple(("storage", Name() as kind, str(key), str(), int(count))) if kind in _KIND_OF_STORAGE:
            storage = Storage(_KIND_OF_STORAGE[kind], key, count)
        case _:
            damaged("its pickle refers to something that is no storage")
    if storage.length < 0 or machine.storages.setdefault(storage.key, storage) != storage:
        damaged("two storages have one key")
    return storage


def _reduce(machine: _Machine) -> Any:
    arguments, function = machine.pop(), machine.pop()
    if type(function) is not Name or function not in _MADE_BY or type(arguments) is not tuple:
        damaged("its pickle calls what is no function of tensors")
    try:
        return _MADE_BY[function](*arguments)
    except TypeError:  # of another number of arguments
        damaged(f"{str(function)!r} has {len(arguments)} arguments")


def _build(machine: _Machine) -> None:
    if not isinstance(machine.pop(), dict):
        damaged("attributes in it are no dictionary")
    machine.top(Ordered)


def _append(machine: _Machine) -> None:
    item = machine.pop()
    machine.top(list).append(item)


def _extend(machine: _Machine) -> None:
    items = machine.since_mark()
    machine.top(list).extend(items)


def _set_one(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _set(machine, [key, value])


def _set_many(machine: _Machine) -> None:
    _set(machine, machine.since_mark())


def _set(machine: _Machine, items: list[Any]) -> None:
    held = machine.top(dict)
    if len(items) % 2:
        damaged("a dictionary in it has a key without a value")
    machine.spend(40 * len(items))
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) is not str and not (type(key) is int and -_MOST <= key < _MOST):
            damaged(f"a dictionary in it has a key that is a {type(key).__name__}")
        if key in held:
            damaged(f"the key {key!r:.100} stands twice in a dictionary")
        held[key] = value


# With each instruction the bytes that what it makes may take, a place on the stack or in a dictionary included.
_INSTRUCTIONS: dict[bytes, tuple[int, Callable[[_Machine], None]]] = {
    b"N": (16, _push(lambda machine: None)),
    b"\x88": (16, _push(lambda machine: True)),
    b"\x89": (16, _push(lambda machine: False)),
    b"K": (16, _push(lambda machine: machine.number("B"))),
    b"M": (48, _push(lambda machine: machine.number("<H"))),
    b"J": (48, _push(lambda machine: machine.number("<i"))),
    b"\x8a": (64, _push(_long)),
    b"G": (40, _push(lambda machine: machine.number(">d"))),
    b"X": (80, _push(_text)),
    b"c": (160, _push(_name)),
    b")": (16, _push(lambda machine: ())),
    b"]": (80, _push(lambda machine: [])),
    b"}": (80, _push(lambda machine: {})),
    b"(": (40, _mark),
    b"t": (64, _push(lambda machine: tuple(machine.since_mark()))),
    b"\x85": (72, _push(_tuple_of(1))),
    b"\x86": (80, _push(_tuple_of(2))),
    b"\x87": (88, _push(_tuple_of(3))),
    b"q": (16, _remember("B")),
    b"r": (16, _remember("<I")),
    b"h": (16, _push(_recall("B"))),
    b"j": (16, _push(_recall("<I"))),
    b"Q": (120, _push(_storage)),
    b"R": (128, _push(_reduce)),
    b"b": (0, _build),
    b"a": (24, _append),
    b"e": (24, _extend),
    b"s": (100, _set_one),
    b"u": (100, _set_many),
}


def load(data: bytes) -> Any:
    """The object that a pickle of ``torch.save`` describes.

    Raises
    ------
    WeightsError
        If the pickle needs more than tensors, dictionaries, lists, texts and numbers, or is damaged.
    """
    machine = _Machine(data)
    try:
        return machine.run()
    except UnicodeDecodeError:
        damaged("a text in its pickle is not UTF-8")
