"""The sections that several docstrings have in common, and whose they are; `shared_docs` writes them into the sources."""

from __future__ import annotations

from shared_sections_init import BY_FAN_IN, FILLED, NORMAL, ORTHOGONAL, SLOPE, UNIFORM, XAVIER
from shared_sections_sklearn import AUTOENCODER, CLASSIFIER, REGRESSOR

ADAM = """
Parameters
----------
params : iterable of Tensor, or list of dict
    Parameters or groups of them; see `Optimizer`.
lr : float
    Learning rate.
betas : tuple of float
    β₁ and β₂.
eps : float
    Added to the root.
weight_decay : float
    L2 penalty (of AdamW: decay), on weights and not on biases and parameters of norms.
l1 : float
    L1 penalty, on the same parameters.
decay_all : bool
    Decay biases and parameters of norms too.
"""

CHANNELS = """
Parameters
----------
in_channels, out_channels : int
    Channels of input and output.
kernel_size : {ints}
    Extents of the kernel.
"""

GROUPS = """groups : int
    Groups of channels that don't see each other; must divide both numbers of channels.
bias : bool
    Whether to add a bias.
"""

REST = """dtype : dtype
    float32 or float64.
rng : optional
    Anything `numpy.random.default_rng` takes. The weights are drawn by `init.he_uniform`; biases start at 0.
"""

CONV = f"""{CHANNELS}stride, dilation : {{ints}}
    Steps between windows, and between the elements under a kernel.
padding : {{paddings}}, or {{{{"valid", "same", "full"}}}}
    How much is put around the {{input}}; see `fastnn.functional.conv{{rank}}d`.
{GROUPS}padding_mode : {{{{"zeros", "reflect", "replicate", "circular"}}}}
    What is put there: zeros, or elements of the {{input}} in one of the ways of `fastnn.functional.pad`.
{REST}
Attributes
----------
weight : Parameter, (out_channels, in_channels // groups, {{kernel}})
bias : Parameter, (out_channels,), or None

"""

CONV_TRANSPOSE = f"""{CHANNELS}stride, dilation : {{ints}}
    Step between the places where neighbouring inputs are put, and between the elements of the kernel.
padding : {{paddings}}
    How much is cut off at the sides of the result.
output_padding : {{ints}}
    Outputs more at the high side; below stride or dilation.
{GROUPS}{REST}
Attributes
----------
weight : Parameter, (in_channels, out_channels // groups, {{kernel}})
bias : Parameter, (out_channels,), or None

Notes
-----
The output sizes are in `fastnn.functional.conv_transpose{{rank}}d`.
"""

WINDOW = """kernel_size : {ints}
    Size of the window.
stride : {ints}, optional
    Step of the window; its size by default, less makes windows overlap.
"""

CEIL_MODE = """ceil_mode : bool
    Round the output size up, as `fastnn.functional.max_pool2d` explains.
"""

STEP = """dilation : {ints}
    Step between the elements of a window.
"""

MAX = f"""
Parameters
----------
{WINDOW}padding : {{paddings}}, or str
    Border that never wins, in the forms of `fastnn.functional.conv2d`.
dilation : {{ints}}
    Step between the taps of a window.
{CEIL_MODE}
Notes
-----
Among equals the first gets the gradient.
"""

AVG = f"""
Parameters
----------
{WINDOW}padding : {{paddings}}, or str
    Zeros around the {{input}}, in the forms of `fastnn.functional.conv2d`.
{CEIL_MODE}count_include_pad : bool
    Whether padding counts in the divisor. What overhangs the padded {{input}} (``ceil_mode``) never does.
divisor_override : int, optional
    What to divide the sum of every window by, instead of the number of its elements.
{STEP}
"""

LP = f"""
Parameters
----------
norm_type : float
    The exponent p, above 0: 1 gives the sum of magnitudes, 2 the Euclidean norm.
{WINDOW}{CEIL_MODE}{STEP}
Notes
-----
PyTorch leaves out the absolute value.
"""

ADAPTIVE = """
Parameters
----------
output_size : {sizes}
    Extents of the output; None keeps that of the input, 1 pools globally.

Notes
-----
Window i of an axis of W inputs and O outputs goes from ``floor(i*W/O)`` to ``ceil((i+1)*W/O)``.
"""

BATCH = """
Parameters
----------
num_features : int
    Channels.
eps : float
    ε.
momentum : float or None
    Of the running statistics, as Keras, Flax and ONNX understand it: ``running = momentum·running +
    (1 − momentum)·batch``. **PyTorch's ``momentum`` is one minus this**: its default 0.1 is 0.9 here. None, as in
    PyTorch: the running statistics are the mean of those of all batches so far.
affine : bool
    Whether there are γ (``weight``) and β (``bias``).
track_running_stats : bool
    Whether to keep running statistics; without them evaluation uses those of its batch.
unbiased : bool
    Whether the running variance is made of unbiased variances, divided by m − 1, as in PyTorch; if not, of those divided
    by m, with which training normalises, as in Keras and ONNX.
dtype : dtype
    float32 or float64.

Attributes
----------
weight, bias : Parameter, (num_features,), or None
running_mean, running_var : ndarray, (num_features,), or None
    Used in evaluation.
num_batches_tracked : ndarray of int64, ()
    Training batches seen.

Notes
-----
In training a batch must have more than one value per channel.
"""

