# SPDX-License-Identifier: Apache-2.0
"""What the tests of the arm's side share: the arm, stand-ins for a policy, an exported one."""

from functools import cache
from types import SimpleNamespace

import numpy as np

from rl_control.arm import Arm
from rl_control.environments.make import load_arm
from rl_control.export import Exporter
from rl_control.policy import OnnxPolicy


@cache
def iiwa() -> Arm:
    """Return the default arm and task."""
    return load_arm('iiwa', 'reach')


@cache
def panda() -> Arm:
    """Return another arm with the same task."""
    return load_arm('panda', 'reach')


def acting(act, version: int = 1) -> SimpleNamespace:
    """Return what stands in for a policy: `act` of the observation."""
    return SimpleNamespace(
        act=lambda observation: (np.asarray(act(observation), dtype=float), np.nan),
        version=version, run='stand-in', contract=iiwa().contract())


@cache
def exported(version: int = 1, run: str = 'run-1', robot: str = 'iiwa') -> OnnxPolicy:
    """Return a small exported policy of random weights for an arm."""
    import torch

    from rl_control.algorithms import make_agent, settings_of

    torch.manual_seed(0)
    contract = load_arm(robot, 'reach').contract()
    settings = settings_of('sac')(hidden_sizes=(16, 16))
    agent = make_agent('sac', contract, settings)
    return OnnxPolicy(Exporter(agent.policy, contract, 'sac', run).export(version, 0))
