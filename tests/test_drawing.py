"""The computation graph as text and as a picture."""

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F


def test_reused_values_add_up():
    graph = fnn.draw_graph(lambda x: x * (x * x).exp(), 0.5)
    value, gradient = fnn.value_and_grad(lambda x: x * (x * x).exp())(0.5)
    assert [n.name for n in graph.nodes] == ["x", "multiply", "exp", "multiply"]
    assert graph.nodes[-1].value == value
    assert graph.nodes[0].gradient == gradient
    assert [i for i, _ in graph.nodes[1].inputs] == [0, 0]
    # d(x·e)/dx and d(x·e)/de
    np.testing.assert_allclose([d for _, d in graph.nodes[-1].inputs], [np.exp(0.25), 0.5])


def test_local_derivatives_times_the_gradient_are_the_gradient():
    graph = fnn.draw_graph(lambda a, b: ((a + b) * (b + 1.0)).log(), 2.0, 1.0)
    for node in graph.nodes:
        for i, local in node.inputs:
            if local is not None:
                users = [(n, d) for n in graph.nodes for j, d in n.inputs if j == i]
                assert graph.nodes[i].gradient == pytest.approx(sum(float(n.gradient * d) for n, d in users))


def test_a_module_on_arrays():
    model = fnn.nn.Sequential(fnn.nn.Linear(3, 4, rng=0), fnn.nn.ReLU())
    graph = fnn.draw_graph(model, np.ones((2, 3), np.float32))
    text = str(graph)
    assert "array (4, 3), norm" in text
    assert [n.name for n in graph.nodes if n.inputs] == ["linear", "relu"]
    assert sum(n.name == "parameter" for n in graph.nodes) == 2


def test_what_does_not_reach_the_result_is_left_out():
    def f(x):
        x.exp()
        return x * 2.0

    assert [n.name for n in fnn.draw_graph(f, 1.0).nodes] == ["x", "2", "multiply"]


def test_bad_functions():
    with pytest.raises(TypeError, match="draw_graph: the function must return a tensor"):
        fnn.draw_graph(lambda x: x, 1.0)
    with pytest.raises(TypeError, match="draw_graph: the function must return a tensor"):
        fnn.draw_graph(lambda x: F.relu(x.numpy()), 1.0)


def test_nothing_observes_afterwards():
    with pytest.raises(ZeroDivisionError):
        fnn.draw_graph(lambda x: 1 / 0, 1.0)
    assert fnn.autograd.modes.mode.observers == ()


def test_picture(tmp_path):
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    graph = fnn.draw_graph(lambda a, b: (a + b) * (b + 1.0), 2.0, 1.0)
    fig = figure.Figure()
    ax = graph.draw(fig.add_subplot())
    texts = [t.get_text() for t in ax.texts]
    assert "multiply\n6\n∂ 1" in texts
    assert texts.count("3") == 1  # the derivative of the product by its second factor
    fig.savefig(tmp_path / "graph.png")
    assert (tmp_path / "graph.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda x: F.relu(x).sum(), (3,)),
        (lambda x: F.relu(x).mean(axis=1).sum(), (2, 3)),
        (lambda x: F.mse_loss(F.relu(x).T, np.zeros((3, 2))), (2, 3)),
        (lambda x: fnn.nn.LSTM(3, 2, dtype=np.float64, rng=0)(x)[0].sum(), (4, 2, 3)),
        (lambda x: (F.softmax(x) * 2.0).swapaxes(0, 1).sum(), (2, 3)),
    ],
)
def test_gradients_are_those_of_the_reverse_pass(f, shape):
    x = np.random.default_rng(0).normal(size=shape)
    node = fnn.draw_graph(f, x).nodes[0]
    np.testing.assert_array_equal(node.gradient, fnn.grad(f)(x))
    assert node.gradient.dtype == x.dtype
