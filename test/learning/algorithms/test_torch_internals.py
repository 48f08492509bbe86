# SPDX-License-Identifier: Apache-2.0
"""The private names of torch, and the public ways beside them."""

import importlib
import sys

import pytest
import torch

from rl_control.common.errors import InvalidInput
from rl_control.learning.algorithms import torch_internals
from rl_control.learning.algorithms.optimiser import Adam, Weights


@pytest.mark.parametrize(('module', 'name', 'instead'), [
    ('torch', '_fused_adam_', 'plain_adam steps instead, which is slower'),
    ('torch._C._aoti', 'AOTIModelPackageLoader', 'documented_load loads instead, after 1.5 s'),
    ('torch._inductor', 'aoti_compile_and_package', 'updates are not compiled'),
    ('torch._inductor', 'aoti_load_package', 'nothing is left beside the private loader'),
    ('torch.fx.experimental.proxy_tensor', 'make_fx', 'updates are not compiled'),
])
def test_this_torch_has_the_private_name(module, name, instead):
    owner = sys.modules.get(module) or importlib.import_module(module)
    assert hasattr(owner, name), f'torch {torch.__version__} has no {module}.{name}: {instead}'


def _steps(adam, number: int = 50) -> list[torch.Tensor]:
    """Return weights, mean and square after so many steps of one sequence of gradients."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(40, generator=generator)
    mean, square, steps = torch.zeros(40), torch.zeros(40), torch.zeros(())
    for _ in range(number):
        steps += 1.0
        adam(weights, torch.randn(40, generator=generator), mean, square, steps, 0.01)
    return [weights, mean, square]


def test_fused_and_plain_adam_give_the_same_numbers():
    fused, plain = _steps(torch_internals.fused_adam), _steps(torch_internals.plain_adam)
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)
    assert not torch.equal(fused[0], _steps(torch_internals.plain_adam, 49)[0])


def test_adam_steps_without_the_private_name(monkeypatch):
    def trained() -> torch.Tensor:
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        adam = Adam(Weights(net.parameters()), 0.01)
        for _ in range(20):
            adam.step(net(torch.ones(4, 3)).square().sum())
        return adam.weights.flat

    fused = trained()
    monkeypatch.delattr(torch, '_fused_adam_')
    torch.testing.assert_close(trained(), fused, rtol=1e-5, atol=1e-6)


def test_without_the_private_loader_the_documented_one_loads(monkeypatch, tmp_path):
    monkeypatch.setattr(torch_internals, 'documented_load', lambda path: path.name)
    monkeypatch.delattr(torch._C._aoti, 'AOTIModelPackageLoader')
    assert torch_internals.load_package(tmp_path / 'update.pt2') == 'update.pt2'


@pytest.mark.parametrize(('module', 'call'), [
    ('torch.fx.experimental.proxy_tensor', lambda path: torch_internals.trace_graph(
        lambda x: [x], [torch.ones(1)], {})),
    ('torch._inductor', lambda path: torch_internals.compile_package(None, path, {})),
    ('torch._inductor', torch_internals.documented_load),
])
def test_a_torch_without_a_compiler_is_named_in_a_sentence(module, call, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidInput, match=f'has no {module}.*; set compiled to never'):
        call(tmp_path / 'update.pt2')