INSTANCE = """
Parameters
----------
num_features : int
    Channels.
eps : float
    Added to the variance.
affine : bool
    Whether there are a ``weight`` and a ``bias`` per channel; False by default, as in PyTorch.
momentum : float
    Of the running statistics, as of batch norm: the share that is kept. PyTorch's is one minus this.
track_running_stats : bool
    Whether to keep running statistics, the mean over the samples of theirs, for evaluation; by default evaluation
    normalises as training does.
unbiased : bool
    As of batch norm: whether the running variance is made of unbiased variances.
dtype : dtype
    float32 or float64.

Attributes
----------
weight, bias : Parameter, (num_features,), or None
running_mean, running_var : ndarray, (num_features,), or None
    Used in evaluation.
num_batches_tracked : ndarray of int64, (), or None
    Stays 0, as in PyTorch.

"""

DROPOUT = """
Parameters
----------
p : float
    Probability of being dropped, in 0…1.
rng : optional
    Anything `numpy.random.default_rng` takes. Each call draws a new mask from the attribute ``rng``, a
    Generator; its ``bit_generator.state`` is what a checkpoint needs to go on with the same masks. A forked child draws
    the masks that its parent would have drawn, but other ones where ``rng`` is None.

Notes
-----
The mask depends on the Generator's state alone, not on backend or thread count.
"""

FIXED = """
Notes
-----
Computed in float64, with statistics of float64, and rounded once; so columns far from zero keep their digits until they are
scaled. The output is of ``out_dtype`` whatever real dtype ``x`` has, float32, float64 or integers such as pixels just read.
``astype`` of a model sets ``out_dtype``, and leaves the statistics as they are. ``x`` gets its gradient, in its own dtype.
{more}
"""

NUMBERS = """
Parameters
----------
output : ndarray or Tensor, (N, ...)
    Predictions.
target : ndarray or Tensor, (N, ...)
    What is right, of exactly the same shape: (N, 1) and (N,) differ.
weight : ndarray, (N,), optional
    How much each sample counts, at least 0; all the same without it.

Returns
-------
float
    {value}

Raises
------
ValueError
    For shapes that differ or have no axis, or weights that are not one finite number of at least 0 per sample.
TypeError
    For what holds no real numbers, or a masked array.
"""

SCALER = """
Notes
-----
Fit it to the training part alone, and transform the other parts with the same object: what it knows of them would make the
test too good.

Statistics are computed in float64, in parts that are merged (Chan, Golub and LeVeque 1979), and so is the result, which
is rounded once: to float16, float32 or float64 where the samples are of it, else it is float64. NaN counts as missing:
it is left out of the statistics and stays NaN; `Imputer` fills it. Infinity is an error. A feature without a value
stays NaN. Where a variance is within the error of computing it, ``var <= n·ε·var + (n·ε·mean)²`` (scikit-learn's rule),
the feature counts as constant: it is not divided by its spread, `fit` names it in a warning, and ``constant_`` lists
it. `partial_fit` doesn't warn, since further samples may differ.

In scikit-learn it works as a transformer. Samples of more axes (N, ...) have a statistic per element, whose arrays have the
shape of a sample. ``state_dict()`` goes into a checkpoint.
"""

OF_ONE = """
Parameters
----------
x : array_like or Tensor
    Any shape; float32 or float64, integers and booleans as NumPy promotes them.

Returns
-------
ndarray or Tensor
    Of the shape of ``x``; a tensor if ``x`` is one.

Raises
------
TypeError
    For a dtype other than float32, float64, integers and booleans.
"""

OF_TWO = """
Parameters
----------
a, b : array_like or Tensor
    Of shapes that broadcast; float32 or float64, integers and booleans as NumPy promotes them.

Returns
-------
ndarray or Tensor
    Of the broadcast shape; a tensor if ``a`` or ``b`` is one.

Raises
------
TypeError
    For a dtype other than float32, float64, integers and booleans.
ValueError
    For shapes that don't broadcast.
"""


def _rank(rank: int) -> dict[str, str]:
    """The words of functions and layers with so many spatial axes."""
    axes = ("d", "h", "w")[3 - rank :]
    several = "(" + ", ".join(["int"] * rank) + ("," if rank == 1 else "") + ")"
    sides = "(" + ", ".join(["(int, int)"] * rank) + ("," if rank == 1 else "") + ")"
    return {
        "input": ("sequence", "image", "volume")[rank - 1],
        "kernel": ", ".join("k" + a for a in axes),
        "ints": f"int or {several}",
        "sizes": f"int or {several.replace('int', 'int or None')}",
        "paddings": f"int, {several} or {sides}",
        "rank": str(rank),
    }


