# SPDX-License-Identifier: Apache-2.0
"""Robot topics: turn a bag's messages into events in the order of the chosen clock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rl_control.bags.bag_reader import Bag
from rl_control.bags.bag_types import Raw, Topic, same_topic
from rl_control.bags.decoding import BEGIN_STAMPED, Decoder, Unusable
from rl_control.bags.joint_mapping import (
    COMMANDS,
    FLAG,
    GOAL,
    JOINT_STATE,
    TABLE,
    Joints,
    Path,
    Setpoint,
    goal_pose,
    measured_state,
)
from rl_control.bags.stream_merge import in_order
from rl_control.bags.time_quality import TopicTime
from rl_control.bags.time_source import HEADER, Clock, choose_clock
from rl_control.common.errors import InvalidInput
from rl_control.common.types import COMMAND_INTERFACES
from rl_control.config.sampling import SamplingSettings, renaming
from rl_control.environments.arm_model import Arm

STATE, COMMAND, GOAL_SET, EPISODE_END = 'state', 'command', 'goal', 'episode end'


class Event(NamedTuple):
    """Value that is valid from `time` ns on: `kind` is one of the four above."""

    time: int
    kind: str
    value: Setpoint | Path | np.ndarray | bool


@dataclass
class RobotTopics:
    """Topics of one arm in one bag, found and checked before resampling."""

    bag: Bag
    decoder: Decoder
    states: Topic
    command: Topic | None
    goal: Topic | None
    episode_end: Topic | None
    state_joints: Joints
    command_joints: Joints
    clock: Clock
    begins: bool  # whether stamps of commands say when these begin
    frames: tuple[str, ...]  # names of the base frame
    times: dict[str, TopicTime] = field(default_factory=dict)

    @classmethod
    def find(cls, bag: Bag, arm: Arm, settings: SamplingSettings) -> 'RobotTopics':
        """Return the topics that the settings name; raise InvalidInput if ambiguous."""
        decoder = Decoder(bag.topics)
        states = bag.find(settings.joint_states or None, {JOINT_STATE}, '/joint_states',
                          '--joint-states')
        command = _find_command(bag, settings, states)
        goal = None
        if not settings.goal:
            goal = bag.find(settings.goal_topic or None, {GOAL}, '/goal',
                            '--goal x y z or --goal-topic')
        end = None
        if settings.episode_topic:
            end = bag.find(settings.episode_topic, {FLAG}, '', '--episode-topic')
        for topic, types in ((states, {JOINT_STATE}), (command, COMMANDS), (goal, {GOAL}),
                             (end, {FLAG})):
            _require_readable(topic, types)
        interface = _interface(arm, settings, command)
        names = arm.settings.joint_names
        rename = renaming(settings.rename)
        timed = [states] if command is None else [states, command]
        return cls(
            bag, decoder, states, command, goal, end,
            Joints(names, rename, settings.state_joints),
            Joints(names, renaming(settings.rename_command) or rename, settings.command_joints,
                   interface),
            choose_clock(bag, decoder, timed, settings.time),
            command is not None and command.type in BEGIN_STAMPED
            and settings.trajectory_start == 'stamp', arm.frames)

    def events(self) -> Iterator[Event]:
        """Return the events in the order of the chosen time."""
        if self.clock.kind != HEADER:
            return self._events()

        def late(event: Event, _: int) -> None:
            topic = self.states if event.kind == STATE else self.command
            self.bag.losses.count(topic.name, 'has a stamp more than 1 s behind those before it')

        return in_order(self._events(), late)

    def _events(self) -> Iterator[Event]:
        used = {topic.name: topic for topic in (
            self.states, self.command, self.goal, self.episode_end) if topic is not None}
        self.times = {
            name: TopicTime(begins=topic.type in BEGIN_STAMPED) for name, topic in used.items()}
        header = self.clock.kind == HEADER
        newest: tuple[int, int] | None = None  # receipt and stamp of the newest state
        waiting: list[tuple[Event, int | None]] = []  # of topics whose stamps do not order them
        for raw in self.bag.messages(used):
            stamp = self.decoder.stamp(raw)
            self.times[raw.topic.name].add(raw.receipt, stamp)
            state = raw.topic.name == self.states.name
            command = self.command is not None and raw.topic.name == self.command.name
            timed = state or (command and raw.topic.type not in BEGIN_STAMPED)
            time = stamp if header and timed else raw.receipt
            try:
                if not time and (timed or (command and not header)):
                    raise Unusable('has no stamp' if header else 'has receive time 0')
                event = Event(time or 0, *self._read(raw))
            except Unusable as error:
                self.bag.losses.count(raw.topic.name, str(error))
                continue
            begin = stamp if command and self.begins else None
            if header and not timed:
                waiting.append((event, begin))
                continue
            for early, its_begin in waiting if state else ():
                at = _between(newest, early.time, event.time)
                yield from self._begun(early._replace(time=at), its_begin, at)
            if state:
                waiting.clear()
                newest = None if stamp is None else (raw.receipt, stamp)
            offset = 0 if newest is None else newest[1] - newest[0]  # from receipts to stamps
            yield from self._begun(event, begin, raw.receipt + offset)

    def _begun(self, event: Event, begin: int | None, now: int) -> Iterator[Event]:
        """Return the event, a trajectory shifted to its stamp `begin`, both of the same clock."""
        if begin is not None:
            try:
                event = event._replace(value=event.value.begun((begin - now) * 1e-9))
            except Unusable as error:
                self.bag.losses.count(self.command.name, str(error))
                return
        yield event

    def _read(self, raw: Raw) -> tuple[str, Setpoint | Path | np.ndarray | bool]:
        message = self.decoder.decode(raw)
        if raw.topic.name == self.states.name:
            return STATE, measured_state(message, self.state_joints)
        if self.command is not None and raw.topic.name == self.command.name:
            return COMMAND, COMMANDS[raw.topic.type](message, self.command_joints)
        if self.goal is not None and raw.topic.name == self.goal.name:
            return GOAL_SET, goal_pose(message, self.frames)
        return EPISODE_END, bool(message.data)


def _between(newest: tuple[int, int] | None, receipt: int, next_stamp: int) -> int:
    """Return the stamped time of a receipt between two states, at the later one if in doubt."""
    if newest is None or receipt <= newest[0]:
        return next_stamp
    return min(newest[1] + receipt - newest[0], next_stamp)


def command_topics(bag: Bag, settings: SamplingSettings) -> list[Topic]:
    """Return the topics that may be the commands: the named one, else those of their types."""
    if settings.command:
        return bag.matching(settings.command, set(COMMANDS), '')
    return [topic for topic in bag.topics.values()
            if topic.type in COMMANDS and topic.type != JOINT_STATE and not _ours(topic)]


def state_topics(bag: Bag, settings: SamplingSettings) -> list[Topic]:
    """Return the topics that may be the joint states and are not those of the commands."""
    found = bag.matching(settings.joint_states or None, {JOINT_STATE}, '/joint_states')
    return [topic for topic in found
            if not (settings.command and same_topic(topic.name, settings.command))]


def _find_command(bag: Bag, settings: SamplingSettings, states: Topic) -> Topic | None:
    if settings.command:
        return bag.find(settings.command, set(COMMANDS), '', '--command')
    others = command_topics(bag, settings)
    if len(others) == 1:
        return others[0]
    if settings.action == 'measured':
        return None
    known = [topic.name for topic in bag.topics.values()
             if topic.type in COMMANDS and topic.name != states.name and not _ours(topic)]
    raise InvalidInput(
        f'bag {bag.path} has {len(others) or "no"} topics of commands that can be read; '
        + (f'choose with --command from: {", ".join(known)}' if known else
           'with --action measured the measured velocity is learned instead'))


def _ours(topic: Topic) -> bool:
    """Return True if an array is a table of this package rather than values for joints."""
    return topic.type == TABLE and topic.name.strip('/').endswith(
        ('transitions', 'transitions/ack', 'episodes'))


def _require_readable(topic: Topic | None, types: object) -> None:
    if topic is None:
        return
    if topic.encoding != 'cdr':
        raise InvalidInput(
            f'topic {topic.name} is encoded as {topic.encoding}; only cdr is read, so '
            'convert the bag first'
        )
    if topic.type not in types:
        raise InvalidInput(f'topic {topic.name} is of type {topic.type}; supported types are '
                      f'{", ".join(sorted(types))}')


def _interface(arm: Arm, settings: SamplingSettings, command: Topic | None) -> str:
    """
    Return the command interface of values without names.

    Raise InvalidInput where it is ambiguous, or effort.
    """
    if command is None:
        return ''
    interface = settings.command_interface or arm.settings.command_interface
    if not settings.command_interface and 'MultiArray' in command.type:
        named = [word for word in COMMAND_INTERFACES if word in command.name]
        if named and interface not in named:
            raise InvalidInput(
                f'topic {command.name} names {named[0]} but robot {arm.settings.name} is '
                f'commanded by {interface}; choose it with --command-interface')
    if interface == 'effort' and settings.action != 'measured':
        raise InvalidInput(
            f'topic {command.name} commands effort, from which no velocity follows; '
            'with --action measured the measured velocity is learned instead')
    return interface
