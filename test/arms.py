# SPDX-License-Identifier: Apache-2.0
"""What the tests of the arm's side share: the arm, stand-ins for a policy, an exported one."""

from functools import cache
from types import SimpleNamespace

import numpy as np

from rl_control.environments.arm_model import Arm
from rl_control.environments.make import load_arm
from rl_control.learning.export import Exporter
from rl_control.policies.onnx_policy import OnnxPolicy


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
    """Return a small exported policy: every joint's speed has the sign of to_goal.x."""
    import torch

    from rl_control.learning.algorithms import make_agent, settings_of

    contract = load_arm(robot, 'reach').contract()
    settings = settings_of('sac')(hidden_sizes=(4, 4), observation_normalisation='none')
    policy = make_agent('sac', contract, settings).policy
    first, second, last = policy.actor[::2]
    to_goal = [column.name for column in contract.observation].index('to_goal.x')
    with torch.no_grad():
        for layer in (first, second, last):
            layer.weight.zero_()
            layer.bias.zero_()
        first.weight[:2, to_goal] = torch.tensor([1.0, -1.0])
        second.weight[:2, :2] = torch.eye(2)
        last.weight[:len(contract.action), 0] = 5.0
        last.weight[:len(contract.action), 1] = -5.0
    first = (version, run, robot) == (1, 'run-1', 'iiwa')
    template = None if first else exported().data  # tracing takes seconds
    return OnnxPolicy(Exporter(policy, contract, 'sac', run, template).export(version, 0))
