"""Batches: their order and augmentation as functions of key, pass and batch; positions; batches ahead; files."""

import copy
import mmap
import os
import pickle
import threading
from functools import partial

import numpy as np
import pytest

from fastnn.data import Batches, compose, random_flip, random_noise, random_shift
from subproc import forked, needs_fork


def listed(batches):
    return [tuple(np.asarray(part).tolist() for part in batch) for batch in batches]


def make(n=20, **options):
    x = np.arange(float(n))
    options = {"shuffle": True, "transform": lambda b, rng: b + rng.random(len(b)), "rng": 9, **options}
    return Batches(x, -x, batch_size=7, **options)


def test_batches_cover_everything_once():
    x = np.arange(10)
    seen = [b for (b,) in Batches(x, batch_size=4, shuffle=True, rng=1)]
    assert [len(b) for b in seen] == [4, 4, 2]
    assert sorted(np.concatenate(seen)) == list(x)


def test_batches_in_order_without_shuffling():
    assert [b.tolist() for (b,) in Batches(range(5), batch_size=2)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(("drop_last", "length"), [(False, 3), (True, 2)])
def test_drop_last(drop_last, length):
    batches = Batches(np.arange(10), batch_size=4, drop_last=drop_last)
    assert len(batches) == len(list(batches)) == length


def test_arrays_stay_together_and_orders_differ():
    x = np.arange(100)
    batches = Batches(x, x * 2, batch_size=10, shuffle=True, rng=3)
    first, second = ([np.concatenate(part) for part in zip(*batches, strict=True)] for _ in range(2))
    for a, b in (first, second):
        assert (b == 2 * a).all()
    assert (first[0] != second[0]).any()


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_may_be_changed_in_place(shuffle):
    def halve(batch, rng):
        batch *= 0.5
        return batch

    x, y = np.ones((5, 2)), np.ones(5)
    for a, b in Batches(x, y, batch_size=2, shuffle=shuffle, transform=halve):
        a *= 0.5
        b *= 0.5
        assert (a == 0.25).all()
        assert (b == 0.5).all()
    assert (x == 1).all()
    assert (y == 1).all()


def test_no_samples_no_batches():
    assert list(Batches(np.empty((0, 3)), batch_size=2)) == []


@pytest.mark.parametrize(
    ("arrays", "size", "error"),
    [
        ((), 1, ValueError),
        ((np.ones(3), np.ones(4)), 1, ValueError),
        ((np.float64(3),), 1, ValueError),
        ((np.ones(3),), 0, ValueError),
        ((np.ones(3),), -1, ValueError),
        ((np.ones(3),), 1.5, TypeError),
        ((np.ones(3), np.ma.array([1, 2, 3], mask=[0, 1, 0])), 1, TypeError),
    ],
)
def test_bad_batches(arrays, size, error):
    with pytest.raises(error):
        Batches(*arrays, batch_size=size)


# ---- randomness is a function ---------------------------------------------------------------------------------------


def test_one_seed_one_sequence_and_another_order_on_each_pass():
    a, b = make(), make()
    passes = [listed(a) for _ in range(3)]
    assert passes == [listed(b) for _ in range(3)]
    assert len({str(p) for p in passes}) == 3
    assert passes != [listed(make(rng=10)) for _ in range(3)]


def test_any_batch_of_any_pass_can_be_had_by_itself():
    batches = make()
    passes = [listed(batches) for _ in range(3)]
    other = make()
    for epoch in (2, 0, 1):
        for start in range(4):
            assert listed(other.at(epoch, start)) == passes[epoch][start:]
    assert other.epoch == other.position == 0  # nothing was counted
    for number in range(3):
        rows = batches.rows(1, number)
        assert tuple(-rows) == tuple(passes[1][number][1])


def test_orders_are_permutations_and_do_not_follow_one_another():
    x = np.arange(1000)
    batches = Batches(x, batch_size=1000, shuffle=True, rng=0)
    orders = np.array([next(batches.at(epoch))[0] for epoch in range(50)])
    assert (np.sort(orders, axis=1) == x).all()
    correlations = np.corrcoef(orders)[np.triu_indices(50, 1)]
    assert abs(correlations).max() < 0.16  # five standard deviations of 1225 independent ones


def test_what_a_transform_draws_does_not_depend_on_what_others_drew():
    def greedy(batch, rng):
        rng.random(int(batch[0]) * 1000)
        return batch + rng.random()

    a, b = (make(transform=partial(greedy)) for _ in range(2))
    assert listed(a.at(0, 2)) == listed(b)[2:]


def test_batches_made_from_one_generator_have_different_keys():
    rng = np.random.default_rng(0)
    assert make(rng=rng).key != make(rng=rng).key
    assert make(rng=np.random.default_rng(0)).key == make(rng=0).key
    assert make(rng=None).key != make(rng=None).key


@pytest.mark.parametrize("prefetch", [1, 2, 4, 100])
def test_batches_ahead_are_the_same(prefetch):
    batches = make(prefetch=prefetch)
    plain = make()
    for _ in range(2):
        assert listed(batches) == listed(plain)
    assert listed(batches.at(5, 1)) == listed(plain.at(5, 1))


def test_an_error_in_a_transform_reaches_who_takes_the_batch():
    def fail(batch, rng):
        if 3 in batch:
            raise ZeroDivisionError("three")
        return batch

    batches = Batches(np.arange(8), batch_size=2, transform=fail, prefetch=2)
    passing = iter(batches)
    assert next(passing)[0].tolist() == [0, 1]
    with pytest.raises(ZeroDivisionError, match="three"):
        next(passing)


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (lambda batch: batch, r"<lambda> cannot be called so: too many positional arguments"),
        (random_noise, "random_noise cannot be called so: missing a required (?:keyword-only )?argument: 'std'"),
        (np.ones(3), "got array"),
        ("flip", "got 'flip'"),
    ],
)
def test_transforms_that_cannot_be_called_are_refused_at_once(transform, words):
    with pytest.raises(TypeError, match=rf"^Batches: transform must be a function transform\(batch, rng\).*({words})"):
        Batches(np.arange(4), batch_size=2, transform=transform)


