# SPDX-License-Identifier: Apache-2.0
"""How transitions are made from the topics of a robot."""

from collections.abc import Iterable
from dataclasses import dataclass

from rl_control.common.errors import InvalidInput
from rl_control.common.types import COMMAND_INTERFACES
from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class SamplingSettings(Settings):
    """Which topics mean what, whose time counts, how old a message may be, where episodes end."""

    joint_states: str = setting('', 'topic of the states; empty: the only one of that name')
    command: str = setting('', 'topic of the commands; empty: the only one that can be read')
    goal_topic: str = setting('', 'topic of the goal; empty: the one named goal')
    goal: tuple[float, ...] = setting(
        (), 'one goal for the whole bag instead of a topic', unit='m')
    episode_topic: str = setting('', 'topic of std_msgs/Bool: an episode ends at each true')
    time: str = setting('auto', 'whose time counts', choices=('auto', 'header', 'receive'))
    action: str = setting(
        'command', 'what is learned as action', choices=('command', 'measured'))
    command_interface: str = setting(
        '', 'what unnamed numbers command; empty: as the robot is commanded',
        choices=('', *COMMAND_INTERFACES))
    state_joints: tuple[str, ...] = setting((), 'joints of states that name none, in order')
    command_joints: tuple[str, ...] = setting((), 'joints of commands that name none, in order')
    rename: tuple[str, ...] = setting((), 'THEIRS=OURS for joint names of the states')
    rename_command: tuple[str, ...] = setting(
        (), 'THEIRS=OURS for joint names of the commands; empty: as for the states')
    max_age: float = setting(
        0.0, 'oldest state at a tick; 0: one control period', unit='s', low=0.0, high=60.0)
    command_age: float = setting(
        0.5, 'oldest command that still counts as in force', unit='s', low=0.0, high=3600.0)
    max_gap: float = setting(
        0.5, 'a longer gap in the states ends the episode even between two ticks', unit='s',
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
