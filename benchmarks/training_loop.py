"""What `Trainer.fit` costs over a loop written by hand: ``python benchmarks/training_loop.py [--threads 2]``.

Both train the same network on the same batches and compute the same figures, some epochs in turns; the median of the ratios of
neighbours is printed. `fit` should cost at most 3 % on the CNN for images of 28×28, and 8 % on the one for 8×8, whose steps
take a fifth of a millisecond. A row more says what `LayerMonitor(every=50)` costs on the CNN for 28×28: at most 5 % of `fit`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import numpy as np

import fastnn as fnn
import fastnn.functional as F
import nets
from fastnn import nn, optim
from fastnn.data import Batches
from fastnn.training import LayerMonitor, Trainer

RNG = np.random.default_rng(0)
EPOCHS = 4  # of a turn
WATCHED = "28x28 CNN b64"  # the network that is trained with a monitor, too
EVERY = 50


def data(side: int, samples: int, batch_size: int) -> Batches:
    images = RNG.standard_normal((samples, 1, side, side), dtype=np.float32)
    return Batches(images, RNG.integers(0, 10, samples), batch_size=batch_size, shuffle=True, drop_last=True, rng=0)


def by_hand(model: nn.Module, batches: Batches) -> Callable[[], None]:
    """An epoch, with the mean loss and the accuracy that `fit` records."""
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def epoch() -> None:
        loss_sum, right, samples = 0.0, 0, 0
        for images, labels in batches:
            optimizer.zero_grad()
            output = model(images)
            loss = F.cross_entropy(output, labels)
            loss.backward()
            optimizer.step()
            loss_sum += len(labels) * loss.item()
            right += int((output.numpy().argmax(axis=1) == labels).sum())
            samples += len(labels)
        assert 0 <= right / samples <= 1 < 1e9 * loss_sum

    def turn() -> None:
        for _ in range(EPOCHS):
            epoch()

    return turn


def by_trainer(
    model: nn.Module, batches: Batches, epochs: int = EPOCHS, monitor: LayerMonitor | None = None
) -> Callable[[], None]:
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-3))
    callbacks = [] if monitor is None else [monitor]

    def turn() -> None:
        trainer.fit(batches, epochs=trainer.epoch + epochs, callbacks=callbacks, progress=False)

    return turn


CASES: dict[str, tuple[Callable[[Any], nn.Module], tuple[int, int, int]]] = {
    "8x8 CNN b32": (nets.digits_cnn, (8, 1280, 32)),
    "28x28 CNN b64": (nets.mnist_cnn, (28, 640, 64)),
}


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ratios(loops: list[Callable[[], None]], rounds: int) -> tuple[list[float], float]:
    """Of each round the second loop's time over the first's; and the first one's median time."""
    for loop in loops:
        loop()
    times = [[seconds(loop) for loop in loops] for _ in range(rounds)]
    return [second / first for first, second in times], median(first for first, _ in times)


def fit_over_hand(name: str, rounds: int) -> None:
    net, sizes = CASES[name]
    found, turn = ratios([by_hand(net(nn), data(*sizes)), by_trainer(net(nn), data(*sizes))], rounds)
    show(name, "fit / by hand", found, turn / (EPOCHS * (sizes[1] // sizes[2])))


def watched_over_fit(rounds: int) -> None:
    """Turns of as many steps as lie between two looks of the monitor."""
    net, sizes = CASES[WATCHED]
    epochs = EVERY // (sizes[1] // sizes[2])
    loops = [by_trainer(net(nn), data(*sizes), epochs, monitor) for monitor in (None, LayerMonitor(EVERY))]
    found, turn = ratios(loops, rounds)
    show(WATCHED, f"fit with LayerMonitor(every={EVERY}) / fit", found, turn / EVERY)


def show(name: str, what: str, found: list[float], step: float) -> None:
    low, _, high = quantiles(found)
    threads = fnn.get_num_threads()
    print(
        f"{name}, {threads} thread{'s' * (threads > 1)}: step {1e3 * step:.3f} ms, {what} {median(found):.3f} "
        f"(quartiles {low:.3f} to {high:.3f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", default="1,2", help="thread counts, by default 1,2")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    for threads in map(int, options.threads.split(",")):
        with fnn.set_num_threads(threads):
            for name in CASES:
                fit_over_hand(name, options.rounds)
            watched_over_fit(max(2, options.rounds // 2))


if __name__ == "__main__":
    main()
