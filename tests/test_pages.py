"""The tables of docs/from_numpy.md and docs/from_pytorch.md: complete, and of names that exist."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from features import expand

DOCS = Path(__file__).parents[1] / "docs"


def table(page, width):
    """The cells of all lines of a page's tables that have this many."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    split = [line[1:-1].split("|") for line in lines if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in cells] for cells in split if len(cells) == width]


def quoted(cell):
    return [name for part in re.findall(r"`([^`]+)`", cell) for name in expand(part)]


# ---- which backward takes what ------------------------------------------------------------------------------------------


def required(function):
    """The arguments that a function can't do without, as the page writes them."""
    parameters = inspect.signature(function).parameters.values()
    return ", ".join(p.name for p in parameters if p.default is p.empty)


def test_every_function_with_a_backward_is_in_the_table():
    listed = [(name, takes.strip("`")) for takes, of, _ in table("from_numpy.md", 3)[1:] for name in quoted(of)]
    public = {name.removesuffix("_backward"): required(getattr(F, name)) for name in F.__all__ if "_backward" in name}
    assert len(dict(listed)) == len(listed)
    assert dict(listed) == public


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softmax", "log_softmax", "relu"])
def test_these_backwards_take_the_output(name):
    x, dy, direction = np.random.default_rng(0).standard_normal((3, 3, 4))
    y, tangent = fnn.jvp(getattr(F, name), (x,), (direction,))
    dx = getattr(F, f"{name}_backward")(dy, np.asarray(y))
    np.testing.assert_allclose(np.vdot(dx, direction), np.vdot(dy, np.asarray(tangent)), rtol=1e-12)


# ---- names --------------------------------------------------------------------------------------------------------------

SPACES = {
    "np": np,
    "fnn": fnn,
    "fastnn": fnn,
    "F": F,
    **{name: getattr(fnn, name) for name in ("nn", "optim", "init", "data")},
    "x": fnn.tensor(np.zeros((2, 2)), requires_grad=True),
    "model": fnn.nn.Module(),
    "rng": np.random.default_rng(0),
}
ROWS = [cells for cells in table("from_pytorch.md", 2) if cells[0] != "PyTorch"]
NAMES = sorted(
    {
        name
        for _, here in ROWS
        for code in re.findall(r"`([^`]+)`", here)
        for name in re.findall(rf"(?<![\w.])(?:{'|'.join(SPACES)})\.[\w.]+", code)
    }
)
# What programs were found to call, besides names that are the same here.
CALLED = """
zeros ones full eye arange linspace tril from_numpy randn rand randint randperm normal multinomial dim= keepdim= to cpu cuda
device manual_seed view size float32 long double float type LongTensor sum mean max mm matmul bmm pow argmax log1p sin abs eq
log10 square prod topk sort cat save load tanh sigmoid relu softmax functional init clip_grad_norm_ lr_scheduler DataLoader
TensorDataset unsqueeze xavier_uniform_ add_ zero_ fill_ copy_ normal_ mul_ clamp_ requires_grad_ clone contiguous dim numel
nelement LazyLinear t expand repeat repeat_interleave roll split chunk narrow unbind std norm tensor var masked_fill BCELoss
binary_cross_entropy one_hot MultiheadAttention Transformer scaled_dot_product_attention StepLR add_module inplace
smooth_l1_loss ModuleDict flatten pad interpolate Categorical new_zeros LBFGS closure flatten_parameters compile
Dropout2d amsgrad momentum gradient grad create_graph einsum gather cumsum clamp normalize Identity exp isnan
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_names_exist(name):
    first, *rest = name.split(".")
    value = SPACES[first]
    for part in rest:
        assert hasattr(value, part), name
        value = getattr(value, part)


def test_the_table_has_what_programs_call():
    theirs = " ".join(code for there, _ in ROWS for code in re.findall(r"`([^`]+)`", there))
    found = set(re.findall(r"[A-Za-z_]\w*=?", theirs)) | set(re.findall(r"[A-Za-z_]\w*", theirs))
    assert set(CALLED.split()) - found == set()
    assert len(NAMES) > 80
