"""Imports inside the package form no circle, those inside functions included."""

import ast
from pathlib import Path

import fastnn

ROOT = Path(fastnn.__file__).parent


def modules():
    """The source file of each module by its dotted name."""
    names = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("fastnn", *path.relative_to(ROOT).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def imported(name, path):
    """The modules of the package that one imports when it runs: not for type checkers alone."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in at_run_time(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
            yield from (full if full in MODULES else source for full in names)
        elif is_import_call(node):
            yield node.args[0].value


def at_run_time(node):
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            if isinstance(child.test, ast.UnaryOp):  # if not TYPE_CHECKING
                yield from (inner for part in child.body for inner in at_run_time(part))
            yield from (inner for part in child.orelse for inner in at_run_time(part))
        else:
            yield from at_run_time(child)


def is_import_call(node):
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in ("import_module", "__import__") and isinstance(node.args[0].value, str)


def circles(graph):
    """Groups of modules each of which imports the others, maybe by way of more (Tarjan 1972)."""
    order, low, stack, found = {}, {}, [], []

    def visit(name):
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = [stack.pop()]
            while group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1 or name in graph[name]:
                found.append(sorted(group))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def test_circles_are_found():
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["d"]}) == [["b", "c"], ["d"]]
    assert circles({"a": ["b", "c"], "b": ["c"], "c": []}) == []


def test_imports_of_a_module_are_found():
    found = set(imported("fastnn.nn.module", MODULES["fastnn.nn.module"]))
    assert {"fastnn.nn.parameter", "fastnn.nn.values", "numpy"} <= found
    assert "fractions" not in found  # for type checkers alone
    assert "fastnn.nn.containers" in set(imported("fastnn.nn", MODULES["fastnn.nn"]))
    assert "fastnn._core" in set(imported("fastnn.backend", MODULES["fastnn.backend"]))


def test_there_are_no_circles():
    graph = {name: sorted({m for m in imported(name, path) if m in MODULES}) for name, path in MODULES.items()}
    assert circles(graph) == []
