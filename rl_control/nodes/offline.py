# SPDX-License-Identifier: Apache-2.0
"""Offline node: train from a bag or a dataset, publish metrics, and end."""

from collections.abc import Mapping
import threading
from typing import NoReturn

from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.config.offline import OfflineSettings
from rl_control.config.sampling import SamplingSettings
from rl_control.learning.algorithms import settings_of
from rl_control.offline.run import finish, prepare, sentences
from rl_control.ros.metrics import Metrics
from rl_control.ros.node_main import Worker, every, leave, run
from rl_control.ros.parameters import declare, given_values


class Offline(Node):
    """Train on one thread; publish each metric on the executor's."""

    def __init__(self) -> None:
        super().__init__('offline')
        settings = declare(self, 'offline', OfflineSettings)
        sampling = declare(self, 'sampling', SamplingSettings)
        kind = settings_of(settings.algorithm)
        self._training = prepare(settings, given_values(self, 'algorithm', kind), sampling)
        declare(self, 'algorithm', settings_of(settings.algorithm),
                self._training.algorithm.to_mapping())
        self._metrics = Metrics(self)
        self._newest: Mapping[str, float] = {}
        self._published: Mapping[str, float] = {}
        self._stopped = threading.Event()
        self._ended = threading.Event()
        every(self, 1.0, self._publish)
        self._worker = Worker(self._train, 'training')

    def done(self) -> bool:
        """Return True when the training has ended; re-raise its exception."""
        self._worker.check()
        return self._ended.is_set()

    def close(self, executor: Executor) -> None:
        """Save the training as it is."""
        self._stopped.set()
        self._worker.join()
        self._worker.check()
        self._publish()

    def _train(self) -> None:
        report = finish(self._training, self._show, self._stopped.is_set)
        if report is None:
            self.get_logger().info(
                f'stopped; the same command resumes in {self._training.settings.out}')
        else:
            for sentence in sentences(report):
                self.get_logger().info(sentence)
        self._ended.set()

    def _show(self, what: str, figures: Mapping[str, float]) -> None:
        """Store the newest figures; called on the training thread."""
        self._newest = {'evaluated' if what == 'evaluating' else name: value
                        for name, value in figures.items()
                        if what == 'training' or name == 'updates'}

    def _publish(self) -> None:
        figures = self._newest
        if figures is self._published:
            return
        self._published = figures
        self._metrics.publish(figures)
        self.get_logger().info(', '.join(
            f'{name} {value:.5g}' for name, value in figures.items()))


def main() -> NoReturn:
    """Run the node."""
    leave(run(Offline))


if __name__ == '__main__':
    main()
