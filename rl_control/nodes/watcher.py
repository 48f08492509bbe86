# SPDX-License-Identifier: Apache-2.0
"""Watcher node: status of a running graph as a live table in the terminal."""

import time

from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import WatcherSettings
from rl_control.report.console_status import Status
from rl_control.ros import codec, qos
from rl_control.ros.metrics import MetricsSubscriber
from rl_control.ros.node_main import every, run
from rl_control.ros.node_status import GraphStatus
from rl_control.ros.parameters import declare

LEVELS = {codec.OK: 'ok', codec.WARN: 'WARN', codec.ERROR: 'ERROR', codec.STALE: 'STALE'}


class Watcher(Node):
    """Subscribe to diagnostics, episodes and metrics and show them; publish nothing."""

    def __init__(self) -> None:
        super().__init__('watcher')
        self._settings = declare(self, 'watcher', WatcherSettings)
        self._graph_status = GraphStatus()
        self.metrics = MetricsSubscriber(self)
        self._until = time.monotonic() + self._settings.time_limit
        self.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)
        self.create_subscription(codec.Episodes, 'episodes', self._on_episodes, qos.EPISODES)
        every(self, 0.5, self._show)
        domain = self.context.get_domain_id()
        self._status = Status(f'domain {domain}', self._settings.status_period)
        self._status.__enter__()

    def done(self) -> bool:
        """Return True when the time limit has passed."""
        return self._settings.time_limit > 0.0 and time.monotonic() >= self._until

    def close(self, executor: Executor) -> None:
        """Restore the terminal."""
        self._status.__exit__(None, None, None)

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        now = time.monotonic()
        for status in message.status:
            values = {entry.key: entry.value for entry in status.values}
            self._graph_status.update(
                status.name, LEVELS.get(status.level, '?'), status.message, values, now)

    def _on_episodes(self, message: codec.Episodes) -> None:
        try:
            table = codec.decode_table(message, codec.EPISODE_COLUMNS)
            rows = [codec.EpisodeRow.from_row(row) for row in table.rows]
        except InvalidInput as refused:
            self.get_logger().error(f'episodes not read: {refused}', throttle_duration_sec=5.0)
            return
        for row in rows:
            self._graph_status.add_episode(row.phase, row.version, row.succeeded)

    def _show(self) -> None:
        self.metrics.discover()
        self._status.show(self._graph_status.rows(time.monotonic(), self.metrics.values))


def main() -> int:
    """Run the watcher."""
    return run(Watcher)


if __name__ == '__main__':
    raise SystemExit(main())
