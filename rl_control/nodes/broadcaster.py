# SPDX-License-Identifier: Apache-2.0
"""Broadcaster node: store versions, publish the newest to collectors and the best to arms."""

from collections.abc import Collection
from pathlib import Path
import time

from rclpy.executors import Executor
from rclpy.node import Node

from rl_control.common.errors import InvalidInput, Unavailable
from rl_control.common.rejections import Rejections
from rl_control.config.nodes import BroadcasterSettings
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.policies.score import Score
from rl_control.policies.version_store import VersionStore
from rl_control.ros import codec, qos
from rl_control.ros.liveliness import publisher_events
from rl_control.ros.node_main import every, run
from rl_control.ros.parameters import declare


class Broadcaster(Node):
    """Validate the candidates of one learner run and publish `policy/latest` and `policy/best`."""

    def __init__(self) -> None:
        super().__init__('broadcaster')
        self._settings = declare(self, 'broadcaster', BroadcasterSettings)
        try:
            self._versions = VersionStore(
                Path(self._settings.out), self._settings.keep, self.get_logger().warning)
        except OSError as error:
            raise Unavailable(
                f'broadcaster cannot use {self._settings.out} ({error.strerror}); '
                'choose a writable directory') from error
        self._newest = self._versions.newest
        self._scores: dict[int, Score] = {}
        self._evaluating: dict[str, int] = {}  # version pinned by collector run
        self._rejections = Rejections(self.get_logger().error)
        self._stale = 0
        self._disk_error = ''  # why versions are not stored
        self._began = time.monotonic()
        self._latest = self.create_publisher(
            codec.Policy, 'policy/latest', qos.POLICY,
            event_callbacks=publisher_events(self, 'policy/latest'))
        self._best = self.create_publisher(
            codec.Policy, 'policy/best', qos.POLICY,
            event_callbacks=publisher_events(self, 'policy/best'))
        self._diagnostics = self.create_publisher(
            codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
        self.create_subscription(
            codec.Policy, 'policy/candidate', self._on_candidate, qos.POLICY)
        self.create_subscription(
            codec.Episodes, 'episodes', self._on_episodes, qos.EPISODES)
        self.create_service(codec.Trigger, '~/rollback', self._on_rollback)
        every(self, 1.0, self._report)
        for publisher, policy in (
                (self._latest, self._newest), (self._best, self._versions.best)):
            if policy is not None:
                publisher.publish(_message(policy, self._versions.withdrawn))

    def done(self) -> bool:
        """Return False: it runs until a signal."""
        return False

    def close(self, executor: Executor) -> None:
        """Decide on the version under evaluation; every version is on the disk already."""
        for version in list(self._scores):
            self._decide(version)

    def _on_candidate(self, message: codec.Policy) -> None:
        """Accept a newer version of the same run and contract; otherwise keep the present one."""
        newest = self._newest
        try:
            data, learner, version = codec.decode_policy(message)
            if newest is not None and learner != newest.run:
                raise InvalidInput(
                    f'candidate is of run {learner} but run {newest.run} is broadcast; stop one '
                    'learner, or give it a namespace, or the broadcaster another out')
            if newest is not None and version <= newest.version:
                # The latched message again, or one of a learner that resumed from a checkpoint.
                self._stale += 1
                return
            policy = OnnxPolicy(data, f'candidate {version}')
            if (policy.run, policy.version) != (learner, version):
                raise InvalidInput(
                    f'candidate is {version} of {learner} but its file is version '
                    f'{policy.version} of {policy.run}; send it again'
                )
            if newest is not None:
                newest.contract.require_equal(
                    policy.contract, 'the broadcast policy', f'candidate {version}')
        except InvalidInput as refused:
            self._rejections.add(refused)
            return
        self._newest = policy
        # Publish first: collectors need not wait for the disk. If this process dies in between,
        # the learner's latched candidate arrives again.
        self._latest.publish(message)
        try:
            self._versions.keep(policy)
            self._disk_error = ''
        except OSError as error:
            self._disk_error = f'version {version} is not kept ({error.strerror}); make space'

    def _on_episodes(self, message: codec.Episodes) -> None:
        """Score the episodes of pinned versions; decide on a version when its evaluation ends."""
        try:
            table = codec.decode_table(message, codec.EPISODE_COLUMNS)
            origin = codec.Origin.from_header(
                table.header, self._newest.metadata['contract_hash'] if self._newest else None)
            rows = [codec.EpisodeRow.from_row(row) for row in table.rows]
        except InvalidInput as refused:
            self._rejections.add(refused)
            return
        for row in rows:
            pinned = self._evaluating.get(origin.run)
            if row.phase == codec.TRAINING or row.version != pinned:
                if pinned is not None:
                    del self._evaluating[origin.run]
                    self._decide(pinned)
                if row.phase == codec.TRAINING:
                    continue
                self._evaluating[origin.run] = row.version
                if len(self._evaluating) > codec.RUN_LIMIT:
                    self._decide(self._evaluating.pop(next(iter(self._evaluating))))
                self._versions.pin(row.version)
            score = self._scores.setdefault(row.version, Score(row.version))
            score.add(row.succeeded, row.episode_return)
            if score.episodes == (
                    self._settings.evaluation_episodes + self._settings.confirmation_episodes):
                self._decide(row.version)

    def _decide(self, version: int) -> None:
        """Promote an evaluated (and, if due, confirmed) version if it is better than the best."""
        score = self._scores.pop(version, None)
        if score is None or score.episodes < self._settings.evaluation_episodes:
            return
        try:
            promoted = self._versions.promote(score)
        except (InvalidInput, OSError) as error:
            self._rejections.add(f'version {version} is not promoted: {error}')
            return
        if promoted:
            self._best.publish(_message(self._versions.best, self._versions.withdrawn))
            self.get_logger().info(
                f'version {version} is the best: success {score.shown}, mean return '
                f'{score.mean_return:.4g}')

    def _on_rollback(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response,
    ) -> codec.Trigger.Response:
        """Publish the former best; arms that run the present one switch to it."""
        try:
            policy = self._versions.rollback()
        except (InvalidInput, OSError) as error:
            response.message = str(error)
            return response
        self._best.publish(_message(policy, self._versions.withdrawn))
        response.success = True
        response.message = f'version {policy.version} is the best again'
        self.get_logger().warning(response.message)
        return response

    def _report(self) -> None:
        best = self._versions.best
        level, message = codec.OK, 'broadcasting'
        if self._disk_error:
            level, message = codec.ERROR, self._disk_error
        elif self._rejections.total:
            level, message = codec.WARN, f'{self._rejections.total} messages rejected'
        elif self._newest is None:
            level = codec.WARN
            message = f'waiting for a candidate for {time.monotonic() - self._began:.0f} s'
        self._diagnostics.publish(codec.diagnostics(
            f'{self.get_fully_qualified_name()}: broadcasting', level, message,
            {'version': self._newest.version if self._newest else -1,
             'best': best.version if best else -1, 'versions': self._versions.count,
             'stale': self._stale, 'refused': self._rejections.total},
            self.get_clock().now().nanoseconds * 1e-9))


def _message(policy: OnnxPolicy, withdrawn: Collection[int]) -> codec.Policy:
    return codec.encode_policy(policy.data, policy.run, policy.version, withdrawn)


def main() -> int:
    """Run the broadcaster."""
    return run(Broadcaster)


if __name__ == '__main__':
    raise SystemExit(main())
