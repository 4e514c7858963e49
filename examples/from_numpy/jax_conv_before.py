"""A convolutional network in JAX, compiled."""

import jax


def conv(x, weight):
    return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))


def loss(params, x, one_hot):
    w1, w2, w3 = params
    a = jax.nn.relu(conv(x, w1))
    a = jax.nn.relu(conv(a, w2)).mean(axis=(2, 3))
    return -(one_hot * jax.nn.log_softmax(a @ w3)).sum(axis=1).mean()


step = jax.jit(lambda x, one_hot, params: jax.value_and_grad(loss)(params, x, one_hot))
