# SPDX-License-Identifier: Apache-2.0
"""What people and drivers say about whether the arm may move: estop, protective stop."""

from collections.abc import Collection, Set
import math
from typing import Protocol

ANYBODY = b''  # a publisher that cannot be told from the others


class Interlock(Protocol):
    """Something that may forbid the arm to move."""

    def fault(self, now: float) -> str:
        """Return why the arm must stop at `now` s of time.monotonic(), or ''."""

    def awaited(self, now: float) -> str:
        """Return what must come before the first motion, or ''."""


class BoolInterlock:
    """
    A truth value that several publishers may tell, each for itself: any of them forbids.

    `forbids` is the value that does; `said` is the sentence then. With a `heartbeat` in s some
    publisher must speak that often, after it spoke first. Latching is the driver's, not here: a
    publisher that takes its word back allows a resume, and nothing else. One thread may `receive`
    while another looks.
    """

    def __init__(self, name: str, forbids: bool, said: str, heartbeat: float = 0.0) -> None:
        self.name = name
        self._forbids = forbids
        self._said = said
        self._heartbeat = heartbeat
        self._told: dict[bytes, bool] = {}
        self._present = 1
        self._heard = -math.inf

    def receive(self, now: float, publisher: bytes, value: bool) -> str:
        """
        Note what a publisher says; return why the arm must stop, or ''.

        ANYBODY takes nothing back while several are there: it may be another who forbids.
        """
        if publisher != ANYBODY or value == self._forbids or self._present <= 1:
            self._told[publisher] = value
        self._heard = now
        return self.fault(now)

    @property
    def spoke(self) -> Set[bytes]:
        """Return who has spoken and is not forgotten."""
        return frozenset(self._told)

    def keep(self, present: Collection[bytes], spoke: Set[bytes]) -> None:
        """Forget what those of `spoke` said who are not present; their last word has counted."""
        self._present = len(present)
        for gone in spoke - set(present) - ({ANYBODY} if present else set()):
            del self._told[gone]

    def fault(self, now: float) -> str:
        """Return why the arm must stop, or ''."""
        if self._forbids in list(self._told.values()):
            return self._said
        silent = now - self._heard
        if self._heartbeat and self._heartbeat < silent < math.inf:
            return f'no heartbeat on {self.name} for {silent:.3f} s'
        return ''

    def awaited(self, now: float) -> str:
        """Return that the first heartbeat is waited for, or ''."""
        if self._heartbeat and now - self._heard > self._heartbeat:
            return f'waiting for a heartbeat on {self.name}'
        return ''


class SubscriberInterlock:
    """Somebody who takes the commands; its owner keeps `present` up to date."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.present = False

    def fault(self, now: float) -> str:
        """Return '': that it is gone is noticed late, that the arm does not follow at once."""
        return ''

    def awaited(self, now: float) -> str:
        """Return that nobody takes the commands yet, or ''."""
        return '' if self.present else f'waiting for a controller that takes {self.topic}'


class PublisherInterlock:
    """Somebody who must publish a topic; its owner keeps `present` up to date."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._present = self._seen = False

    @property
    def present(self) -> bool:
        """Say whether anybody publishes the topic."""
        return self._present

    @present.setter
    def present(self, present: bool) -> None:
        self._present = present
        self._seen |= present

    def fault(self, now: float) -> str:
        """Return that nobody is there any more, or ''."""
        gone = self._seen and not self._present
        return f'nobody publishes the topic {self.topic} any more' if gone else ''

    def awaited(self, now: float) -> str:
        """Return that nobody is there yet, or ''."""
        return '' if self._present else f'waiting for somebody who publishes {self.topic}'
