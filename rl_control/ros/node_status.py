# SPDX-License-Identifier: Apache-2.0
"""What is known of a graph that is watched, as rows of a table. No ROS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_control.common.episode import EVALUATION, TRAINING

SILENT = 3.0  # s without a word after which a node is said to be silent
RECENT = 50  # exploring episodes that count
NAMES = 1000  # of nodes or metrics that are kept; anybody may say any
LENGTH = 400  # characters of a word, and of all its values


@dataclass(frozen=True)
class Said:
    """What a node said last, and when (s, steady clock)."""

    level: str
    message: str
    values: str
    at: float


class Watching:
    """Keeps the newest word of each node, and of the newest evaluation."""

    def __init__(self) -> None:
        self._said: dict[str, Said] = {}
        self._exploring: list[bool | None] = []
        self._evaluation: tuple[int, list[bool | None]] = -1, []  # version, successes

    def tell(
        self, name: str, level: str, message: str, values: Mapping[str, str], now: float,
    ) -> None:
        """Take a diagnostic status."""
        name = name[:LENGTH]
        if name in self._said or len(self._said) < NAMES:
            said = ', '.join(f'{key} {value}' for key, value in values.items())
            self._said[name] = Said(level, message[:LENGTH], said[:LENGTH], now)

    def count(self, phase: int, version: int, success: bool | None) -> None:
        """Take the end of an episode, whose success may be unknown (None)."""
        if phase == TRAINING:
            self._exploring = [*self._exploring[1 - RECENT:], success]
        elif phase == EVALUATION:
            before, successes = self._evaluation
            self._evaluation = version, [*(successes if version == before else []), success]

    def rows(self, now: float, metrics: Mapping[str, float]) -> dict[str, str]:
        """Return what to show: a row a node, then success and `metrics`."""
        if not self._said:
            return {'nobody': "no diagnostics heard; is ROS_DOMAIN_ID the graph's?"}
        shown = {name: self._line(said, now - said.at) for name, said in sorted(
            self._said.items())}
        version, successes = self._evaluation
        if successes:
            shown['evaluation'] = f'{_rate(successes)} (version {version})'
        if self._exploring:
            shown['exploring'] = _rate(self._exploring)
        return shown | {name: f'{value:.5g}' for name, value in sorted(metrics.items())}

    def _line(self, said: Said, age: float) -> str:
        silent = f'SILENT for {age:.0f} s: ' if age > SILENT else ''
        return f'{silent}{said.level}: {said.message}' + (
            f' ({said.values})' if said.values else '')


def _rate(successes: Sequence[bool | None]) -> str:
    """Return how many of those that are known succeeded, '-' if none is known."""
    known = [success for success in successes if success is not None]
    return f'{sum(known)}/{len(known)}' if known else '-'
