"""A convolutional network in JAX, compiled, that calls fastnn's convolution."""

import jax

import fastnn.functional as F


@jax.custom_vjp
def conv(x, weight):
    shape = F.conv_output_shape(x.shape, weight.shape, padding="same")
    return jax.pure_callback(
        lambda x, weight: F.conv2d(x, weight, padding="same"), jax.ShapeDtypeStruct(shape, x.dtype), x, weight
    )


def conv_backward(arrays, dy):
    return jax.pure_callback(
        lambda dy, *arrays: F.conv2d_backward(dy, *arrays, padding="same", needs=(True, True, False))[:2],
        tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays),
        dy,
        *arrays,
    )


conv.defvjp(lambda *arrays: (conv(*arrays), arrays), conv_backward)


def loss(params, x, one_hot):
    w1, w2, w3 = params
    a = jax.nn.relu(conv(x, w1))
    a = jax.nn.relu(conv(a, w2)).mean(axis=(2, 3))
    return -(one_hot * jax.nn.log_softmax(a @ w3)).sum(axis=1).mean()


step = jax.jit(lambda x, one_hot, params: jax.value_and_grad(loss)(params, x, one_hot))
