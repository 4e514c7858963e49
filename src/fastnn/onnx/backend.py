"""`Backend`: fastnn behind the interface that ONNX's own tests use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.backend.base import Backend as _Base
from onnx.backend.base import BackendRep, namedtupledict

from ..autograd import raw
from ._package import OnnxError
from .load import NEWEST, load
from .model import OnnxModel
from .read_call import HALVES

__all__ = ["Backend", "Prepared"]


class Prepared(BackendRep):
    """A model that is ready to run."""

    def __init__(self, model: OnnxModel) -> None:
        self.model = model

    def run(self, inputs: Any, **options: Any) -> tuple[Any, ...]:
        """The outputs, as arrays of the dtypes that the model declares."""
        given = [inputs[name] for name in self.model.input_names] if isinstance(inputs, dict) else list(inputs)
        given = [numpy_helper.to_array(x) if isinstance(x, TensorProto) else x for x in given]
        results = self.model(*given)
        results = results if len(self.model.output_names) != 1 else (results,)
        arrays = [_declared(raw(y), slot.code) for y, slot in zip(results, self.model._outputs, strict=True)]
        outputs: tuple[Any, ...] = namedtupledict("Outputs", self.model.output_names)(*arrays)
        return outputs


def _declared(y: Any, code: int) -> np.ndarray:
    return np.asarray(y, helper.tensor_dtype_to_np_dtype(code) if code in HALVES else None)


class Backend(_Base):
    """ONNX's interface to what runs models, ``onnx.backend.base.Backend``.

    Examples
    --------
    >>> import fastnn as fnn
    >>> fnn.onnx.Backend.supports_device("CPU")
    True
    """

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **options: Any) -> bool:
        """Whether a model can be prepared."""
        try:
            cls.prepare(model, device, **options)
        except OnnxError:
            return False
        return True

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **options: Any) -> Prepared:
        """Make a model ready to run.

        Parameters
        ----------
        model : onnx.ModelProto, path or bytes
            As `fastnn.onnx.load` takes it.
        device : str
            "CPU".

        Returns
        -------
        Prepared
            Its ``run(inputs)`` gives the outputs.

        Raises
        ------
        OnnxError
            As `fastnn.onnx.load`.
        ValueError
            For another device.
        """
        if not cls.supports_device(device):
            raise ValueError(f"Backend: device must be 'CPU', got {device!r}")
        return Prepared(load(model, **options))

    @classmethod
    def run_node(
        cls, node: NodeProto, inputs: Sequence[Any], device: str = "CPU", outputs_info: Any = None, **options: Any
    ) -> tuple[Any, ...]:
        """Run one node on arrays, by the rules of the opset ``opset_version`` (default: the newest)."""
        arrays = [np.asarray(x) for x in inputs]
        names = [name for name in node.input if name]
        values = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for name, x in zip(names, arrays, strict=True)
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        for value in outputs:
            value.type.tensor_type.elem_type = TensorProto.UNDEFINED
        graph = helper.make_graph([node], "node", values, outputs)
        opset = helper.make_opsetid("", options.pop("opset_version", NEWEST))
        return cls.prepare(helper.make_model(graph, opset_imports=[opset]), device).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run there: on the CPU only."""
        return device.partition(":")[0] == "CPU"
