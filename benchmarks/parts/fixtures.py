# SPDX-License-Identifier: Apache-2.0
"""Fixtures of several parts: contracts and policies of any size, peers' spaces, timers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
import time
import timeit

import numpy as np

from rl_control.common.types import Column, Contract
from rl_control.environments.make import load_arm

OBSERVATION, ACTION = 17, 6  # columns, those of HalfCheetah and Walker2d


def contract(observation: int = OBSERVATION, action: int = ACTION) -> Contract:
    """Return a contract of that many columns, with actions from -1 to 1."""
    return Contract(
        robot='bench', task='bench', joint_names=(),
        observation=tuple(Column(f'observation_{k}', '1') for k in range(observation)),
        action=tuple(Column(f'action_{k}', '1') for k in range(action)),
        action_low=(-1.0,) * action, action_high=(1.0,) * action,
        command_interface='velocity', control_period=0.05)


def arm_at(robot: str, rate: float):
    """Return a reach by that arm, at another control rate in Hz."""
    found = load_arm(robot, 'reach')
    settings = replace(found.settings, control_rate=rate)
    return replace(found, settings=settings)


@cache
def exporter(made: Contract, hidden_sizes: tuple[int, ...]):
    """Return an exporter of a SAC policy with random weights and a fitted normaliser."""
    import torch

    from rl_control.learning.algorithms import make_agent, settings_of
    from rl_control.learning.export import Exporter

    torch.set_num_threads(1)
    agent = make_agent('sac', made, settings_of('sac')(
        hidden_sizes=hidden_sizes, observation_normalisation='fixed'))
    agent.observe(np.random.default_rng(0).normal(size=(1000, len(made.observation))))
    agent.policy.normaliser.freeze()
    return Exporter(agent.policy, made, 'sac', 'bench')


def policy_file(
    hidden_sizes: Sequence[int] = (256, 256), version: int = 1, made: Contract | None = None,
) -> bytes:
    """Return an ONNX policy file of this package, for `contract()` by default."""
    return exporter(made or contract(), tuple(hidden_sizes)).export(version, 0)


def spaces(observation: int = OBSERVATION, action: int = ACTION):
    """Return the Gymnasium spaces (observation, action) for peers."""
    import gymnasium

    return (gymnasium.spaces.Box(-np.inf, np.inf, (observation,), np.float32),
            gymnasium.spaces.Box(-1.0, 1.0, (action,), np.float32))


def per_call(call, number: int, scale: float = 1e6) -> float:
    """Return the mean time of one of `number` calls, in us by default."""
    return timeit.timeit(call, number=number) / number * scale


def each_call(call, number: int) -> np.ndarray:
    """Return the time (number,) of each call in us, which includes reading the clock."""
    times = np.empty(number + 1, np.int64)
    clock = time.perf_counter_ns
    for k in range(number):
        times[k] = clock()
        call()
    times[number] = clock()
    return np.diff(times) * 1e-3
