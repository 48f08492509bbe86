# SPDX-License-Identifier: Apache-2.0
"""Gymnasium environment of a Minari dataset: how it is made again, and its contract."""

from dataclasses import replace

from gymnasium.envs.registration import EnvSpec, registry, spec
from gymnasium.spaces import Box, Space
import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Column, Contract, finite
from rl_control.environments.gymnasium import STEP_LIMIT, GymnasiumEnvironment
from rl_control.environments.gymnasium_ids import IDS, NAMESPACE
from rl_control.environments.gymnasium_name import format_name, parse_name
from rl_control.environments.make import GYMNASIUM_PREFIX, load_arm

RATE = 20.0  # Hz, of a dataset whose environment is not installed
# Wrappers that change neither observations nor actions nor rewards.
NEUTRAL_WRAPPERS = (
    'HumanRendering', 'OrderEnforcing', 'PassiveEnvChecker', 'RecordEpisodeStatistics',
    'RecordVideo', 'RenderCollection')


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


def contract_of(
    name: str, observation_space: Space, action_space: Space, recorded_in: EnvSpec | None,
) -> tuple[Contract, list[str]]:
    """
    Return the contract of the dataset `name`, and in sentences how it differs from Gymnasium's.

    It is the contract of the same environment, with the arguments and the limit of steps that
    were recorded, where Gymnasium can make that. Else the robot is `minari:NAME`, so that its
    policies do not act in another environment; action bounds are always the dataset's. Raise
    InvalidInput unless both spaces are vectors and the actions have finite bounds.
    """
    for what, space in (('observation', observation_space), ('action', action_space)):
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise InvalidInput(
                f'Minari dataset {name!r} has the {what}s {space}; choose one whose '
                'observations and actions are vectors')
    with np.errstate(over='ignore'):
        span = np.subtract(action_space.high, action_space.low, dtype=np.float32)
    if not finite(span).all():
        raise InvalidInput(
            f'Minari dataset {name!r} has the actions {action_space}, too wide to be scaled; '
            'choose one with finite bounds')
    own = Contract(
        robot=f'minari:{name}',
        task=recorded_in.id if recorded_in is not None else name,
        joint_names=(),
        observation=tuple(
            Column(f'observation{i}', '1') for i in range(observation_space.shape[0])),
        action=tuple(Column(f'action{i}', '1') for i in range(action_space.shape[0])),
        action_low=tuple(float(bound) for bound in action_space.low),
        action_high=tuple(float(bound) for bound in action_space.high),
        command_interface='effort',
        control_period=1.0 / RATE,
    )
    if recorded_in is None:
        return own, [f'no environment is named; a rate of {RATE:g} Hz is assumed']
    try:
        world = GymnasiumEnvironment(environment_name(recorded_in))
        world.close()
    except InvalidInput as error:
        return own, [f'{error}; a rate of {RATE:g} Hz is assumed']
    said = _differences(own, world.contract, recorded_in)
    if said:
        return replace(own, control_period=world.contract.control_period), said
    return world.contract, []


def environment_name(recorded_in: EnvSpec) -> str:
    """
    Return the name, `ID?NAME=VALUE`, that GymnasiumEnvironment takes for what was recorded.

    Arguments are named that differ from the registered ones, among them the limit of steps.
    """
    registered = registry.get(recorded_in.id)
    usual = registered.kwargs if registered is not None else {}
    arguments = {key: value for key, value in recorded_in.kwargs.items()
                 if key != 'render_mode' and (key not in usual or usual[key] != value)}
    if registered is not None and recorded_in.max_episode_steps not in (
            None, registered.max_episode_steps):
        arguments['max_episode_steps'] = recorded_in.max_episode_steps
    name = format_name(recorded_in.id, arguments)
    if parse_name(name)[2] != arguments:
        raise InvalidInput(f'{name!r} does not name its arguments {arguments} exactly')
    return name


def _differences(own: Contract, other: Contract, recorded_in: EnvSpec) -> list[str]:
    """Return in sentences what keeps policies of the dataset from `other`."""
    said = []
    wrappers = [wrapper.name for wrapper in recorded_in.additional_wrappers
                if wrapper.name not in NEUTRAL_WRAPPERS]
    if wrappers:
        said.append(f'recorded through {", ".join(wrappers)}, which {other.robot} lacks')
    if len(own.observation) != len(other.observation):
        said.append(f'{len(own.observation)} observations, {other.robot} has '
                    f'{len(other.observation)}')
    bounds = [(one.action_low, one.action_high) for one in (own, other)]
    if bounds[0] != bounds[1]:
        said.append(f'actions from {list(own.action_low)} to {list(own.action_high)}, those of '
                    f'{other.robot} are {list(other.action_low)} to {list(other.action_high)}')
    if said:
        said.append(f'its robot is therefore {own.robot}')
    return said
