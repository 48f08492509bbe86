# SPDX-License-Identifier: Apache-2.0
"""Monitor node: show the progress of a training, end it, and write its figures."""

import math
from pathlib import Path
import time

from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_json
from rl_control.common.rejections import Rejections
from rl_control.config.nodes import MonitorSettings
from rl_control.policies.evaluation_log import EvaluationLog
from rl_control.report.console_status import Status
from rl_control.ros import codec, qos
from rl_control.ros.metrics import Metrics, MetricsSubscriber
from rl_control.ros.node_main import every, run
from rl_control.ros.node_status import NAME_LIMIT
from rl_control.ros.parameters import declare

SHOWN_LOSSES = ('critic_loss', 'actor_loss', 'alpha')
DISCOVERY_PERIOD = 2.0  # s between queries for new metrics


class Monitor(Node):
    """Subscribe to episodes, metrics and diagnostics; end when the training is complete."""

    def __init__(self) -> None:
        super().__init__('monitor')
        self._settings = declare(self, 'monitor', MonitorSettings)
        self._file = Path(self._settings.out) / 'training.json'
        self._training, self._before = EvaluationLog.read(
            self._file, self._settings.evaluation_episodes, self._settings.confirmation_episodes,
            self.get_logger().warning)
        self._began = time.monotonic()
        self._written = 0  # evaluations and confirmations in the file
        self.metrics = MetricsSubscriber(self)
        self._own = Metrics(self)
        self._collectors: dict[str, tuple[float, float]] = {}  # version, and its age in s
        self._rejections = Rejections(self.get_logger().error)
        self.create_subscription(codec.Episodes, 'episodes', self._on_episodes, qos.EPISODES)
        self.create_subscription(
            codec.Diagnostics, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS)
        every(self, DISCOVERY_PERIOD, self.metrics.discover)
        every(self, 0.5, self._show)
        self._status = Status('training', self._settings.status_period)
        self._status.__enter__()

    @property
    def elapsed(self) -> float:
        """Return the seconds of training, including earlier starts with this directory."""
        return self._before + time.monotonic() - self._began

    def done(self) -> bool:
        """Return True when a version was confirmed, or the time is up."""
        limit = self._settings.time_limit
        if limit and self.elapsed - self._before >= limit:
            return True
        return self._settings.stop_when_confirmed and self._training.confirmed is not None

    def close(self, executor: Executor) -> None:
        """Write training.json and print one line on how the training ended."""
        self._status.__exit__(None, None, None)
        self._write()
        confirmed = self._training.confirmed
        if confirmed:
            print(f'version {confirmed.version} confirmed: {confirmed.successes} of '
                  f'{confirmed.episodes} fresh goals after {self.elapsed:.0f} s')
        else:
            print(f'training ended after {self.elapsed:.0f} s without a confirmed version')

    def _write(self) -> None:
        """Write the figures so far to training.json."""
        figures = self._training.figures() | {
            'train_seconds': self.elapsed,
            'transitions': int(self.metrics.values.get('transitions', 0)),
            'updates': int(self.metrics.values.get('updates', 0)),
        }
        try:
            write_json(self._file, figures)
        except OSError as error:
            self.get_logger().error(f'{self._file} is not written ({error.strerror})')

    def _on_episodes(self, message: codec.Episodes) -> None:
        try:
            table = codec.decode_table(message, codec.EPISODE_COLUMNS)
            rows = [codec.EpisodeRow.from_row(row) for row in table.rows]
        except InvalidInput as refused:
            self._rejections.add(f'episodes rejected: {refused}')
            return
        for row in rows:
            if row.phase == codec.TRAINING:
                self._training.add_training(row.succeeded)
            else:
                self._training.add_evaluation(
                    row.version, row.succeeded, row.episode_return, self.elapsed,
                    int(self.metrics.values.get('transitions', 0)),
                    confirmation=row.phase == codec.CONFIRMATION)

    def _on_diagnostics(self, message: codec.Diagnostics) -> None:
        for name, values in codec.read_diagnostics(message):
            if name.endswith(': collecting') and (
                    name in self._collectors or len(self._collectors) < NAME_LIMIT):
                self._collectors[name] = (
                    codec.read_value(values, 'version', -1.0),
                    codec.read_value(values, 'policy_age', math.inf))

    def _show(self) -> None:
        training, metrics = self._training, self.metrics.values
        if (done := len(training.finished)) != self._written:
            self._written = done
            self._write()  # so that a kill loses no result
        self._own.publish(training.metrics())
        evaluation = training.finished[-1] if training.finished else None
        collectors = self._collectors.values()
        self._status.show({
            'seconds': f'{self.elapsed:.0f}',
            'success': (
                f'{evaluation.shown} (version {evaluation.version})' if evaluation else '-'),
            'return': (f'{evaluation.return_sum / evaluation.episodes:.2f}'
                       if evaluation else '-'),
            'exploring success': (
                f'{sum(training.recent)}/{len(training.recent)}' if training.recent else '-'),
            'transitions': f'{metrics.get("transitions", 0):.0f}',
            'updates': f'{metrics.get("updates", 0):.0f}',
            'updates/s': f'{metrics.get("updates_per_second", 0):.0f}',
            'policy version': f'{max((version for version, _ in collectors), default=-1):.0f}',
            'age': f'{min((age for _, age in collectors), default=math.inf):.2f} s',
            **{name: f'{metrics[name]:.4g}' for name in SHOWN_LOSSES if name in metrics},
        })


def main() -> int:
    """Run the monitor."""
    return run(Monitor)


if __name__ == '__main__':
    raise SystemExit(main())
