# SPDX-License-Identifier: Apache-2.0
"""Gymnasium environment of a Minari dataset: the specification that others make it again by."""

from dataclasses import replace

from gymnasium.envs.registration import EnvSpec, spec

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.environments.gymnasium import STEP_LIMIT, GymnasiumEnvironment
from rl_control.environments.gymnasium_ids import IDS, NAMESPACE
from rl_control.environments.make import GYMNASIUM_PREFIX, load_arm


def specification(contract: Contract) -> EnvSpec:
    """
    Return how Gymnasium makes the environment of `contract`, with a limit of steps.

    Raise InvalidInput where it cannot, or where what it makes has another contract.
    """
    if contract.robot.startswith(GYMNASIUM_PREFIX):
        return _of_gymnasium(contract)
    task = contract.task
    if task not in IDS.values():
        raise InvalidInput(f'the task {task!r} is not registered with Gymnasium')
    arm = load_arm(contract.robot, task)
    _require_same(contract, arm.contract())
    key = next(name for name, value in IDS.items() if value == task)
    found = spec(f'{NAMESPACE}/{key}-v0')
    steps = round(arm.task.settings.episode_period / arm.control_period)
    return replace(
        found, max_episode_steps=steps, kwargs={**found.kwargs, 'robot': contract.robot})


def _of_gymnasium(contract: Contract) -> EnvSpec:
    world = GymnasiumEnvironment(contract.robot.removeprefix(GYMNASIUM_PREFIX))
    world.close()
    _require_same(contract, world.contract)
    if world.spec is None or any('.' in column.name for column in contract.observation):
        raise InvalidInput('its observations are a dictionary, those of the dataset are not')
    return replace(
        world.spec, max_episode_steps=world.spec.max_episode_steps or STEP_LIMIT)


def _require_same(contract: Contract, other: Contract) -> None:
    if contract.hash != other.hash:
        raise InvalidInput(
            f'{contract.robot} with the task {contract.task} has another contract here')
