# SPDX-License-Identifier: Apache-2.0
"""What is known of a graph that is watched, as rows of a table. No ROS."""

from collections.abc import Mapping
from dataclasses import dataclass

from rl_control.episode import EVALUATION, TRAINING

SILENT = 3.0  # s without a word after which a node is said to be silent
RECENT = 50  # exploring episodes that count


@dataclass(frozen=True)
class Said:
    """What a node said last, and when (s, steady clock)."""

    level: str
    message: str
    values: Mapping[str, str]
    at: float


class Watching:
    """Keeps the newest word of each node, and of the newest evaluation."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self._said: dict[str, Said] = {}
        self._exploring: list[bool] = []
        self._evaluation: tuple[int, list[bool]] = -1, []  # version, successes

    def tell(
        self, name: str, level: str, message: str, values: Mapping[str, str], now: float,
    ) -> None:
        """Take a diagnostic status."""
        self._said[name] = Said(level, message, values, now)

    def count(self, phase: int, version: int, success: bool) -> None:
        """Take the end of an episode."""
        if phase == TRAINING:
            self._exploring = [*self._exploring[1 - RECENT:], success]
        elif phase == EVALUATION:
            before, successes = self._evaluation
            self._evaluation = version, [*(successes if version == before else []), success]

    def rows(self, now: float) -> dict[str, str]:
        """Return what to show: a row a node, then success and metrics."""
        if not self._said:
            return {'nobody': "no diagnostics heard; is ROS_DOMAIN_ID the graph's?"}
        shown = {name: self._line(said, now - said.at) for name, said in sorted(
            self._said.items())}
        version, successes = self._evaluation
        if successes:
            shown['evaluation'] = f'{sum(successes)}/{len(successes)} (version {version})'
        if self._exploring:
            shown['exploring'] = f'{sum(self._exploring)}/{len(self._exploring)}'
        return shown | {name: f'{value:.5g}' for name, value in sorted(self.metrics.items())}

    def _line(self, said: Said, age: float) -> str:
        silent = f'SILENT for {age:.0f} s: ' if age > SILENT else ''
        values = ', '.join(f'{name} {value}' for name, value in said.values.items())
        return f'{silent}{said.level}: {said.message}' + (f' ({values})' if values else '')
