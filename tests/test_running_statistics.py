"""Running statistics of batch and instance norm."""

import copy
import pickle

import numpy as np
import pytest

import fastnn as fnn
import fastnn.functional as F
from arrays import normal
from fastnn import nn
from fastnn.testing import gradcheck


def test_batch_norm_running_statistics():
    norm, x = nn.BatchNorm2d(3, momentum=0.9, dtype=float), normal(8, 3, 4, 4) * 2 + 5
    mean, var = norm.running_mean, norm.running_var
    norm(x)
    norm(x)
    assert norm.running_mean is mean
    expected = (1 - 0.9**2) * x.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(mean, expected, rtol=1e-12)
    unbiased = x.var(axis=(0, 2, 3)) * (8 * 16) / (8 * 16 - 1)
    np.testing.assert_allclose(var, 0.9**2 + (1 - 0.9**2) * unbiased, rtol=1e-12)
    assert norm.num_batches_tracked == 2
    norm.eval()
    y = norm(x)
    shape = (1, 3, 1, 1)
    np.testing.assert_allclose(y.data, (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-5), rtol=1e-12)
    assert norm.num_batches_tracked == 2
    assert gradcheck(norm, x, max_elements=20)


def test_batch_norm_defaults_and_without_tracking():
    norm = nn.BatchNorm1d(3)
    assert norm.momentum == 0.99
    assert norm.running_mean.dtype == np.float32
    free = nn.BatchNorm1d(3, track_running_stats=False, dtype=float)
    assert list(free.state_dict()) == ["weight", "bias"]
    x = normal(6, 3)
    training = free(x).data
    np.testing.assert_array_equal(free.eval()(x).data, training)
    assert "track_running_stats=False" in repr(free)


def test_batch_norm_without_momentum_averages_all_batches():
    norm, batches = nn.BatchNorm1d(3, momentum=None, dtype=float), [normal(6, 3, seed=i) for i in range(3)]
    for x in batches:
        norm(x)
    np.testing.assert_allclose(norm.running_mean, np.mean([x.mean(0) for x in batches], 0), rtol=1e-12)
    np.testing.assert_allclose(norm.running_var, np.mean([x.var(0, ddof=1) for x in batches], 0), rtol=1e-12)
    other = nn.BatchNorm1d(3, momentum=None, dtype=float)
    other.load_state_dict(norm.state_dict())
    for each in (norm, other, copy.deepcopy(norm), pickle.loads(pickle.dumps(norm))):
        each(batches[0])
    np.testing.assert_array_equal(other.running_var, norm.running_var)
    assert "momentum=None" in repr(norm)


@pytest.mark.parametrize("backend", fnn.backend.available_backends())
def test_biased_running_variances(backend):
    """Without Bessel's correction, of norms alone, before ReLU, and of instances; the state is as ever."""
    fnn.use_backend(backend)
    x = normal(4, 3, 4, 5) * 2 + 5
    plain, then = (
        nn.BatchNorm2d(3, 1e-5, 0.9, unbiased=False, dtype=float),
        nn.BatchNorm2d(3, unbiased=False, dtype=float),
    )
    for norm in (plain, nn.Sequential(then, nn.ReLU())):
        norm(x)
    np.testing.assert_allclose(plain.running_var, 0.9 + 0.1 * x.var(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(then.running_var, 0.99 + 0.01 * x.var(axis=(0, 2, 3)), rtol=1e-12)
    average = nn.BatchNorm2d(3, momentum=None, unbiased=False, dtype=float)
    average(x)
    np.testing.assert_allclose(average.running_var, x.var(axis=(0, 2, 3)), rtol=1e-12)
    instances = nn.InstanceNorm2d(3, momentum=0.9, track_running_stats=True, unbiased=False, dtype=float)
    instances(x)
    np.testing.assert_allclose(instances.running_var, 0.9 + 0.1 * x.var(axis=(2, 3)).mean(0), rtol=1e-12)

    usual = nn.BatchNorm2d(3, dtype=float)
    assert list(plain.state_dict()) == list(usual.state_dict())
    assert "unbiased" not in repr(usual)
    for norm in (plain, then, average, instances):
        assert ", unbiased=False" in repr(norm)
    again = pickle.loads(pickle.dumps(plain))
    for norm in (plain, again):
        norm(x)
    np.testing.assert_array_equal(again.running_var, plain.running_var)


def test_instance_norm_running_statistics():
    norm, x = nn.InstanceNorm2d(3, momentum=0.9, track_running_stats=True, dtype=float), normal(4, 3, 4, 5) * 2 + 5
    assert list(norm.state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]
    mean, var = norm.running_mean, norm.running_var
    y = norm(x)
    np.testing.assert_allclose(y.data, F.instance_norm(x), rtol=1e-12)
    np.testing.assert_allclose(mean, 0.1 * x.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(var, 0.9 + 0.1 * x.var(axis=(2, 3), ddof=1).mean(0), rtol=1e-12)
    y = norm.eval()(x)
    np.testing.assert_allclose(y.data, F.batch_norm(x, mean, var), rtol=1e-12)
    copied = pickle.loads(pickle.dumps(norm))
    np.testing.assert_array_equal(copied(x).data, y.data)
    assert gradcheck(norm, x, max_elements=20)
    assert norm.num_batches_tracked == 0
    assert nn.InstanceNorm2d(3).running_mean is None


def test_instance_norm_changes_nothing_where_it_refuses():
    x, mean, var = normal(2, 3, 4), np.zeros(3), np.ones(3)
    for options, message in (
        ({"running_mean": mean}, "both be given"),
        ({"use_input_stats": False}, "running_mean"),
        ({"running_mean": mean, "running_var": var, "momentum": 2.0}, "momentum"),
        ({"running_mean": mean, "running_var": np.ones(2)}, "running_var"),
        ({"running_mean": mean, "running_var": var, "eps": -1.0}, "eps"),
        ({"running_mean": mean, "running_var": mean}, "running_var"),
    ):
        with pytest.raises(ValueError, match=f"instance_norm: .*{message}"):
            F.instance_norm(x, **options)
    with pytest.raises(TypeError, match="instance_norm: use_input_stats"):
        F.instance_norm(x, use_input_stats=1)
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_array_equal(var, 1)


def test_batch_norm_refuses_one_value_per_channel():
    with pytest.raises(ValueError, match="batch_norm"):
        nn.BatchNorm1d(3, dtype=float)(normal(1, 3))
