# SPDX-License-Identifier: Apache-2.0
"""
What is checked in an ONNX file before a runtime sees it.

A policy is a small fixed graph of plain arithmetic. Whatever else the format can carry, files
beside it, functions, loops, custom operators, sizes that are not known, is refused.
"""

import math

from google.protobuf.message import DecodeError
import numpy as np
import onnx
from onnx import AttributeProto, TensorProto

from rl_control.errors import Refused
from rl_control.onnx_scan import require_few_parts

SIZE_LIMIT = 64 * 2**20  # bytes of a file
NODE_LIMIT = 20_000
VALUE_LIMIT = 16 * 2**20  # numbers in all intermediate values together

OPERATORS = frozenset({
    'Abs', 'Add', 'And', 'ArgMax', 'Cast', 'CastLike', 'Clip', 'Concat', 'Constant', 'Div',
    'Equal', 'Erf', 'Exp', 'Expand', 'Gather', 'GatherElements', 'Gemm', 'Greater',
    'GreaterOrEqual', 'Identity', 'IsNaN', 'LayerNormalization', 'Less', 'LessOrEqual', 'Log',
    'MatMul', 'Max', 'Min', 'Mul', 'Neg', 'Not', 'Or', 'Pow', 'Reciprocal', 'ReduceMax',
    'ReduceMean', 'ReduceMin', 'ReduceSum', 'Relu', 'Reshape', 'Sigmoid', 'Slice', 'Softplus',
    'Split', 'Sqrt', 'Squeeze', 'Sub', 'Tanh', 'TopK', 'Transpose', 'Unsqueeze', 'Where',
})

_BYTES = {TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.INT64: 8, TensorProto.INT32: 4,
          TensorProto.BOOL: 1}
_SUBGRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.SPARSE_TENSOR,
              AttributeProto.SPARSE_TENSORS)


def checked_model(data: bytes, name: str) -> onnx.ModelProto:
    """Return the parsed model of `data`; raise Refused, calling it `name`, for any other file."""
    if len(data) > SIZE_LIMIT:
        raise Refused(
            f'{name} has {len(data)} bytes, more than {SIZE_LIMIT}; use a smaller network'
        )
    require_few_parts(data, name)
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise Refused(f'{name} is no whole ONNX file; export or copy it again') from error
    for problem in _problems(model):
        raise Refused(f'{name} {problem}; take a file that rl_control exported')
    _require_small(model, name)
    return model


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Return the shape of a float tensor, or None where it is not fixed or not that."""
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT or not tensor.HasField('shape'):
        return None
    if any(not dim.HasField('dim_value') for dim in tensor.shape.dim):
        return None
    return tuple(dim.dim_value for dim in tensor.shape.dim)


def _problems(model: onnx.ModelProto):
    """Yield in words what a policy does not have."""
    graph = model.graph
    if not graph.node:
        yield 'has no graph'
    if model.functions or model.training_info:
        yield 'has functions or training information'
    for opset in model.opset_import:
        if opset.domain not in ('', 'ai.onnx'):
            yield f'needs operators of the domain {opset.domain!r}'
    if graph.sparse_initializer or graph.quantization_annotation:
        yield 'has sparse or quantised weights'
    if len(graph.node) > NODE_LIMIT:
        yield f'has {len(graph.node)} operators, more than {NODE_LIMIT}'
    for tensor in graph.initializer:
        yield from _tensor_problems(tensor)
    for node in graph.node:
        if node.domain not in ('', 'ai.onnx') or node.op_type not in OPERATORS:
            yield f'has the operator {node.domain}:{node.op_type}'
        for attribute in node.attribute:
            if attribute.type in _SUBGRAPHS or attribute.ref_attr_name:
                yield f'has a graph inside the operator {node.op_type}'
            for tensor in (attribute.t, *attribute.tensors):
                if attribute.type in (AttributeProto.TENSOR, AttributeProto.TENSORS):
                    yield from _tensor_problems(tensor)


def _tensor_problems(tensor: TensorProto):
    if tensor.external_data or tensor.data_location != TensorProto.DEFAULT:
        yield f'keeps the weights {tensor.name!r} in another file'
    if tensor.data_type not in _BYTES:
        yield f'has weights {tensor.name!r} of an unusual type'
    elif any(size < 0 for size in tensor.dims) or (
        len(tensor.raw_data) != math.prod(tensor.dims) * _BYTES[tensor.data_type]
    ):
        yield f'has weights {tensor.name!r} that do not fill their shape'
    elif tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) > 1 and not np.isfinite(
            np.frombuffer(tensor.raw_data, '<f4')).all():
        # A rectifier may hide them from test vectors. Single numbers may be infinite: bounds are.
        yield f'has NaN or infinity in its weights {tensor.name!r}'


def _require_small(model: onnx.ModelProto, name: str) -> None:
    """Refuse values of unknown or great size, found by onnx itself and not taken from the file."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(
            bare, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise Refused(
            f'{name} has a graph whose shapes do not fit; take a file that rl_control exported'
        ) from error
    values = {value.name: value for value in inferred.graph.value_info}
    values |= {value.name: value for value in inferred.graph.output}
    total = 0
    for node in model.graph.node:
        for output in filter(None, node.output):
            value = values.get(output)
            dims = value.type.tensor_type.shape.dim if value is not None else None
            if dims is None or not value.type.tensor_type.HasField('shape') or any(
                not dim.HasField('dim_value') for dim in dims
            ):
                raise Refused(
                    f'{name} computes {output!r}, whose size is not fixed; '
                    'take a file that rl_control exported'
                )
            total += math.prod(dim.dim_value for dim in dims)
    if total > VALUE_LIMIT:
        raise Refused(
            f'{name} computes {total} numbers, more than {VALUE_LIMIT}; use a smaller network'
        )
