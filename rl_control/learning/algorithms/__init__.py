# SPDX-License-Identifier: Apache-2.0
"""Algorithms by name; torch is imported only when an agent is constructed."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.config.algorithm import (
    AlgorithmSettings,
    DdpgSettings,
    NafSettings,
    QtOptSettings,
    SacSettings,
    Td3Settings,
)
from rl_control.config.offline_algorithms import BcSettings, IqlSettings, Td3BcSettings

if TYPE_CHECKING:
    from rl_control.learning.algorithms.agent import Agent

# Name -> (settings, module, class). A new algorithm is one file and one line here.
ALGORITHMS: dict[str, tuple[type[AlgorithmSettings], str, str]] = {
    'ddpg': (DdpgSettings, 'rl_control.learning.algorithms.ddpg', 'Ddpg'),
    'td3': (Td3Settings, 'rl_control.learning.algorithms.td3', 'Td3'),
    'sac': (SacSettings, 'rl_control.learning.algorithms.sac', 'Sac'),
    'naf': (NafSettings, 'rl_control.learning.algorithms.naf', 'Naf'),
    'qt_opt': (QtOptSettings, 'rl_control.learning.algorithms.qt_opt', 'QtOpt'),
    'td3_bc': (Td3BcSettings, 'rl_control.learning.algorithms.td3_bc', 'Td3Bc'),
    'iql': (IqlSettings, 'rl_control.learning.algorithms.iql', 'Iql'),
    'bc': (BcSettings, 'rl_control.learning.algorithms.bc', 'Bc'),
}


def settings_of(name: str) -> type[AlgorithmSettings]:
    """Return the settings class of an algorithm; raise InvalidInput for an unknown name."""
    return _entry(name)[0]


def values_of(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the values of one algorithm among `parameters`, which are those below `algorithm.`.

    A task's file has what is tuned for it in a section of each algorithm, `NAME.FIELD`; a plain
    `FIELD` is the user's, and wins. Raise InvalidInput for a section of an unknown algorithm.
    """
    own, plain = {}, {}
    for key, value in parameters.items():
        section, dot, field = key.partition('.')
        if not dot:
            plain[key] = value
        elif _entry(section) and section == name:
            own[field] = value
    return own | plain


def make_agent(name: str, contract: Contract, settings: AlgorithmSettings) -> 'Agent':
    """Return a new agent; raise InvalidInput for an unknown name or another class of settings."""
    kind, module, agent = _entry(name)
    if type(settings) is not kind:
        raise InvalidInput(
            f'algorithm {name} was given {type(settings).__name__}; pass {kind.__name__}'
        )
    made = getattr(import_module(module), agent)(contract, settings)
    made.algorithm = name
    return made


def _entry(name: str) -> tuple[type[AlgorithmSettings], str, str]:
    if name not in ALGORITHMS:
        raise InvalidInput(f'algorithm {name!r} is not known; known are {", ".join(ALGORITHMS)}')
    return ALGORITHMS[name]
