# SPDX-License-Identifier: Apache-2.0
"""What a bag gives before anything is decoded, and the account of what it does not give."""

from dataclasses import dataclass, field
from typing import NamedTuple

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of a bag: `definition` is the message's text where the bag has one, else ''."""

    name: str
    type: str
    encoding: str
    definition: str = ''


class Raw(NamedTuple):
    """One message: `receipt` in ns is when the recorder took it, `data` is as it was sent."""

    receipt: int
    topic: Topic
    data: bytes


@dataclass
class Losses:
    """
    What could not be read: `notes` about files, `messages` counted by (topic, reason).

    Whoever leaves a message out says so here, so that nothing is skipped silently.
    """

    notes: list[str] = field(default_factory=list)
    messages: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, sentence: str) -> None:
        """Say once what is wrong with a file."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def count(self, topic: str, reason: str, number: int = 1) -> None:
        """Count messages of `topic` that are not used for `reason`."""
        self.messages[topic, reason] = self.messages.get((topic, reason), 0) + number

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
    """Say whether two names mean one topic: some recorders leave the leading slash out."""
    return one.strip('/') == other.strip('/')
