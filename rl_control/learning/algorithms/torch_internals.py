# SPDX-License-Identifier: Apache-2.0
"""
PyTorch internals: every private name of torch that is used, each beside its public way.

A name that a later torch lacks costs speed only. The public ways compute the same numbers.
"""

from collections.abc import Callable
import math
from pathlib import Path

import torch
from torch import Tensor

from rl_control.common.errors import InvalidInput

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba 2015, algorithm 1

Run = Callable[[list[Tensor]], list[Tensor]]


def fused_adam(
    weights: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, steps: Tensor, rate: float,
) -> None:
    """Step `weights` (n,) in place, `steps` () counted before, by one call where torch has it."""
    fused = getattr(torch, '_fused_adam_', None)
    if fused is None:
        plain_adam(weights, gradient, mean, square, steps, rate)
        return
    fused([weights], [gradient], [mean], [square], [], [steps], lr=rate, beta1=BETA1, beta2=BETA2,
          weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False)


def plain_adam(
    weights: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, steps: Tensor, rate: float,
) -> None:
    """Step `weights` (n,) in place by public operations, which a compiler can fuse."""
    mean.lerp_(gradient, 1.0 - BETA1)
    square.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
    mean_correction = 1.0 - torch.exp(steps * math.log(BETA1))
    square_correction = 1.0 - torch.exp(steps * math.log(BETA2))
    deviation = square.sqrt() / square_correction.sqrt()
    weights.sub_(rate / mean_correction * mean / (deviation + EPSILON))


def trace_graph(
    function: Callable[..., list[Tensor]], inputs: list[Tensor],
    decompositions: dict[Callable, Callable],
) -> torch.fx.GraphModule:
    """
    Return the graph of `function` at `inputs`, in-place changes included.

    Raise InvalidInput where torch has no make_fx: the public way is the update itself, as it is.
    """
    try:
        from torch.fx.experimental.proxy_tensor import make_fx
    except ImportError as error:
        raise _missing('torch.fx.experimental.proxy_tensor.make_fx') from error
    return make_fx(function, decomposition_table=decompositions)(*inputs)


def compile_package(
    program: torch.export.ExportedProgram, path: Path, configuration: dict[str, object],
) -> None:
    """
    Compile `program` ahead of time into the file `path`.

    Raise InvalidInput where torch has no AOTInductor: the public way is the update itself.
    """
    try:
        from torch._inductor import aoti_compile_and_package
    except ImportError as error:
        raise _missing('torch._inductor.aoti_compile_and_package') from error
    aoti_compile_and_package(program, package_path=str(path), inductor_configs=configuration)


def load_package(path: Path) -> Run:
    """
    Return a function that takes a list of tensors, empties it, and returns a list of tensors.

    The loader alone is what torch._inductor.aoti_load_package comes down to, without the import of
    the compiler, which takes 1.5 s: one model, no lock, on the processor.
    """
    loader = getattr(getattr(torch._C, '_aoti', None), 'AOTIModelPackageLoader', None)
    return documented_load(path) if loader is None else loader(
        str(path), 'model', True, 1, -1).boxed_run


def documented_load(path: Path) -> Run:
    """Return what `load_package` returns, by the loader that torch documents."""
    try:
        from torch._inductor import aoti_load_package
    except ImportError as error:
        raise _missing('torch._inductor.aoti_load_package') from error
    model = aoti_load_package(str(path))

    def run(inputs: list[Tensor]) -> list[Tensor]:
        tensors = tuple(inputs)
        inputs.clear()
        return list(model(*tensors))

    return run


def _missing(name: str) -> InvalidInput:
    return InvalidInput(
        f'torch {torch.__version__} has no {name}; set compiled to never, or install the torch '
        'of requirements.txt')
