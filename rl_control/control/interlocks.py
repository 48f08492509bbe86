# SPDX-License-Identifier: Apache-2.0
"""Interlocks: conditions that must hold for the arm to move (estop, protective stop)."""

from collections.abc import Collection, Set
import math
from typing import Protocol

UNKNOWN_PUBLISHER = b''  # of a message whose publisher the middleware does not name


class Interlock(Protocol):
    """A condition that can stop the arm or keep it from starting."""

    def fault(self, now: float) -> str:
        """Return why the arm must stop at `now` s of time.monotonic(), or ''."""

    def waiting_for(self, now: float) -> str:
        """Return what is missing before the first motion, or ''."""


class BoolInterlock:
    """
    A Bool from one or more publishers, any of which can stop the arm.

    `forbidden` is the value that stops it and `reason` the sentence to report. With a `heartbeat`
    in s, messages must arrive that often once the first has arrived. Latching is left to the
    controller: when a publisher withdraws its value, the arm may be resumed, but does not resume
    by itself. One thread may `receive` while another reads.
    """

    def __init__(self, name: str, forbidden: bool, reason: str, heartbeat: float = 0.0) -> None:
        self.name = name
        self._forbidden = forbidden
        self._reason = reason
        self._heartbeat = heartbeat
        self._values: dict[bytes, bool] = {}
        self._publisher_count = 1
        self._received_at = -math.inf

    def receive(self, now: float, publisher: bytes, value: bool) -> str:
        """
        Store a publisher's value; return why the arm must stop, or ''.

        While there are several publishers, UNKNOWN_PUBLISHER cannot release the arm: another of
        them may have sent the value that stops it.
        """
        if (publisher != UNKNOWN_PUBLISHER or value == self._forbidden
                or self._publisher_count <= 1):
            self._values[publisher] = value
        self._received_at = now
        return self.fault(now)

    @property
    def publishers(self) -> Set[bytes]:
        """Return the publishers whose value is stored."""
        return frozenset(self._values)

    def forget_absent(self, present: Collection[bytes], known: Set[bytes]) -> None:
        """Drop the values of those `known` publishers that are not `present` any more."""
        self._publisher_count = len(present)
        for gone in known - set(present) - ({UNKNOWN_PUBLISHER} if present else set()):
            del self._values[gone]

    def fault(self, now: float) -> str:
        """Return why the arm must stop, or ''."""
        if self._forbidden in list(self._values.values()):
            return self._reason
        age = now - self._received_at
        if self._heartbeat and self._heartbeat < age < math.inf:
            return f'no heartbeat on {self.name} for {age:.3f} s'
        return ''

    def waiting_for(self, now: float) -> str:
        """Return that the first heartbeat is missing, or ''."""
        if self._heartbeat and now - self._received_at > self._heartbeat:
            return f'waiting for a heartbeat on {self.name}'
        return ''


class SubscriberInterlock:
    """A controller must subscribe to the commands; the owner keeps `present` up to date."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.present = False

    def fault(self, now: float) -> str:
        """Return '': discovery is slow; the tracking limit notices a lost controller earlier."""
        return ''

    def waiting_for(self, now: float) -> str:
        """Return that no controller subscribes yet, or ''."""
        return '' if self.present else f'waiting for a controller that subscribes to {self.topic}'


class PublisherInterlock:
    """A topic must have a publisher; the owner keeps `present` up to date."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._present = self._seen = False

    @property
    def present(self) -> bool:
        """Return True if the topic has a publisher."""
        return self._present

    @present.setter
    def present(self, present: bool) -> None:
        self._present = present
        self._seen |= present

    def fault(self, now: float) -> str:
        """Return that the publisher has gone, or ''."""
        gone = self._seen and not self._present
        return f'the topic {self.topic} has no publisher any more' if gone else ''

    def waiting_for(self, now: float) -> str:
        """Return that no publisher is there yet, or ''."""
        return '' if self._present else f'waiting for a publisher of {self.topic}'