def drops_one(batch, rng):
    return batch[1:]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda b: None, "returned None"),
        (lambda b: b[1:], r"returned shape \(1, 3\)"),
        (lambda b: (b, b[0, 0]), r"returned shape \(2, 3\), \(\)"),
        (lambda b: b.tolist(), r"returned \[\["),
        (lambda b: (), r"returned \(\)"),
    ],
)
@pytest.mark.parametrize("prefetch", [0, 2])
def test_transforms_that_return_other_samples(returned, words, prefetch):
    batches = Batches(np.ones((4, 3)), batch_size=2, transform=lambda b, rng: returned(b), prefetch=prefetch)
    expected = r"^Batches: transform must return an array of the 2 samples that it got, or a tuple of such arrays; "
    with pytest.raises(ValueError, match=f"{expected}.*<lambda> {words}"):
        next(iter(batches))
    for kept, shape in ((lambda b, rng: b[..., :1], (2, 1)), (lambda b, rng: b.T, (3, 2))):
        assert next(Batches(np.ones((4, 3)), batch_size=2, transform=kept).at(0))[0].shape == shape


def test_repr():
    x, y = np.zeros((600, 4), np.float32), np.zeros(600, np.int64)
    assert repr(Batches(x, y, batch_size=32)) == "Batches(600 samples of float32 (4,), int64 (); batch_size=32)"
    assert repr(Batches((x, y), batch_size=5, shuffle=True, drop_last=True, transform=drops_one, prefetch=2)) == (
        "Batches(600 samples of float32 (4,) and int64 (); batch_size=5, shuffle=True, drop_last=True, "
        "transform=drops_one, prefetch=2)"
    )


def test_a_pass_that_is_left_leaves_no_thread():
    before = threading.active_count()
    for batches in (make(200, prefetch=3).at(0), iter(make(200, prefetch=3))):
        next(batches)
        batches.close()
    assert threading.active_count() == before


@needs_fork
def test_a_forked_child_goes_on_without_the_thread():
    passing = make(100, prefetch=2).at(0)
    next(passing)
    rest = forked(lambda: listed(passing))
    assert rest == listed(make(100).at(0, 1)) == listed(passing)


@needs_fork
def test_forked_children_without_a_seed_have_other_keys():
    batches = make(rng=None)
    keys = [forked(lambda: batches.key) for _ in range(2)]
    assert len({batches.key, *keys}) == 3
    seeded = make()
    assert forked(lambda: seeded.key) == seeded.key


# ---- positions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", range(8))
def test_a_state_goes_on_with_the_rest_of_the_pass(taken):
    original = make()
    passing = iter(original)
    for _ in range(taken):
        batch = next(passing, None)
        if batch is None:
            passing = iter(original)
            next(passing)
    state = original.state_dict()
    other = make(rng=77, prefetch=taken % 3)
    other.load_state_dict(state)
    rest = listed(passing)
    following = [listed(original) for _ in range(2)]
    if taken in (3, 6):  # a pass is over: no rest
        assert rest == []
        rest, *following = following
        assert [listed(other), listed(other)] == [rest, *following]
    else:
        assert [listed(other) for _ in range(3)] == [rest, *following]


