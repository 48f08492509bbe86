# SPDX-License-Identifier: Apache-2.0
"""Inference time of a policy beside plain onnxruntime, numpy and torch, and by width."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import tracemalloc

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.parts.comparison import (
    LIMIT,
    OURS,
    Comparison,
    Contender,
    Figures,
    Goal,
    Scale,
    compare,
)
from benchmarks.parts.fixtures import (
    ACTION,
    OBSERVATION,
    contract,
    each_call,
    exporter,
    policy_file,
)
from rl_control.policies.onnx_policy import OnnxPolicy

HIDDEN = (256, 256)


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield the time of one action, and the memory that repeated actions leave."""
    calls = scale.size(20_000, 50)
    yield compare(
        'inference: one action, 256 x 256, batch 1', 'us', [
            Contender(OURS, lambda: timed(_ours(HIDDEN), calls)),
            Contender('onnxruntime .run', lambda: timed(_session(HIDDEN), calls)),
            Contender('numpy', lambda: timed(_numpy(HIDDEN), calls)),
            Contender('torch', lambda: timed(_torch(HIDDEN), calls)),
            Contender(f'{LIMIT}onnxruntime, bound', lambda: timed(_bound(HIDDEN), calls)),
        ], scale.rounds, [Goal('p50', at_most=20.0), Goal('p99', at_most=40.0)])
    yield compare(
        f'inference: memory that {calls} actions leave', 'bytes', [
            Contender(OURS, lambda: lambda: {'growth': _growth(_ours(HIDDEN), calls)}),
        ], 1, [Goal('growth', at_most=100.0)])


def by_width(widths: Sequence[int], scale: Scale) -> Comparison:
    """Return the time of one action by the width of two hidden layers."""
    calls = scale.size(2_000, 5)
    return compare(
        'one action by width of two hidden layers', 'us', [
            Contender(f'{name} {width}', lambda make=make, width=width: _median(
                make((width, width)), calls))
            for name, make in ((OURS, _ours), ('numpy', _numpy)) for width in widths],
        scale.rounds)


def timed(call: Callable[[], object], calls: int) -> Callable[[], Figures]:
    """Return a function that times each of `calls` calls."""
    return lambda: dict(zip(
        ('p50', 'p99'), np.percentile(each_call(call, calls), (50.0, 99.0)), strict=True))


def _median(call: Callable[[], object], calls: int) -> Callable[[], Figures]:
    return lambda: {'p50': float(np.median(each_call(call, calls)))}


def _inputs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=OBSERVATION), rng.normal(size=ACTION)


def _ours(hidden: tuple[int, ...]) -> Callable[[], object]:
    policy = OnnxPolicy(policy_file(hidden))
    observation, noise = _inputs()
    return lambda: policy.act(observation, noise)


def _open(hidden: tuple[int, ...]):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        policy_file(hidden), options, providers=['CPUExecutionProvider'])


def _session(hidden: tuple[int, ...]) -> Callable[[], object]:
    session = _open(hidden)
    observation, noise = (array[None].astype(np.float32) for array in _inputs())
    return lambda: session.run(None, {'observation': observation, 'noise': noise})


def _bound(hidden: tuple[int, ...]) -> Callable[[], object]:
    """Return the runtime's own call with preallocated buffers: no copies, no checks."""
    import onnxruntime

    session = _open(hidden)
    binding = session.io_binding()
    held = [array[None].astype(np.float32) for array in _inputs()]
    for name, array in zip(('observation', 'noise'), held, strict=True):
        binding.bind_input(name, 'cpu', 0, np.float32, array.shape, array.ctypes.data)
    for output in session.get_outputs():
        held.append(np.empty([int(size) for size in output.shape], np.float32))
        binding.bind_output(
            output.name, 'cpu', 0, np.float32, held[-1].shape, held[-1].ctypes.data)
    run, bound = session._sess.run_with_iobinding, binding._iobinding
    options = onnxruntime.RunOptions()
    return lambda _held=held: run(bound, options)


def _weights(hidden: tuple[int, ...]) -> Mapping[str, np.ndarray]:
    model = onnx.ModelProto.FromString(policy_file(hidden))
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _numpy(hidden: tuple[int, ...]) -> Callable[[], object]:
    """Return the deterministic part of the same network in numpy."""
    weights = _weights(hidden)
    layers = [(np.ascontiguousarray(weights[f'actor.{k}.weight'].T), weights[f'actor.{k}.bias'])
              for k in range(0, 2 * len(hidden) + 1, 2)]
    observation, _ = _inputs()

    def act() -> np.ndarray:
        layer = observation.astype(np.float32)
        for weight, bias in layers[:-1]:
            layer = np.maximum(layer @ weight + bias, 0.0)
        weight, bias = layers[-1]
        return np.tanh((layer @ weight + bias)[:ACTION])

    return act


def _torch(hidden: tuple[int, ...]) -> Callable[[], object]:
    import torch

    policy = exporter(contract(), hidden).policy
    observation, noise = (array.astype(np.float32) for array in _inputs())

    def act() -> np.ndarray:
        with torch.no_grad():
            return policy(torch.from_numpy(observation)[None], torch.from_numpy(noise)[None])[0][
                0].numpy()

    return act


def _growth(call: Callable[[], object], calls: int) -> float:
    """Return the growth of Python's and numpy's memory in bytes over `calls` calls."""
    tracemalloc.start()
    try:
        for _ in range(calls):  # these fill caches
            call()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(calls):
            call()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return float(after - before)
