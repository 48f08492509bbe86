# SPDX-License-Identifier: Apache-2.0
"""Join the bags of one run: joint states in one, commands in another, merged by receive time."""

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from rl_control.bags.bag_reader import Bag
from rl_control.bags.bag_types import Losses, Raw, Topic
from rl_control.bags.robot_topics import command_topics, state_topics
from rl_control.bags.stream_merge import merged
from rl_control.common.errors import InvalidInput
from rl_control.config.sampling import SamplingSettings

STATES, COMMANDS = 'joint states', 'commands'


class JoinedBag(Bag):
    """
    Bags of one run, read as one bag in the order of receipt.

    `overlap` is the time in s for which both states and commands were received. The receive times
    must be of one clock.
    """

    def __init__(self, bags: Sequence[Bag], overlap: float) -> None:
        self.path = Path(' + '.join(str(bag.path) for bag in bags))  # for reports alone
        self.losses = Losses()
        self.overlap = overlap
        self.topics: dict[str, Topic] = {}
        self._bags = [Bag(bag.path, self.losses) for bag in bags]
        for bag in self._bags:
            for name, topic in bag.topics.items():
                known = self.topics.setdefault(name, topic)
                if known.type != topic.type:
                    self.losses.note(f'{bag.path}: has {name} as {topic.type}; another bag of the '
                                     f'run has it as {known.type}')

    @property
    def name(self) -> str:
        """Return the names of the bags."""
        return ' + '.join(bag.name for bag in self._bags)

    @property
    def size(self) -> int:
        """Return the size of all bags in bytes."""
        return sum(bag.size for bag in self._bags)

    @property
    def expected(self) -> dict[str, int]:
        """Return the number of messages by topic that the bags' metadata state together."""
        found: dict[str, int] = {}
        for bag in self._bags:
            for name, count in bag.expected.items():
                found[name] = found.get(name, 0) + count
        return found

    def messages(
        self, wanted: Collection[str] | None = None, *, ordered: bool = True,
    ) -> Iterator[Raw]:
        """
        Return the messages of all bags, merged by receipt.

        With `ordered` false each bag's messages come in the order of its files.
        """
        return merged([(0, lambda bag=bag: bag.messages(wanted, ordered=ordered))
                       for bag in self._bags])


class _Half(NamedTuple):
    """Bag that has joint states or commands alone, received from `first` to `last` in ns."""

    index: int
    bag: Bag
    has: str
    first: int
    last: int

    def overlap(self, other: '_Half') -> int:
        """Return the time in ns for which messages of both were received, 0 if for none."""
        return max(0, min(self.last, other.last) - max(self.first, other.first))

    def __str__(self) -> str:
        return (f'bag {self.bag.path} ({self.first * 1e-9:.3f} to {self.last * 1e-9:.3f} s) '
                f'lacks {COMMANDS if self.has == STATES else STATES}')


def join_runs(bags: Sequence[Bag], settings: SamplingSettings) -> list[Bag]:
    """
    Return the bags, those of states joined with those of commands that overlap with them.

    A run stands where its first bag was given. Raise InvalidInput where states and commands are in
    bags that do not overlap, or where two bags of one run have the same kind at the same time.
    """
    halves = [half for index, bag in enumerate(bags)
              if (half := _half(index, bag, settings)) is not None]
    if {half.has for half in halves} != {STATES, COMMANDS}:
        return list(bags)  # nothing to join: what a bag lacks is found when its topics are
    found = dict(enumerate(bags))
    alone: list[_Half] = []
    for run in _runs(halves):
        if len(run) == 1:
            alone += run
            continue
        for half in run:
            del found[half.index]
        overlap = sum(one.overlap(other) for one, other in combinations(run, 2))
        found[run[0].index] = JoinedBag([half.bag for half in run], overlap * 1e-9)
    if any(half.has == COMMANDS or settings.action != 'measured' for half in alone):
        raise InvalidInput(f'{", ".join(map(str, alone))}, and no bag given has them at that '
                           'time; give both bags of one run')
    return [found[index] for index in sorted(found)]


def _half(index: int, bag: Bag, settings: SamplingSettings) -> _Half | None:
    """Return the half of a run that the bag has; None if it has both parts or neither."""
    states, commands = state_topics(bag, settings), command_topics(bag, settings)
    if bool(states) == bool(commands):
        return None
    names = {topic.name for topic in states or commands}
    first, last = 0, 0
    with bag.losses.muted():  # the messages are read again
        for raw in bag.messages(names, ordered=False):
            first, last = min(first or raw.receipt, raw.receipt), max(last, raw.receipt)
    return _Half(index, bag, STATES if states else COMMANDS, first, last)


def _runs(halves: Sequence[_Half]) -> list[list[_Half]]:
    """
    Return the halves grouped by run, in the order given: states and commands that overlap.

    Raise InvalidInput if two halves of a run have the same at the same time.
    """
    runs: list[list[_Half]] = []
    for half in halves:
        near = [run for run in runs if any(
            other.has != half.has and other.overlap(half) for other in run)]
        runs = [run for run in runs if run not in near]
        runs.append(sorted([half, *(other for run in near for other in run)]))
    for run in runs:
        for one, other in combinations(run, 2):
            if one.has == other.has and one.overlap(other):
                raise InvalidInput(
                    f'bags {one.bag.path} and {other.bag.path} both have {one.has} of the same '
                    'time; give one of them')
    return sorted(runs)
