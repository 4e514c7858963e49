"""From PyTorch to ONNX to fastnn: the same results, and the same losses in a training that goes on."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
import fastnn as fnn
import subproc
from fastnn import functional as F
from onnx_torch_nets import NETS, exported, make

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def largest_difference(net, model, x):
    expected = net(x).detach().numpy()
    return np.abs(model(x.numpy()).numpy() - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", NETS)
def test_results(name):
    net, x = make(name)
    model = fnn.onnx.load(exported(net.eval(), x))
    assert not model.training
    assert largest_difference(net, model, x) <= 1e-5
    assert largest_difference(net, model, x[:3]) <= 1e-5  # another size of the batch


def test_results_by_the_newer_exporter():
    subproc.needs_package("onnxscript")
    net, x = make("mobile")
    model = fnn.onnx.load(exported(net.eval(), x, dynamo=True))
    assert largest_difference(net, model, x) <= 1e-5


# Rounding errors grow at ReLU's kinks and under batch norm: in 20 steps of 0.005 the losses of PyTorch's own ResNet-20 in float32
# and in float64 come apart by 0.003.
SMALL_STEPS = ("resnet20", "resnet18")


@pytest.mark.parametrize("name", NETS)
def test_training_goes_on(name):
    net, x = make(name)
    losses = trained(net.train(), x, 1e-4 if name in SMALL_STEPS else 5e-3)
    assert np.abs(losses[:, 0] - losses[:, 1]).max() <= 1e-4, losses
    assert losses[-1, 1] < losses[0, 1]


@pytest.mark.parametrize("name", ["mobile", "gru"])
def test_training_goes_on_in_float64(name):
    net, x = make(name)
    losses = trained(net.train(), x, 5e-3, torch.float64)
    assert np.abs(losses[:, 0] - losses[:, 1]).max() <= 1e-12, losses


def trained(net, x, lr, dtype=torch.float32):
    """Losses of both in 20 steps."""
    model = fnn.onnx.load(exported(net, x, training=True)).train()
    assert set(dict(model.named_parameters())) == set(dict(net.named_parameters()))
    assert set(model.state_dict()) == {k for k in net.state_dict() if not k.endswith("num_batches_tracked")}
    if dtype == torch.float64:
        net, model, x = net.double(), model.astype("float64"), x.double()
    target = torch.arange(len(x)) % 10
    theirs = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    ours = fnn.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(net(x), target)
        theirs.zero_grad(), loss.backward(), theirs.step()
        mine = F.cross_entropy(model(x.numpy()), target.numpy())
        ours.zero_grad(), mine.backward(), ours.step()
        losses.append((loss.item(), float(mine)))
    if dtype == torch.float64:
        for key, values in model.state_dict().items():  # running statistics, too
            np.testing.assert_allclose(values, net.state_dict()[key].numpy(), rtol=1e-9, atol=1e-12)
    return np.array(losses)
