# SPDX-License-Identifier: Apache-2.0
"""
Train a robot arm's policy with reinforcement learning and run it on the arm.

Importing the package imports nothing else; each name below is imported when it is first used.
"""

from importlib import import_module
from typing import Any

from rl_control.environments.gymnasium_ids import register_with_gymnasium

__version__ = '0.1.0'

_MODULES = {
    'make': 'environments.make',
    'SAC': 'learning.agents',
    'TD3': 'learning.agents',
    'DDPG': 'learning.agents',
    'NAF': 'learning.agents',
    'QTOpt': 'learning.agents',
    'train': 'learning.in_process',
    'sweep': 'learning.sweep',
    'load': 'policies.onnx_policy',
    'evaluate': 'policies.evaluate',
    'InvalidInput': 'common.errors',
}

__all__ = ['__version__', *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
    return sorted(__all__)


register_with_gymnasium()
