# SPDX-License-Identifier: Apache-2.0
"""Summary of a bag: topics, time quality and losses, without a robot or a task."""

from typing import Any

from rl_control.bags.bag_reader import Bag
from rl_control.bags.decoding import BEGIN_STAMPED, Decoder, Unusable
from rl_control.bags.joint_mapping import COMMANDS, FLAG, GOAL
from rl_control.bags.time_quality import TopicTime


def survey(bag: Bag) -> dict[str, Any]:
    """
    Return the topics of a bag, their time quality, and the messages that could not be read.

    Every message is read once. Messages of the types that transitions are made from are decoded,
    so that the summary counts those that fail.
    """
    decoder = Decoder(bag.topics)
    times = {name: TopicTime(begins=topic.type in BEGIN_STAMPED)
             for name, topic in bag.topics.items()}
    usable = {GOAL, FLAG, *COMMANDS}
    first = last = None
    for raw in bag.messages():
        times[raw.topic.name].add(raw.receipt, decoder.stamp(raw))
        first, last = (raw.receipt if first is None else first), raw.receipt
        if raw.topic.type in usable and raw.topic.encoding == 'cdr':
            try:
                decoder.decode(raw)
            except Unusable as error:
                bag.losses.count(raw.topic.name, str(error))
    compare_counts(bag, {name: time.count for name, time in times.items()})
    return {
        'bag': str(bag.path),
        'bytes': bag.size,
        'duration': 0.0 if first is None else (last - first) * 1e-9,
        'messages': sum(time.count for time in times.values()),
        'topics': [
            {'name': name, 'type': topic.type, 'encoding': topic.encoding,
             'read_here': topic.type in usable and topic.encoding == 'cdr',
             **times[name].figures()}
            for name, topic in sorted(bag.topics.items())
        ],
        'losses': bag.losses.figures(),
    }


def compare_counts(bag: Bag, read: dict[str, int]) -> None:
    """Note each topic for which metadata.yaml states another number of messages than were read."""
    for name, count in bag.expected.items():
        if name in read and read[name] != count:
            bag.losses.note(
                f'{name}: metadata.yaml states {count} messages; {read[name]} were read')
