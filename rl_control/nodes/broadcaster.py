# SPDX-License-Identifier: Apache-2.0
"""The broadcaster node: keeps the versions, hands the newest on, and the best to arms."""

from pathlib import Path

from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.config.nodes import BroadcasterSettings
from rl_control.errors import Refused
from rl_control.policy import OnnxPolicy
from rl_control.ros import codec, qos
from rl_control.ros.parameters import declare
from rl_control.ros.process import run
from rl_control.versions import Score, Versions


class Broadcaster(Node):
    """Takes candidates of one learner run, checks each, and publishes `latest` and `best`."""

    def __init__(self) -> None:
        super().__init__('broadcaster')
        self._settings = declare(self, 'broadcaster', BroadcasterSettings)
        self._versions = Versions(Path(self._settings.out), self._settings.keep)
        self._scores: dict[int, Score] = {}
        self._newest: OnnxPolicy | None = None
        self._refused = 0
        self._latest = self.create_publisher(codec.Policy, 'policy/latest', qos.POLICY)
        self._best = self.create_publisher(codec.Policy, 'policy/best', qos.POLICY)
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self.create_subscription(
            codec.Policy, 'policy/candidate', self._on_candidate, qos.POLICY)
        self.create_subscription(
            codec.Episodes, 'episodes', self._on_episodes, qos.EPISODES)
        self.create_timer(1.0, self._report)

    def done(self) -> bool:
        """Never."""
        return False

    def close(self, executor: Executor) -> None:
        """Nothing waits: every version is on the disk before it is published."""

    def _on_candidate(self, message: codec.Policy) -> None:
        try:
            data, learner_run, version = codec.decode_policy(message)
            if self._newest is not None and learner_run != self._newest.run:
                raise Refused(
                    f'candidate is of run {learner_run} but run {self._newest.run} is '
                    'broadcast; stop one learner, or give it a namespace of its own')
            if self._newest is not None and version <= self._newest.version:
                raise Refused(
                    f'candidate has version {version}, not greater than '
                    f'{self._newest.version}; nothing is to be done')
            policy = OnnxPolicy(data, f'candidate {version}')
        except Refused as refused:
            self._refused += 1
            self.get_logger().error(str(refused))
            return
        self._newest = policy
        self._versions.keep(policy)
        self._latest.publish(codec.encode_policy(data, learner_run, version))

    def _on_episodes(self, message: codec.Episodes) -> None:
        """Count the evaluation episodes of each version; promote one that is better."""
        table = codec.decode_table(message, codec.EPISODE_COLUMNS)
        for row in map(codec.EpisodeRow.from_row, table.rows):
            if row.phase != codec.EVALUATION:
                continue
            score = self._scores.setdefault(row.version, Score(row.version))
            score.add(bool(row.success), row.episode_return)
            self._versions.pin(row.version)
            if score.episodes == self._settings.evaluation_episodes:
                self._promote(score)

    def _promote(self, score: Score) -> None:
        policy = self._versions.promote(score)
        if policy is not None:
            self._best.publish(codec.encode_policy(policy.data, policy.run, policy.version))
            self.get_logger().info(
                f'version {score.version} is the best: {score.successes} of {score.episodes}')

    def _report(self) -> None:
        version = self._newest.version if self._newest else -1
        best = self._versions.best
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: broadcasting',
            codec.OK if self._newest else codec.WARN,
            'broadcasting' if self._newest else 'waiting for a candidate',
            {'version': version, 'best': best.version if best else -1,
             'versions': self._versions.count, 'refused': self._refused},
            self.get_clock().now().nanoseconds * 1e-9))


def main() -> int:
    """Run the broadcaster."""
    return run(Broadcaster)


if __name__ == '__main__':
    raise SystemExit(main())
