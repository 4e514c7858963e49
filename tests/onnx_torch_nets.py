"""PyTorch's networks that ONNX files are made of."""

import io
import warnings

import torch
from torch import nn
from torch.nn import functional as F


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.short = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.short(x))


def resnet(widths, blocks, stem):
    layers, channels = list(stem), widths[0]
    for i, width in enumerate(widths):
        for j in range(blocks):
            layers.append(Block(channels, width, 2 if i and not j else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def resnet20():
    return resnet((16, 32, 64), 3, [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()])


def resnet18():
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return resnet((64, 128, 256, 512), 2, stem)


class Squeeze(nn.Module):
    """Channels weighed by a small network that sees their means."""

    def __init__(self, channels):
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 8, 1), nn.ReLU(), nn.Conv2d(8, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x):
        return x * self.weigh(x)


def mobile():
    def separable(inputs, outputs, stride):
        return (
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.Hardswish(),
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.Hardswish(),
        )  # fmt: skip

    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        *separable(16, 24, 2), *separable(24, 40, 1), Squeeze(40),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 32), nn.Hardswish(), nn.Linear(32, 10),
    )  # fmt: skip


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(8, 12, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


class Attention(nn.Module):
    """An embedding, attention, and layer norm."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, activation="gelu")
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        return self.fc(self.layer(self.embed(x)).mean(1))


NETS = {
    "lenet": (lenet, (4, 1, 28, 28)),
    "resnet20": (resnet20, (16, 3, 32, 32)),
    "resnet18": (resnet18, (8, 3, 32, 32)),
    "mobile": (mobile, (4, 3, 32, 32)),
    "lstm": (lambda: Recurrent(nn.LSTM), (4, 7, 8)),
    "gru": (lambda: Recurrent(nn.GRU), (4, 7, 8)),
    "attention": (Attention, (4, 6)),
}


def make(name):
    """A network with weights of a seed, and an input."""
    torch.manual_seed(1)
    build, shape = NETS[name]
    net = build()
    return net, torch.randint(0, 50, shape) if name == "attention" else torch.randn(shape)


def exported(net, x, dynamo=False, training=False):
    """The bytes of an ONNX file, by either of PyTorch's exporters."""
    file = io.BytesIO()
    kind = {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False} if training else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter is deprecated
        if dynamo:
            return torch.onnx.export(net, (x,), dynamo=True, verbose=False).model_proto.SerializeToString()
        torch.onnx.export(
            net, (x,), file, dynamo=False, opset_version=17, input_names=["x"], dynamic_axes={"x": {0: "n"}}, **kind
        )
    return file.getvalue()
