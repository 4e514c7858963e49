"""A user's program, which uses every part of fastnn: ``mypy --strict`` accepts it and finds these types; it runs, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias, assert_type

import numpy as np

import fastnn as fnn
from fastnn import Tensor, autograd, init, nn, optim
from fastnn import functional as F
from fastnn.data import Batches, StandardScaler, compose, random_flip, random_shift, split, windows
from fastnn.diagnosis import Report, initial_loss, lr_range_test, preflight
from fastnn.robustness import fgsm, robustness
from fastnn.testing import gradcheck
from fastnn.training import Checkpoint, EarlyStopping, History, Trainer, accuracy, f1, predict

Array: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[Any]]

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(32, 1, 8, 8)).astype(np.float32)
LABELS = RNG.integers(0, 3, 32)


class Net(nn.Module):
    """A model of one's own, whose call has the types of its forward."""

    def __init__(self, *, rng: np.random.Generator) -> None:
        self.conv = nn.Conv2d(1, 4, 3, padding="same", rng=rng)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.1, rng=rng)
        self.fc = nn.Linear(64, 3, rng=rng)
        self.scale = nn.Parameter(np.ones(3, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(F.relu(self.norm(self.conv(x))))
        assert_type(y, Tensor)
        return self.fc(self.drop(y).reshape(len(y), -1)) * self.scale


class Tagger(nn.Module):
    """Recurrent layers, whose states are tuples."""

    def __init__(self) -> None:
        self.words = nn.Embedding(20, 8, rng=0)
        self.lstm = nn.LSTM(8, 8, rng=1)
        self.gru = nn.GRU(8, 8, rng=2)
        self.cell = nn.LSTMCell(8, 8, rng=3)

    def forward(self, index: Array) -> Tensor:
        x = self.words(index)
        y, (h, c) = self.lstm(x)
        assert_type(h, Tensor)
        z, last = self.gru(y, h, lengths=[len(y)] * y.shape[1])
        assert_type(last, Tensor)
        h1, c1 = self.cell(z[-1], (last[0], c[0]))
        assert_type(c1, Tensor)
        return h1


def tensors_and_operators() -> None:
    x = fnn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    array = np.ones((2, 2))
    assert_type(x + 1, Tensor)
    assert_type(2.0 * x - array, Tensor)
    assert_type(array * x, Tensor)
    assert_type(x @ [1.0, 2.0], Tensor)
    assert_type(-(x[0] ** 2), Tensor)
    assert_type(x.sum(axis=0, keepdims=True).sqrt(), Tensor)
    assert_type(x.T.reshape(4).unsqueeze(0), Tensor)
    assert_type(x > 0, Array)
    assert_type(x == array, Array)
    assert_type(x.numpy(), Array)
    assert_type(x.shape, tuple[int, ...])
    assert_type(fnn.where(x > 2, x, 0.0), Tensor)
    assert_type(fnn.maximum(array, 0.0), Array)
    assert_type(fnn.concatenate([x, x], axis=1), Tensor)
    assert_type(fnn.stack([array, array]), Array)
    assert_type(fnn.exp(x), Tensor)
    assert_type(fnn.log(array), Array)
    x.sum().backward()
    with fnn.no_grad():
        x += 1.0
    assert_type(x, Tensor)


def derivatives() -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        return (x * y).sum()

    x, y = np.ones(3), np.arange(3.0)
    assert_type(fnn.grad(f)(x, y), Array)
    assert_type(fnn.grad(f, argnums=(0, 1))(x, y), tuple[Array, ...])
    _, gradient = fnn.value_and_grad(f)(x, y)
    assert_type(gradient, Array)
    _, pull = fnn.vjp(f, x, y)
    assert_type(pull(1.0), tuple[Array, ...])
    _, tangent = fnn.jvp(f, (x, y), (x, None))
    assert_type(tangent, Array)

    def cube_of(x: Array) -> tuple[Array, Array]:
        return x**3, x

    def back(x: Array, dy: Array) -> Array:
        return 3 * x**2 * dy

    cube = fnn.differentiable(cube_of, back)
    assert_type(cube(fnn.tensor([2.0])), Tensor)
    assert_type(cube(np.ones(3)), Array)

    def double(x: Tensor) -> Tensor:
        return autograd.record("double", autograd.raw(x) * 2, (x,), lambda dy, needs: (dy * 2,))

    assert gradcheck(lambda x: double(x).sum(), x)
    with fnn.no_grad(), fnn.detect_anomaly():
        assert_type(double(fnn.tensor(x)), Tensor)
    assert "sum" in str(fnn.draw_graph(f, x, y))


def functions_of_arrays_and_tensors() -> None:
    image, kernel = IMAGES[:2], np.ones((4, 1, 3, 3), np.float32)
    tensor = fnn.tensor(image)
    weight = nn.Parameter(kernel)
    assert_type(F.conv2d(image, kernel, stride=(1, 2), padding=((1, 1), (0, 1))), Array)
    assert_type(F.conv2d(image, weight), Tensor)
    assert_type(F.conv2d(tensor, kernel, padding="full"), Tensor)
    assert_type(F.conv2d(image, kernel, fnn.tensor(np.zeros(4, np.float32))), Tensor)
    assert_type(F.conv_transpose2d(image, kernel.swapaxes(0, 1), stride=2, output_padding=1), Array)
    assert_type(F.max_pool2d(tensor, 2), Tensor)
    assert_type(F.max_pool2d(tensor, 2, return_indices=True), tuple[Tensor, Array])
    assert_type(F.max_pool2d(image, 2, 2, 0, 1, False, True), tuple[Array, Array])
    assert_type(F.adaptive_avg_pool2d(image, (None, 1)), Array)
    assert_type(F.avg_pool1d(tensor[:, 0], 2), Tensor)
    assert_type(F.relu([-1.0, 2.0]), Array)
    assert_type(F.gelu(tensor, approximate="tanh"), Tensor)
    assert_type(F.softmax(image, axis=1), Array)
    assert_type(F.linear(np.ones((2, 3)), np.ones((4, 3)), np.zeros(4)), Array)
    assert_type(F.matmul(tensor, image), Tensor)
    assert_type(F.layer_norm(image, 8, fnn.tensor(np.ones(8, np.float32))), Tensor)
    assert_type(F.dropout(image, 0.5, rng=0), Array)
    assert_type(F.embedding([[0, 1]], np.ones((3, 2))), Array)
    assert_type(F.cross_entropy(np.zeros((2, 3)), [0, 2], reduction="none"), Array)
    assert_type(F.mse_loss(fnn.tensor([1.0]), [2.0]), Tensor)
    assert_type(F.kl_div(np.zeros((1, 2)), np.ones((1, 2)), "batchmean"), Array)
    assert_type(F.relu_backward(image, image), Array)
    assert_type(F.conv_output_shape((2, 1, 8, 8), (4, 1, 3, 3)), tuple[int, ...])
    F.sgd_step(kernel, np.ones_like(kernel), lr=0.1)


def layers() -> None:
    x, t = IMAGES[:2], fnn.tensor(IMAGES[:2])
    assert_type(nn.Conv2d(1, 2, 3)(x), Tensor)
    assert_type(nn.ConvTranspose2d(1, 2, 2)(t), Tensor)
    assert_type(nn.AvgPool2d(2)(t), Tensor)
    assert_type(nn.AdaptiveMaxPool2d((1, None))(x), Array)
    assert_type(nn.Flatten()(t), Tensor)
    assert_type(nn.Identity()(t), Tensor)
    assert_type(nn.ReLU()(x), Array)
    assert_type(nn.GELU("tanh")(t), Tensor)
    assert_type(nn.Softmax(axis=1)(t), Tensor)
    assert_type(nn.PReLU()(x), Tensor)
    assert_type(nn.Dropout2d(0.5)(t), Tensor)
    assert_type(nn.LayerNorm(8)(x), Tensor)
    assert_type(nn.InstanceNorm2d(1)(t), Tensor)
    assert_type(nn.LocalResponseNorm(1)(x), Array)
    assert_type(nn.Upsample(scale_factor=2)(x), Array)
    assert_type(nn.ReflectionPad2d((1, 1, 0, 2))(x), Array)
    assert_type(nn.ConstantPad2d(1, 0.5)(t), Tensor)
    assert_type(F.interpolate(t, 4, mode="linear"), Tensor)
    assert_type(nn.Standardize((1, 8, 8))(x), Array)
    assert_type(nn.Maxout(8, 2)(x), Tensor)
    assert_type(nn.Residual(nn.Linear(8, 8))(x), Tensor)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU())
    assert_type(net(x), Tensor)
    assert_type(net[:2], nn.Sequential)
    assert_type(nn.Ensemble([net, net])(x), Tensor)
    assert_type(nn.MSELoss()(net(t), np.zeros((2, 3), np.float32)), Tensor)
    assert_type(nn.L1Loss("sum")([1.0], [2.0]), Array)
    assert_type(nn.CrossEntropyLoss()(net(t), LABELS[:2]), Tensor)
    assert_type(Net(rng=RNG)(t), Tensor)
    assert_type(Tagger()(np.zeros((5, 2), np.int64)), Tensor)
    assert_type(nn.RNN(3, 4)(np.ones((5, 2, 3), np.float32)), tuple[Tensor, Tensor])
    handle = net.register_forward_hook(lambda module, args, output: None)
    handle.remove()
    assert_type(net.eval().state_dict(), dict[str, Array])
    net.load_state_dict(net.state_dict())
    again = nn.from_architecture(nn.architecture(net), rng=0)
    assert_type(again, nn.Module)
    assert_type(fnn.summary(net, (1, 8, 8)).parameters, int)
    net[1].apply(lambda module: None).requires_grad_(False)
    linear = nn.Linear(3, 3)
    linear.weight.data[...] = init.xavier_uniform(linear.weight.shape, rng=0)


def a_loop() -> None:
    model = Net(rng=RNG)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99))
    schedule = optim.Schedule(optimizer, optim.OneCycle(steps=4))
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    for images, labels in Batches(IMAGES, LABELS, batch_size=16, shuffle=True, rng=0):
        loss = loss_of(model(fnn.tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        assert_type(optim.clip_grad_norm(model.parameters(), 1.0), float)
        optimizer.step()
        schedule.step()


def training(folder: Path) -> None:
    (train_x, train_y), (test_x, test_y) = split(IMAGES, LABELS, fractions=(0.75,), rng=0)
    scaler = StandardScaler().fit(train_x.reshape(len(train_x), -1))
    assert scaler.mean_ is not None
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, rng=0))
    optimizer = optim.SGD([{"params": model.parameters()}], lr=0.01, momentum=0.9)
    transform = compose(lambda x, rng: random_flip(x, rng), lambda x, rng: random_shift(x, rng, pixels=1))
    batches = Batches(train_x, train_y, batch_size=8, transform=transform, rng=0)
    validation = Batches(test_x, test_y, batch_size=8)
    report = preflight(model, batches, optimizer=optimizer, overfit=False)
    assert_type(report, Report)
    assert_type(initial_loss(model, batches).__class__.__name__, str)
    trainer = Trainer(model, optimizer, F.cross_entropy, metrics={"accuracy": accuracy})
    lr_range_test(trainer, batches, steps=20)
    callbacks = [EarlyStopping(patience=2)]
    saved = Checkpoint(folder / "run.npz", every=1)
    history = trainer.fit(batches, validation, epochs=2, callbacks=callbacks, checkpoint=saved, progress=False)
    assert_type(history, History)
    assert_type(accuracy(predict(model, test_x), test_y), float)
    f1(predict(model, test_x), test_y, average="macro")
    fgsm(model, test_x, test_y, 0.1)
    robustness(model, test_x, test_y, noise=(0.1,), repeats=1)
    fnn.save_checkpoint(folder / "state.npz", {"model": model.state_dict()})
    assert_type(fnn.load_checkpoint(folder / "state.npz"), dict[str, Any])
    fnn.save_model(model, os.fspath(folder / "model.npz"), classes=["a", "b", "c"])
    assert_type(fnn.load_model(folder / "model.npz"), nn.Module)
    fnn.save_weights(model.state_dict(), folder / "model.safetensors")
    model.load_state_dict(fnn.load_weights(folder / "model.safetensors"), rename=str.lower, prefix="")
    fnn.load_weights(os.fspath(folder / "model.npz"), key=("model",))
    assert_type(windows(np.arange(10.0), 3)[0].ndim, int)
    with fnn.use_backend("numpy"):
        assert_type(fnn.get_num_threads(), int)


def pictures(model: nn.Sequential, folder: Path) -> None:
    from fastnn import plots

    figure_axes = plots.images(IMAGES[:4])
    plots.activation(["relu", "tanh"])
    plots.filters(nn.Conv2d(1, 4, 3, rng=0))
    assert figure_axes is not None


def main(folder: Path) -> None:
    tensors_and_operators()
    derivatives()
    functions_of_arrays_and_tensors()
    layers()
    a_loop()
    training(folder)
    pictures(nn.Sequential(nn.ReLU()), folder)
