# SPDX-License-Identifier: Apache-2.0
"""Sampling settings: make transitions from the recorded topics of a robot."""

from collections.abc import Iterable
from dataclasses import dataclass

from rl_control.common.errors import InvalidInput
from rl_control.common.types import COMMAND_INTERFACES
from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class SamplingSettings(Settings):
    """Bag sampling: topics, time source, joint names, ages, and ends of episodes."""

    joint_states: str = setting('', 'topic of the joint states; empty: the only one of that name')
    command: str = setting('', 'topic of the commands; empty: the only topic of a supported type')
    goal_topic: str = setting('', 'topic of the goal; empty: the one named goal')
    goal: tuple[float, ...] = setting(
        (), 'one goal for the whole bag instead of a topic', unit='m')
    episode_topic: str = setting('', 'topic of std_msgs/Bool: an episode ends at each true')
    time: str = setting(
        'auto', 'time source of the messages', choices=('auto', 'header', 'receive'))
    trajectory_start: str = setting(
        'stamp', "begin of a JointTrajectory: its header's stamp (0: now), or always its receipt",
        choices=('stamp', 'receipt'))
    action: str = setting(
        'command', 'source of the actions', choices=('command', 'measured'))
    command_interface: str = setting(
        '', "command interface of arrays without names; empty: the robot's",
        choices=('', *COMMAND_INTERFACES))
    state_joints: tuple[str, ...] = setting((), 'joints of states without names, in order')
    command_joints: tuple[str, ...] = setting((), 'joints of commands without names, in order')
    rename: tuple[str, ...] = setting((), 'THEIRS=OURS for joint names of the states')
    rename_command: tuple[str, ...] = setting(
        (), 'THEIRS=OURS for joint names of the commands; empty: as for the states')
    max_age: float = setting(
        0.0, 'oldest state at a tick; 0: one control period', unit='s', low=0.0, high=60.0)
    command_age: float = setting(
        0.5, 'oldest command that is still in force', unit='s', low=0.0, high=3600.0)
    max_gap: float = setting(
        0.5, 'largest gap in the states within an episode, even between two ticks', unit='s',
        low=1e-3, high=3600.0)
    episode_period: float = setting(
        -1.0, "length of an episode; 0: no limit; -1: the task's, unless a topic ends episodes",
        unit='s', low=-1.0, high=1e6)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.goal) not in (0, 3):
            raise InvalidInput(f'goal has {len(self.goal)} numbers; give x, y and z in m')
        if self.goal and self.goal_topic:
            raise InvalidInput('a goal and a goal topic are given; give one of them')
        for name in ('rename', 'rename_command'):
            renaming(getattr(self, name))


def renaming(pairs: Iterable[str]) -> dict[str, str]:
    """Return THEIRS=OURS pairs as a mapping; raise InvalidInput for another form."""
    found: dict[str, str] = {}
    for pair in pairs:
        theirs, separator, ours = pair.partition('=')
        if not (separator and theirs and ours) or theirs in found or ours in found.values():
            raise InvalidInput(f'{pair!r} renames no joint; write THEIRS=OURS, each name once')
        found[theirs] = ours
    return found