class Brighter:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, batch, rng):
        return batch * self.factor


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (random_flip, "random_flip"),
        (partial(random_noise, std=0.1), "random_noise(std=0.1)"),
        (
            compose(partial(random_shift, pixels=(1, 2)), random_noise),
            "compose(random_shift(pixels=(1, 2)), random_noise)",
        ),
        (partial(compose, random_noise, rng=np.random.default_rng(0)), "compose(random_noise, rng=Generator(PCG64))"),
        (Brighter(2), "Brighter"),
    ],
)
def test_transforms_are_named_alike_in_every_process(transform, words):
    # A training that goes on compares them with those in its file.
    assert Batches([1], batch_size=1, transform=transform).settings()["transform"] == words


def test_a_loop_that_was_left_begins_another_pass():
    batches = make()
    first = next(iter(batches))
    again = next(iter(batches))
    assert (batches.epoch, batches.position) == (1, 1)
    assert first[0].tolist() != again[0].tolist()
    assert listed([again]) == listed(make().at(1))[:1]


@pytest.mark.parametrize("steps", range(1, 10))
def test_a_loop_of_ones_own_goes_on_wherever_it_was_saved(steps):
    whole = [label for epoch in range(3) for _, label in listed(make().at(epoch))]
    seen, batches = [], make()
    while batches.epoch < 3 and len(seen) < steps:
        for _, label in batches:
            seen.append(label.tolist())
            state = batches.state_dict()
            if len(seen) == steps:
                break
    other = make()
    other.load_state_dict(state)
    while other.epoch < 3:
        seen += [label.tolist() for _, label in other]
    assert seen == whole
    assert (other.epoch, other.position) == (3, 0)


def test_two_passes_at_once_are_two_passes():
    batches = make()
    pairs = [(a[1].tolist(), b[1].tolist()) for a, b in zip(batches, batches, strict=True)]
    assert [a for a, _ in pairs] == [b[1] for b in listed(make().at(0))]
    assert [b for _, b in pairs] == [b[1] for b in listed(make().at(1))]
    assert (batches.epoch, batches.position) == (2, 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"position": 4}, ValueError),
        ({"position": -1}, ValueError),
        ({"epoch": 1.5}, TypeError),
        ({"key": [1]}, ValueError),
        ({"key": [1, 2**64]}, ValueError),
        ({"key": [1, -1]}, ValueError),
        ({"key": "ab"}, ValueError),
        ({"more": 1}, ValueError),
    ],
)
def test_states_that_do_not_fit_change_nothing(change, error):
    batches = make()
    next(iter(batches))
    before = batches.state_dict()
    with pytest.raises(error, match=r"^Batches: "):
        batches.load_state_dict(before | change)
    assert batches.state_dict() == before


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_alike(copied):
    batches = make(transform=partial(random_noise, std=0.5))
    listed(batches)
    other = copied(batches)
    assert listed(other) == listed(batches)


# ---- several inputs -------------------------------------------------------------------------------------------------


def test_a_tuple_of_arrays_stays_a_tuple():
    a, b, y = np.arange(5), np.arange(10).reshape(5, 2), np.arange(5) * 3
    for (first, second), target in Batches((a, b), y, batch_size=2, shuffle=True, rng=0):
        assert (second[:, 0] == 2 * first).all()
        assert (target == 3 * first).all()
    swapped = Batches((a, b), batch_size=5, transform=lambda pair, rng: pair[::-1])
    ((second, first),) = next(iter(swapped))
    assert (first == a).all()
    assert (second == b).all()
    with pytest.raises(ValueError, match="one length"):
        Batches((a, b[:4]), y, batch_size=2)


# ---- arrays in files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_mapped_files_give_the_same_batches(tmp_path, mode, shuffle):
    data = np.arange(3000, dtype=np.int32).reshape(100, 30)
    data.tofile(tmp_path / "data")
    mapped = np.memmap(tmp_path / "data", np.int32, mode, shape=data.shape)
    if mode == "c":
        mapped[3] = -1  # which must not be lost
        data[3] = -1
    for _ in range(2):
        for array, expected in ((mapped, data), (mapped[10:90, ::2], data[10:90, ::2])):
            options = {"batch_size": 17, "shuffle": shuffle, "rng": 5}
            assert listed(Batches(array, **options)) == listed(Batches(expected, **options))
    batch = next(iter(Batches(mapped, batch_size=3)))[0]
    assert type(batch) is np.ndarray
    assert batch.flags.writeable
    assert not isinstance(batch.base, mmap.mmap)


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="reads the memory of the process from /proc")
def test_pages_of_a_mapped_file_are_given_back(tmp_path):
    def resident():
        with open("/proc/self/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))

    size = 64 << 20
    with open(tmp_path / "data", "wb") as file:
        file.truncate(size)
    mapped = np.memmap(tmp_path / "data", np.uint8, "r", shape=(1024, size // 1024))
    before = resident()
    for batch in Batches(mapped, batch_size=16, shuffle=True, rng=0):
        del batch
    assert resident() - before < 32 << 10  # in KiB; the file has twice as much