PAD = """
Parameters
----------
padding : int or {sides}
    How much is put on each side, or ``({names})``. What is negative is cut off.
{more}"""
_SIDES = (
    {"sides": "(int, int)", "names": "left, right"},
    {"sides": "(int, int, int, int)", "names": "left, right, top, bottom"},
    {"sides": "tuple of 6 ints", "names": "left, right, top, bottom, front, back"},
)


def _pads(name: str, more: str = "") -> dict[str, str]:
    return {f"{name}{rank}d": PAD.format(**sides, more=more) for rank, sides in enumerate(_SIDES, 1)}


def _ranks(template: str, name: str) -> dict[str, str]:
    return {f"{name}{rank}d": template.format(**_rank(rank)) for rank in (1, 2, 3)}


_CONSTANT = "value : float\n    The value.\n"
_OF_TARGET = "In the unit of the target. NaN where nothing counts, or an output or target is NaN."
_R2 = (
    "At most 1; 0 is as good as always predicting the mean. Of several values per sample the mean of their R². A constant "
    "target counts\n    as 1 if it is met exactly, else as 0, as in scikit-learn. NaN for fewer than two samples that count, and "
    "where an output or\n    target is NaN."
)
_BACK = "With ``inverse`` a constant feature, which is divided by 1, gets its mean back."
_OF_SAMPLE = """
A standard deviation within the error of computing it counts as 1, as in `fastnn.data.StandardScaler`. Elements that are NaN are
left out of the statistics and stay NaN. The gradient goes through the statistics too.
""".strip()

# The sections of each function or class, by module.
SHARED: dict[str, dict[str, str]] = {
    "nn/adaptive_pool.py": {**_ranks(ADAPTIVE, "AdaptiveAvgPool"), **_ranks(ADAPTIVE, "AdaptiveMaxPool")},
    "autograd/ops.py": {
        **dict.fromkeys(("exp", "log", "sqrt", "absolute"), OF_ONE),
        **dict.fromkeys(("maximum", "minimum"), OF_TWO),
    },
    "data/scalers.py": dict.fromkeys(("StandardScaler", "MinMaxScaler"), SCALER),
    "init/plain.py": {
        "zeros": FILLED.format(value=""),
        "constant": FILLED.format(value=_CONSTANT),
        **dict.fromkeys(("normal", "truncated_normal"), NORMAL),
        "uniform": UNIFORM,
        "orthogonal": ORTHOGONAL,
    },
    "init/scaled.py": {
        **dict.fromkeys(("xavier_normal", "xavier_uniform"), XAVIER),
        **dict.fromkeys(("he_normal", "he_uniform"), BY_FAN_IN.format(slope=SLOPE)),
        **dict.fromkeys(("lecun_normal", "lecun_uniform"), BY_FAN_IN.format(slope="")),
    },
    "nn/conv.py": {**_ranks(CONV, "Conv"), **_ranks(CONV_TRANSPOSE, "ConvTranspose")},
    "nn/misc.py": dict.fromkeys(("Dropout", "Dropout1d", "Dropout2d", "Dropout3d"), DROPOUT),
    "nn/channel_norm.py": {**_ranks(BATCH, "BatchNorm"), **_ranks(INSTANCE, "InstanceNorm")},
    "nn/pool.py": {
        **_ranks(MAX, "MaxPool"),
        **_ranks(AVG, "AvgPool"),
        **_ranks(LP, "LPPool"),
    },
    "nn/pad.py": {
        **_pads("ConstantPad", "value : float\n    What is put there; also infinite or NaN.\n"),
        **_pads("ZeroPad"),
        **_pads("ReflectionPad"),
        **_pads("ReplicationPad"),
        **_pads("CircularPad"),
    },
    "nn/scaling.py": {
        "Standardize": FIXED.format(more=_BACK),
        "Rescale": FIXED.format(more=""),
    },
    "nn/sample_scaling.py": {"StandardizeSample": FIXED.format(more=_OF_SAMPLE)},
    "nn/whitening.py": {"Whiten": FIXED.format(more="")},
    "sklearn/classifier.py": {"Classifier": CLASSIFIER},
    "sklearn/regressor.py": {"Regressor": REGRESSOR},
    "sklearn/autoencoder.py": {"Autoencoder": AUTOENCODER},
    "optim/adam.py": dict.fromkeys(("Adam", "AdamW", "AMSGrad"), ADAM),
    "training/metrics.py": {
        "r2": NUMBERS.format(value=_R2),
        **dict.fromkeys(("mae", "rmse"), NUMBERS.format(value=_OF_TARGET)),
    },
}
