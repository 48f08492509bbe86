# SPDX-License-Identifier: Apache-2.0
"""Types of the bag readers: topic, raw message, and the count of losses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


@dataclass(frozen=True, slots=True)
class Topic:
    """Topic of a bag: `definition` is the message's text where the bag has one, else ''."""

    name: str
    type: str
    encoding: str
    definition: str = ''


class Raw(NamedTuple):
    """Undecoded message: `receipt` is when the recorder received it, in ns; `data` is as sent."""

    receipt: int
    topic: Topic
    data: bytes


@dataclass
class Losses:
    """
    Account of what was not used: `notes` about files, `messages` counted by (topic, reason).

    Code that leaves a message out counts it here, so that no message is skipped silently.
    """

    notes: list[str] = field(default_factory=list)
    messages: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, sentence: str) -> None:
        """Add a sentence about a file once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def count(self, topic: str, reason: str, number: int = 1) -> None:
        """Count messages of `topic` that are not used for `reason`."""
        self.messages[topic, reason] = self.messages.get((topic, reason), 0) + number

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Forget what is noted and counted within: for a first look at what is read again."""
        notes, messages = list(self.notes), dict(self.messages)
        try:
            yield
        finally:
            self.notes[:] = notes
            self.messages.clear()
            self.messages.update(messages)

    def figures(self) -> dict[str, list]:
        """Return plain values for a report."""
        return {
            'files': list(self.notes),
            'messages': [
                {'topic': topic, 'reason': reason, 'count': count}
                for (topic, reason), count in sorted(self.messages.items())
            ],
        }


def same_topic(one: str, other: str) -> bool:
    """Return True if two names mean one topic: some recorders omit the leading slash."""
    return one.strip('/') == other.strip('/')
