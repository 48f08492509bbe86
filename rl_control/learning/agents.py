# SPDX-License-Identifier: Apache-2.0
"""Agents by algorithm for Python: `SAC(environment, gamma=0.9)` and the other algorithms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl_control.common.errors import InvalidInput
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.environments.environment import Environment
from rl_control.learning.algorithms import make_agent, settings_of, values_of
from rl_control.learning.algorithms.agent import Agent

LEARNING_RATES = '_learning_rate'  # ends the names of an algorithm's step sizes


def _agent_of(algorithm: str) -> Callable[..., Agent]:
    def make(environment: Environment, **settings: Any) -> Agent:
        kind = settings_of(algorithm)
        values = {**_tuned(algorithm, environment.contract.task), **settings}
        if 'learning_rate' in settings:
            rate = values.pop('learning_rate')
            names = [name for name in kind().to_mapping() if name.endswith(LEARNING_RATES)]
            values |= {name: rate for name in names if name not in settings}
        return make_agent(algorithm, environment.contract, kind.from_mapping(values))

    make.__doc__ = f'''
    Return a new agent of the algorithm `{algorithm}` for `environment`.

    Keywords are the settings of docs/parameters.md, section algorithm.{algorithm}, checked as
    those of a file are; `learning_rate` sets every step size that is not given by its own name.
    What is not given has the value that the environment's task is tuned with, else the paper's.
    Raise InvalidInput for an unknown setting or a value outside its range.
    '''
    make.__name__ = make.__qualname__ = algorithm.upper()
    return make


def _tuned(algorithm: str, task: str) -> dict[str, Any]:
    """Return what the parameter file of a packaged task has for the algorithm, {} for others."""
    try:
        path: Path = parameter_file('tasks', task)
    except InvalidInput:
        return {}
    return values_of(algorithm, read_parameter_file(path, 'algorithm'))


SAC, TD3, DDPG, NAF = map(_agent_of, ('sac', 'td3', 'ddpg', 'naf'))
QTOpt = _agent_of('qt_opt')
