"""Write the stubs of packages whose functions give a tensor for a tensor and an array for an array: ``fastnn/*/__init__.pyi``.

``python tools/make_stubs.py`` says which stubs differ from the functions, ``--write`` writes them. A stub shows type checkers,
editors and documentation tools what is there at run time: signatures, with overloads, and whole docstrings. Only the package has
one, so that type checkers still look into its modules.

What a function takes and gives is read from its annotations (``fastnn/_types.py``): where a result is a `Value`, it is a tensor
if an argument annotated as `Value` is one. Where the result is a union of two and an argument called ``return_...`` is a bool,
the first is what False gives.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parents[1] / "src"
PACKAGES = ("fastnn.autograd", "fastnn.functional")

Parameters = list[inspect.Parameter]

_ORIGINS = {
    "typing": ("Any", "Literal", "overload"),
    "collections.abc": ("Callable", "Iterable", "Iterator", "Mapping", "Sequence"),
    "numpy.typing": ("DTypeLike",),
    ".._types": (
        "Array",
        "ArrayLike",
        "Constant",
        "Ints",
        "PadMode",
        "Padding",
        "Reduction",
        "Rng",
        "ShapeLike",
        "Sides",
        "Value",
    ),
    "..autograd": ("Tensor",),
}
_KNOWN = {name for names in _ORIGINS.values() for name in names}


def _with(text: str, kind: str) -> str:
    """An annotation with another type in the place of `Value`."""
    return re.sub(r"\bValue\b", kind, text)


def _follows(function: Any) -> bool:
    """Whether the result depends on which arguments are tensors."""
    return "Value" in str(inspect.signature(function).return_annotation)


def _words(annotation: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_][\w.]*", re.sub(r"\"[^\"]*\"|'[^']*'", "", annotation)))


def _signature(name: str, parameters: Parameters, result: str) -> str:
    """The head of a function, with its colon."""
    shown, stars = [], ""
    for p in parameters:
        if p.kind is p.VAR_POSITIONAL or (p.kind is p.KEYWORD_ONLY and not stars):
            stars = "*"
            if p.kind is p.KEYWORD_ONLY:
                shown.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f" = {p.default!r}"
        shown.append(f"{star}{p.name}: {p.annotation}{default}")
    return f"def {name}({', '.join(shown)}) -> {result}:".replace("Ellipsis", "...")


def _alternatives(union: str) -> list[str]:
    """The members of a union that is written with ``|``, outside brackets."""
    depth, found = 0, [""]
    for character in union:
        depth += (character in "[(") - (character in "])")
        if character == "|" and not depth:
            found.append("")
        else:
            found[-1] += character
    return [part.strip() for part in found]


def _flagged(parameters: Parameters, result: str) -> Iterable[tuple[Parameters, str]]:
    """The signature once for False and once for True, where the result depends on an argument called ``return_...``."""
    flag = next((p for p in parameters if p.name.startswith("return_")), None)
    if flag is None:
        return [(parameters, result)]
    without, more = _alternatives(result)

    def choosing(value: bool) -> Parameters:
        literal = flag.replace(annotation=f"Literal[{value}]", default=flag.default if value is False else Ellipsis)
        return [literal if p is flag else p for p in parameters]

    return [(choosing(False), without), (choosing(True), more)]


def _overloads(name: str, parameters: Parameters, result: str) -> list[str]:
    """Arrays give arrays; a tensor among the arguments that the result follows gives a tensor."""
    deciding = [p for p in parameters if "Value" in _words(p.annotation)]
    several = len(deciding) > 1 or any("Sequence" in p.annotation for p in deciding)
    kinds = (("ArrayLike", "Array"), ("Value", "Tensor")) if several else (("Tensor", "Tensor"), ("ArrayLike", "Array"))
    texts = []
    for taken, given in kinds:
        own = [p.replace(annotation=_with(p.annotation, taken)) for p in parameters]
        for chosen, each in _flagged(own, _with(result, given)):
            overlap = "  # type: ignore[overload-overlap, unused-ignore]" if several and given == "Array" else ""
            texts.append(f"@overload\n{_signature(name, chosen, each)} ...{overlap}")
    return texts


def _docstring(function: Any) -> str:
    text = textwrap.indent(inspect.getdoc(function) or "", "    ").strip()
    quotes = 'r"""' if "\\" in text else '"""'
    return f"\n    {quotes}{text}\n    " + '"""' if "\n" in text else f'\n    {quotes}{text}"""'


def _spelt_out(annotation: str, names: dict[str, Any]) -> str:
    """An annotation without the aliases of the function's own module."""
    from fastnn._types import Array

    for word in _words(annotation) - _KNOWN:
        if word in names:
            alias = str(names[word]).replace(str(Array), "Array").replace("typing.", "")
            annotation = re.sub(rf"\b{word}\b", alias, annotation)
    return annotation


def _function(name: str, function: Callable[..., Any]) -> str:
    signature, names = inspect.signature(function), function.__globals__
    parameters = [p.replace(annotation=_spelt_out(p.annotation, names)) for p in signature.parameters.values()]
    result = _spelt_out(str(signature.return_annotation), names)
    whole = _signature(name, parameters, result)
    if "Value" not in result:
        return whole + _docstring(function)
    # Overloads need no definition behind them in a stub, but readers such as griffe see no docstring without one.
    return "\n".join([*_overloads(name, parameters, result), f"{whole}  # type: ignore[misc]{_docstring(function)}"])


def _imports(text: str, elsewhere: dict[str, str]) -> list[str]:
    """What the signatures in ``text`` need, and what the package only hands on."""
    words = _words(re.sub(r'r?"""(.|\n)*?"""', "", text)) - elsewhere.keys()
    lines = []
    for module, names in _ORIGINS.items():
        if used := [name for name in names if name in words]:
            lines.append(f"from {module} import {', '.join(used)}")
    return lines + [f"from {module} import {name} as {name}" for name, module in elsewhere.items()]


def stub(package_name: str) -> str:
    """The stub of a package."""
    package = importlib.import_module(package_name)
    functions, elsewhere = [], {}
    for name in sorted(package.__all__):
        value = getattr(package, name)
        if inspect.isfunction(value) and (_follows(value) or package_name == "fastnn.functional"):
            functions.append(_function(name, value))
        else:
            elsewhere[name] = value.__module__.removeprefix(package_name)
    text = "\n\n".join(functions)
    doc = inspect.getdoc(package) or ""
    exported = "".join(f'    "{name}",\n' for name in sorted(package.__all__))
    return (
        "# Generated by tools/make_stubs.py from the functions of this package.\n\n"
        f'"""{doc}{chr(10) if chr(10) in doc else ""}"""\n\n'
        + "\n".join(_imports(text, elsewhere))
        + f"\n\n__all__ = [\n{exported}]\n\n{text}\n"
    )


def path(package_name: str) -> Path:
    return SOURCES.joinpath(*package_name.split("."), "__init__.pyi")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the stubs")
    write = parser.parse_args().write
    sys.path.insert(0, str(SOURCES))
    different = 0
    for name in PACKAGES:
        wanted = stub(name)
        if not path(name).exists() or path(name).read_text() != wanted:
            different += 1
            print(f"{path(name)}: {'written' if write else 'differs'}")
            if write:
                path(name).write_text(wanted)
    return different and not write


if __name__ == "__main__":
    raise SystemExit(main())
