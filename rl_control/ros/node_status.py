# SPDX-License-Identifier: Apache-2.0
"""Graph status: newest diagnostics and success rates as rows of a table. No ROS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_control.common.episode import EVALUATION, TRAINING

SILENCE_TIMEOUT = 3.0  # s without diagnostics after which a node is shown as silent
RECENT_EPISODES = 50  # exploring episodes in the success rate
NAME_LIMIT = 1000  # nodes or metrics that are kept; any process may publish more
TEXT_LIMIT = 400  # characters of a message, and of all its values


@dataclass(frozen=True)
class NodeStatus:
    """The newest status of a node and its time of receipt `at` (s, steady clock)."""

    level: str
    message: str
    values: str
    at: float


class GraphStatus:
    """The newest status of each node and the result of the newest evaluation."""

    def __init__(self) -> None:
        self._statuses: dict[str, NodeStatus] = {}
        self._exploring: list[bool | None] = []
        self._evaluation: tuple[int, list[bool | None]] = -1, []  # version, successes

    def update(
        self, name: str, level: str, message: str, values: Mapping[str, str], now: float,
    ) -> None:
        """Store a diagnostic status received at `now` s."""
        name = name[:TEXT_LIMIT]
        if name in self._statuses or len(self._statuses) < NAME_LIMIT:
            texts = ', '.join(f'{key} {value}' for key, value in values.items())
            self._statuses[name] = NodeStatus(level, message[:TEXT_LIMIT], texts[:TEXT_LIMIT], now)

    def add_episode(self, phase: int, version: int, success: bool | None) -> None:
        """Count a finished episode, whose success may be unknown (None)."""
        if phase == TRAINING:
            self._exploring = [*self._exploring[1 - RECENT_EPISODES:], success]
        elif phase == EVALUATION:
            before, successes = self._evaluation
            self._evaluation = version, [*(successes if version == before else []), success]

    def rows(self, now: float, metrics: Mapping[str, float]) -> dict[str, str]:
        """Return the rows by name: each node, then success rates and `metrics`."""
        if not self._statuses:
            return {'no nodes': "no diagnostics received; is ROS_DOMAIN_ID the graph's?"}
        shown = {name: self._line(status, now - status.at) for name, status in sorted(
            self._statuses.items())}
        version, successes = self._evaluation
        if successes:
            shown['evaluation'] = f'{_rate(successes)} (version {version})'
        if self._exploring:
            shown['exploring'] = _rate(self._exploring)
        return shown | {name: f'{value:.5g}' for name, value in sorted(metrics.items())}

    def _line(self, status: NodeStatus, age: float) -> str:
        silent = f'SILENT for {age:.0f} s: ' if age > SILENCE_TIMEOUT else ''
        return f'{silent}{status.level}: {status.message}' + (
            f' ({status.values})' if status.values else '')


def _rate(successes: Sequence[bool | None]) -> str:
    """Return how many of the known ones succeeded, '-' if none is known."""
    known = [success for success in successes if success is not None]
    return f'{sum(known)}/{len(known)}' if known else '-'
