"""load_state_dict: names with prefixes, names renamed, and errors that tell all at once what does not fit."""

import re

import numpy as np
import pytest

from fastnn import nn
from fastnn.nn.state_names import Renaming


def net():
    return nn.Sequential(
        {"features": nn.Linear(3, 4, rng=0), "norm": nn.BatchNorm1d(4), "head": nn.Linear(4, 2, rng=1)}
    )


def other_values(prefix="", **renamed):
    """A state with other values than `net` has, and names with something before them, or others."""
    return {prefix + renamed.get(name.replace(".", "_"), name): array + 1 for name, array in net().state_dict().items()}


def check_loaded(model):
    for name, array in net().state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], array + 1)


def test_a_prefix_is_taken_away():
    model = net()
    assert model.load_state_dict(other_values("module."), prefix="module.") == ([], [])
    check_loaded(model)


def test_a_prefix_chooses_a_part():
    layer = nn.Linear(3, 4, rng=5)
    assert layer.load_state_dict(other_values(), prefix="features.") == ([], [])
    np.testing.assert_array_equal(layer.weight.data, net().state_dict()["features.weight"] + 1)


@pytest.mark.parametrize(
    "rename",
    [
        {"backbone": "features", "bn": "norm", "fc": "head"},
        {
            "backbone": "features",
            "bn.weight": "norm.weight",
            "bn": "norm",
            "fc.weight": "head.weight",
            "fc.bias": "head.bias",
        },
        lambda name: (
            {"backbone": "features", "bn": "norm", "fc": "head"}[name.split(".")[0]] + "." + name.split(".")[1]
        ),
    ],
)
def test_names_are_renamed(rename):
    model = net()
    before = {"features": "backbone", "norm": "bn", "head": "fc"}
    state = {f"m.{before[n.split('.')[0]]}.{n.split('.')[1]}": array for n, array in other_values().items()}
    assert model.load_state_dict(state, rename=rename, prefix="m.") == ([], [])
    check_loaded(model)


def test_what_a_mapping_does():
    """Whole parts from the beginning of a name, the longest first."""
    names = Renaming({"a": "x", "a.b": "y"}, "").names(["a.b.c", "a.bc", "a", "b.a", "ab"])
    assert names == {"a.b.c": "y.c", "a.bc": "x.bc", "a": "x", "b.a": "b.a", "ab": "ab"}
    model = net()
    with pytest.raises(ValueError, match=r"'a\.x' and 'b\.x' both become 'x'"):
        model.load_state_dict({"a.x": 1, "b.x": 2}, rename={"a": "", "b": ""})
    layer = nn.Linear(3, 4)
    layer.load_state_dict({"w.weight": np.ones((4, 3)), "bias": np.zeros(4)}, rename={"w": ""})
    outer = nn.Sequential(layer)
    outer.load_state_dict({"weight": np.ones((4, 3)), "bias": np.ones(4)}, rename={"": "0"})
    assert (layer.bias.data == 1).all()


def test_a_function_leaves_names_out():
    model = net()
    state = other_values() | {"extra": np.ones(3), "more.extra": np.ones(3)}
    assert model.load_state_dict(state, rename=lambda name: None if "extra" in name else name) == ([], [])
    check_loaded(model)


def test_all_that_does_not_fit_is_told_at_once_and_nothing_is_changed():
    model = net()
    state = other_values(head_weight="head.wieght")
    state["features.weight"] = np.ones((4, 5))
    state["norm.bias"] = np.ones(4, complex)
    state["more"] = np.ones(1)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"^load_state_dict: the state does not fit Sequential: ") as caught:
        model.load_state_dict(state)
    for words in (
        "missing 'head.weight'",
        "unexpected 'head.wieght', 'more'",
        "'head.wieght' may be 'head.weight'",
        "features.weight has shape (4, 5) in the state but (4, 3) in the module",
        "norm.bias has dtype complex128 in the state but float32 in the module",
    ):
        assert words in str(caught.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("state", "options", "words"),
    [
        (other_values("module."), {}, "prefix='module.' would fit them"),
        (other_values("a.b."), {"prefix": "a."}, "prefix='b.' would fit them"),
        (
            other_values("module."),
            {"prefix": "modul."},
            "no name begins with prefix='modul.'; prefix='module.' would fit them",
        ),
        (other_values(), {"rename": {"feature": "features"}}, "rename begins no name with 'feature'"),
        ({"weight": np.ones((4, 3)), "bias": np.ones(4)}, {}, "missing 'features.weight'"),
    ],
)
def test_hints(state, options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        net().load_state_dict(state, **options)


def test_the_hint_for_names_that_lack_their_beginning():
    with pytest.raises(ValueError, match=re.escape("rename={'': '0'} would fit them")):
        nn.Sequential(nn.Linear(3, 4)).load_state_dict(nn.Linear(3, 4).state_dict())


def test_long_lists_are_cut():
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(30)))
    with pytest.raises(ValueError, match="and 40 more") as caught:
        model.load_state_dict({})
    assert len(str(caught.value)) < 1000
    with pytest.raises(ValueError, match="; 20 more do not fit"):
        nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(40))).load_state_dict(
            {f"{i}.weight": 0 for i in range(40)}
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prefix": 3}, "prefix must be a text, got 3"),
        ({"rename": 3}, "rename must be a mapping or a function, got int"),
        ({"rename": {"a": 3}}, "from texts to texts"),
        ({"rename": lambda name: 3}, "rename made 3 of 'features.weight'"),
    ],
)
def test_arguments_of_other_types(options, words):
    with pytest.raises(TypeError, match=f"^load_state_dict: .*{words}"):
        net().load_state_dict(other_values(), **options)


def test_the_hint_for_a_part_of_another_shape_works():
    state = other_values() | {"head.weight": np.ones((3, 4)), "head.bias": np.ones(3)}
    model, before = net(), net().state_dict()
    with pytest.raises(ValueError, match=r"head\.bias has shape \(3,\)") as caught:
        model.load_state_dict(state, strict=False)
    strict, _, code = str(caught.value).rpartition("to keep what the module has there: ")[2].partition(", rename=")
    assert strict == "strict=False"
    keys = model.load_state_dict(state, strict=False, rename=eval(code))
    assert keys == (["head.weight", "head.bias"], [])
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name] + (not name.startswith("head")))


def test_the_hint_is_not_given_where_most_differs():
    with pytest.raises(ValueError, match="has shape") as caught:
        net().load_state_dict({name: np.ones((1, 7)) for name in net().state_dict()})
    assert "to keep" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_counts_may_come_as_whole_floats(dtype):
    model = net()
    model.load_state_dict({name: array.astype(dtype) for name, array in other_values().items()})
    count = model.state_dict()["norm.num_batches_tracked"]
    assert (count, count.dtype) == (1, np.int64)
    for other in (1.5, np.nan, np.inf):
        with pytest.raises(TypeError, match="num_batches_tracked has dtype float"):
            model.load_state_dict(other_values() | {"norm.num_batches_tracked": dtype(other)})
    assert model.state_dict()["norm.num_batches_tracked"] == 1


def test_names_that_are_no_texts_are_unexpected():
    model = net()
    assert model.load_state_dict(other_values() | {3: 1}, strict=False, rename=str.lower) == ([], [3])
