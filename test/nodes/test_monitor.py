# SPDX-License-Identifier: Apache-2.0
"""What the monitor says of a training on topics that any plot shows by name."""

from functools import partial
from pathlib import Path

import numpy as np
import rclpy
from training import Nodes

from rl_control.common.episode import EVALUATION, TRAINING
from rl_control.nodes.monitor import Monitor
from rl_control.ros import codec, qos


def episodes(phase: int, returns: list[float], successes: list[bool]) -> codec.Episodes:
    rows = np.array([
        codec.EpisodeRow(index, total, 5, float(success), 7, phase, 1.0).to_row()
        for index, (total, success) in enumerate(zip(returns, successes, strict=True))])
    return codec.encode_table(codec.Table(codec.EPISODE_COLUMNS, rows, {'collector': 'c'}))


def test_success_and_return_are_numbers_by_name(ros_domain: int, tmp_path: Path) -> None:
    nodes = Nodes({'monitor.out': str(tmp_path), 'monitor.evaluation_episodes': 4})
    heard: dict[str, float] = {}

    def hear(name: str, message: codec.Number) -> None:
        heard[name] = message.data

    try:
        monitor = nodes.add(Monitor())
        other = nodes.add(rclpy.create_node('other'))
        publish = other.create_publisher(codec.Episodes, 'episodes', qos.EPISODES)
        for name in ('success_rate', 'mean_return', 'exploring_success'):
            other.create_subscription(
                codec.Number, f'metrics/{name}', partial(hear, name), qos.METRICS)
        nodes.until(lambda: publish.get_subscription_count() == 1, 60.0)
        publish.publish(episodes(TRAINING, [0.0] * 5, [True, False, False, False, False]))
        nodes.until(lambda: 'exploring_success' in heard, 60.0)
        assert heard == {'exploring_success': 0.2}  # no evaluation, hence no rate
        publish.publish(episodes(EVALUATION, [-1.0, -2.0, -3.0, -6.0], [True, True, True, False]))
        nodes.until(lambda: len(heard) == 3, 60.0)
        assert heard == {'exploring_success': 0.2, 'success_rate': 0.75, 'mean_return': -3.0}
        nodes.close(monitor)
    finally:
        nodes.end()
