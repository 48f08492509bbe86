# SPDX-License-Identifier: Apache-2.0
"""Clock of a bag: header stamps or receipt times."""

from dataclasses import dataclass, field

import numpy as np

from rl_control.bags.bag_reader import Bag
from rl_control.bags.bag_types import Topic
from rl_control.bags.decoding import BEGIN_STAMPED, Decoder
from rl_control.common.errors import InvalidInput

SAMPLED_MESSAGES = 20_000  # messages that are examined
MAX_CLOCK_DIFFERENCE = 0.05  # s: topics that differ by more have different clocks
BACKWARD = 0.01  # share of stamps that may go back
HEADER, RECEIVE = 'header', 'receive'


@dataclass(frozen=True)
class Clock:
    """
    Chosen clock, `header` or `receive`, and the reason.

    `pace`: s of the joint states' own clock that pass in one of the chosen.
    """

    kind: str
    why: str
    pace: float = 1.0


@dataclass
class _Times:
    """Sampled times of one topic, in ns."""

    receipts: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    stamped_receipts: list[int] = field(default_factory=list)


def choose_clock(bag: Bag, decoder: Decoder, topics: list[Topic], asked: str) -> Clock:
    """
    Return the clock asked for, or for `auto` the better one; raise InvalidInput if unusable.

    The first of `topics` is that of the joint states. Stamps that say when a command begins do not
    order its topic: in header time such a command counts from the next joint state.
    """
    with bag.losses.muted():  # the messages are read again
        times = _sample_times(bag, decoder, topics)
    timed = [topic for topic in topics if topic.type not in BEGIN_STAMPED]
    no_header = next(filter(None, (_no_stamps(topic, times[topic.name]) for topic in timed)), '')
    no_header = no_header or _apart(timed, times)
    receipts = times[topics[0].name].receipts
    constant = len(receipts) > 1 and receipts[0] == receipts[-1]
    if asked == 'auto' and not (no_header or constant):
        no_header = next(filter(None, (
            _begin_now(topic, times[topic.name]) for topic in topics if topic not in timed)), '')
    if asked == RECEIVE or (asked == 'auto' and no_header):
        if constant:
            raise InvalidInput(f'bag {bag.path} has one receive time for all of {topics[0].name}, '
                          f'{receipts[0] * 1e-9:.10g} s'
                          + (f', and {no_header}' if no_header else '; use --time header'))
        return Clock(RECEIVE, no_header if asked == 'auto' else 'asked for',
                     _pace(times[topics[0].name]))
    if asked == HEADER and no_header:
        raise InvalidInput(f'header time is asked for, but {no_header}; use --time receive')
    if asked == HEADER:
        return Clock(HEADER, 'asked for')
    if constant:
        return Clock(HEADER, f'the receive times are constant, {receipts[0] * 1e-9:.10g} s')
    if len(timed) < len(topics):
        return Clock(HEADER, f'the stamps of {topics[0].name} advance, and those of the '
                     'trajectories say when each begins')
    return Clock(HEADER, 'the stamps of all topics advance and are of one clock')


def _pace(times: _Times) -> float:
    """Return the s of stamped time that pass in one of receipt, 1 where that is unknown."""
    if len(times.stamps) < 2:
        return 1.0
    received = times.stamped_receipts[-1] - times.stamped_receipts[0]
    stamped = times.stamps[-1] - times.stamps[0]
    return stamped / received if stamped > 0 and received > 0 else 1.0


def _sample_times(bag: Bag, decoder: Decoder, topics: list[Topic]) -> dict[str, _Times]:
    times = {topic.name: _Times() for topic in topics}
    for number, raw in enumerate(bag.messages(times, ordered=False)):
        found = times[raw.topic.name]
        found.receipts.append(raw.receipt)
        stamp = decoder.stamp(raw)
        if stamp is not None:
            found.stamps.append(stamp)
            found.stamped_receipts.append(raw.receipt)
        if number >= SAMPLED_MESSAGES:
            break
    return times


def _begin_now(topic: Topic, times: _Times) -> str:
    """Return the reason if trajectories begin when they are received, else ''."""
    now = len(times.receipts) - len(times.stamps)
    return '' if not now else (
        f'{now} of {len(times.receipts)} trajectories of {topic.name} have stamp 0 and begin when '
        'they are received')


def _no_stamps(topic: Topic, times: _Times) -> str:
    """Return the reason why the stamps of a topic cannot order it, or ''."""
    stamps = np.array(times.stamps)
    if not len(stamps):
        return f'{topic.name} carries no stamps'
    if len(stamps) < len(times.receipts):
        return f'{len(times.receipts) - len(stamps)} messages of {topic.name} carry no stamp'
    steps = np.diff(stamps)
    if len(steps) and not steps.any():
        return f'the stamps of {topic.name} never change'
    if len(steps) and (steps < 0).mean() > BACKWARD:
        return f'{(steps < 0).mean():.0%} of the stamps of {topic.name} go back'
    return ''


def _apart(topics: list[Topic], times: dict[str, _Times]) -> str:
    """
    Return the difference if two topics' stamps belong to different clocks, else ''.

    The offset (receipt - stamp) may drift, as in a slow simulation, but equally in both topics.
    """
    offsets = []
    for topic in topics:
        found = times[topic.name]
        receipts = np.array(found.stamped_receipts)
        offsets.append((receipts, (receipts - np.array(found.stamps)) * 1e-9))
    for topic, (receipts, offset) in zip(topics[1:], offsets[1:], strict=True):
        order = np.argsort(offsets[0][0], kind='stable')
        there = np.interp(receipts, offsets[0][0][order], offsets[0][1][order])
        if (
            len(offset)
            and (apart := float(np.median(np.abs(offset - there)))) > MAX_CLOCK_DIFFERENCE
        ):
            return (f'the stamps of {topics[0].name} and {topic.name} are {apart:.3g} s apart '
                    'where both were received')
    return ''
