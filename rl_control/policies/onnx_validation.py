# SPDX-License-Identifier: Apache-2.0
"""
ONNX validation: reject unexpected files before the runtime loads them.

A policy is a small fixed graph of plain arithmetic. Everything else that the format can carry is
rejected: external data, functions, loops, custom operators, unknown sizes.
"""

from functools import lru_cache
import math

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
import numpy as np
import onnx
from onnx import AttributeProto, TensorProto

from rl_control.common.errors import InvalidInput

SIZE_LIMIT = 64 * 2**20  # bytes of a file
NODE_LIMIT = 20_000
VALUE_LIMIT = 32 * 2**20  # bytes of all intermediate values together
RANK_LIMIT = 16  # dimensions of a value

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
_INTEGERS = TensorProto.INT64, TensorProto.INT32
# A runtime may treat integers as dimensions, whose objects are larger than the numbers.
_BYTES_OF_VALUES = _BYTES | dict.fromkeys(_INTEGERS, 64)
_SUBGRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.SPARSE_TENSOR,
              AttributeProto.SPARSE_TENSORS)


def checked_model(data: bytes, name: str) -> onnx.ModelProto:
    """
    Return the parsed model of `data`.

    Raise InvalidInput about `name` for an invalid file.
    """
    if len(data) > SIZE_LIMIT:
        raise InvalidInput(
            f'{name} has {len(data)} bytes, more than {SIZE_LIMIT}; use a smaller network'
        )
    require_few_fields(data, name)
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise InvalidInput(f'{name} is {NO_ONNX_FILE}') from error
    for problem in _problems(model):
        raise InvalidInput(f'{name} {problem}; take a file that rl_control exported')
    try:
        _require_small(_structure(model))
    except InvalidInput as refused:
        raise InvalidInput(f'{name} {refused}') from refused
    return model


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Return the shape of a float tensor, or None for another type or an unknown size."""
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT or not tensor.HasField('shape'):
        return None
    if any(not dim.HasField('dim_value') for dim in tensor.shape.dim):
        return None
    return tuple(dim.dim_value for dim in tensor.shape.dim)


def _problems(model: onnx.ModelProto):
    """Yield a phrase for each part of the model that a policy must not have."""
    graph = model.graph
    if not graph.node:
        yield 'has no graph'
    if model.functions or model.training_info:
        yield 'has functions or training information'
    for opset in model.opset_import:
        if opset.domain not in ('', 'ai.onnx'):
            yield f'needs operators of the domain {opset.domain!r}'
    if len(model.opset_import) != 1:
        yield f'has {len(model.opset_import)} operator sets'
    if graph.sparse_initializer or graph.quantization_annotation:
        yield 'has sparse or quantised weights'
    if (count := len(graph.node) + sum(len(node.output) for node in graph.node)) > NODE_LIMIT:
        yield f'has {count} operators and their outputs, more than {NODE_LIMIT}'
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
    elif len(tensor.dims) > RANK_LIMIT or any(size < 0 for size in tensor.dims) or (
        len(tensor.raw_data) != math.prod(tensor.dims) * _BYTES[tensor.data_type]
    ):
        yield f'has weights {tensor.name!r} that do not fill their shape'
    elif tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) > 1 and not np.isfinite(
            np.frombuffer(tensor.raw_data, '<f4')).all():
        # A ReLU may hide them from test vectors. Scalars may be infinite, since bounds are.
        yield f'has NaN or infinity in its weights {tensor.name!r}'


def _structure(model: onnx.ModelProto) -> bytes:
    """Return a model reduced to what shapes depend on, without the values of its weights."""
    structure = onnx.ModelProto(opset_import=model.opset_import)
    structure.graph.node.extend(model.graph.node)
    structure.graph.input.extend(model.graph.input)
    structure.graph.initializer.extend(model.graph.initializer)
    for tensor in structure.graph.initializer:
        if tensor.data_type not in _INTEGERS:
            tensor.ClearField('raw_data')
    return structure.SerializeToString()


@lru_cache(maxsize=1)  # the versions of one training have one structure
def _require_small(structure: bytes) -> None:
    """
    Raise InvalidInput for values of unknown or excessive size, as onnx infers it.

    Shapes are inferred node by node: for a whole graph onnx would build shapes of any rank, and
    propagate integers as dimensions, before a size could be checked, so that a file of a kilobyte
    could take gigabytes.
    """
    model = onnx.ModelProto.FromString(structure)
    graph = model.graph
    opset = model.opset_import[0].version
    types = {value.name: value.type for value in graph.input} | {
        tensor.name: onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        for tensor in graph.initializer}
    shapes = {tensor.name: tensor for tensor in graph.initializer
              if tensor.data_type in _INTEGERS and math.prod(tensor.dims) <= RANK_LIMIT}
    total = 0
    for node in graph.node:
        try:
            types |= onnx.shape_inference.infer_node_outputs(
                onnx.defs.get_schema(node.op_type, opset), node,
                {wire: types[wire] for wire in node.input if wire}, shapes,
                opset_imports=[onnx.helper.make_opsetid('', opset)])
            total += sum(_cost(types[wire]) for wire in node.output if wire)
        except Exception as error:  # onnx's own kinds have no other common base
            raise InvalidInput(
                f'has an operator {node.op_type} whose shapes are inconsistent or not fixed; '
                'take a file that rl_control exported'
            ) from error
        if total > VALUE_LIMIT:
            raise InvalidInput(f'computes values of {total} bytes, more than {VALUE_LIMIT}; '
                               'use a smaller network')


def _cost(value: onnx.TypeProto) -> int:
    """Return the largest size of a value in bytes; raise ValueError if it is unbounded."""
    tensor = value.tensor_type
    dims = tensor.shape.dim
    if not tensor.HasField('shape') or len(dims) > RANK_LIMIT or any(
            not dim.HasField('dim_value') or dim.dim_value < 0 for dim in dims):
        raise ValueError
    return _BYTES_OF_VALUES[tensor.elem_type] * math.prod(dim.dim_value for dim in dims)


# Protobuf fields of all messages: an empty one has two bytes and takes a hundred in memory.
FIELD_LIMIT = 300_000
PACKED_LIMIT = 2**20  # bytes of packed numbers, which take one byte in a file and eight in memory
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; the others are deprecated
NO_ONNX_FILE = 'no complete ONNX file; export or copy it again'


def require_few_fields(data: bytes, name: str) -> None:
    """Raise InvalidInput about `name` if `data` has more protobuf fields than FIELD_LIMIT."""
    fields = packed = 0
    waiting: list[tuple[int, int, Descriptor]] = [(0, len(data), onnx.ModelProto.DESCRIPTOR)]
    while waiting:
        at, end, kind = waiting.pop()
        while at < end:
            fields += 1
            if fields > FIELD_LIMIT:
                raise InvalidInput(
                    f'{name} has more than {FIELD_LIMIT} fields; use a smaller network'
                )
            tag, at = _varint(data, at, end, name)
            field = kind.fields_by_number.get(tag >> 3)
            if tag & 7 == VARINT:
                _, at = _varint(data, at, end, name)
            elif tag & 7 in (FIXED32, FIXED64):
                at += 4 if tag & 7 == FIXED32 else 8
            elif tag & 7 == BYTES:
                length, at = _varint(data, at, end, name)
                if at + length > end:
                    raise InvalidInput(f'{name} is {NO_ONNX_FILE}')
                if field is not None and field.type == FieldDescriptor.TYPE_MESSAGE:
                    waiting.append((at, at + length, field.message_type))
                elif field is not None and field.type not in (
                        FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING):
                    packed += length
                    if packed > PACKED_LIMIT:
                        raise InvalidInput(
                            f'{name} has {packed} bytes of packed numbers in {field.name} and '
                            'before it; take a file that rl_control exported')
                at += length
            else:
                raise InvalidInput(f'{name} is {NO_ONNX_FILE}')


def _varint(data: bytes, at: int, end: int, name: str) -> tuple[int, int]:
    """Return a variable-length integer of the wire format, and the position after it."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise InvalidInput(f'{name} is {NO_ONNX_FILE}')
