# SPDX-License-Identifier: Apache-2.0
"""Private names of rclpy: present in this version, and replaced by public ones where missing."""

import time
from types import SimpleNamespace

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import CollectorSettings
from rl_control.ros import codec, drained_subscription, parameters, qos, rclpy_internals

REMEDY = ('; the public API works too, but slower: adapt rl_control/ros/rclpy_internals.py to '
          'this version of rclpy')


def hide(patch: pytest.MonkeyPatch) -> None:
    """Let rclpy look like a version without the private names."""
    patch.setattr(rclpy_internals, '_rclpy', SimpleNamespace())
    patch.setattr(rclpy_internals, 'OVERRIDES', '_gone')


def test_rclpy_still_has_its_private_names(ros: int) -> None:
    missing = rclpy_internals.missing_names()
    assert not missing, f'rclpy has no {", ".join(missing)} any more{REMEDY}'
    node = rclpy.create_node('probe')
    assert hasattr(node, rclpy_internals.OVERRIDES), (
        f'rclpy has no Node.{rclpy_internals.OVERRIDES} any more{REMEDY}')
    node.destroy_node()


@pytest.mark.parametrize('private', [True, False])
def test_all_messages_come_in_order_with_their_receipt(
    ros: int, private: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not private:
        hide(monkeypatch)
    node, executor = rclpy.create_node('reader'), SingleThreadedExecutor()
    executor.add_node(node)
    drained: list[bytes] = []
    began = time.monotonic()
    subscription = drained_subscription.DrainedSubscription(
        node, codec.Number, 'x', qos.METRICS, raw=True)
    drained_subscription.subscribe_drained(
        node, codec.Number, 'x', drained.extend, qos.METRICS)
    publisher = node.create_publisher(codec.Number, 'x', qos.METRICS)
    for value in range(3):
        publisher.publish(codec.number(float(value)))
    taken = []
    while (len(taken) < 3 or len(drained) < 3) and time.monotonic() < began + 20.0:
        executor.spin_once(timeout_sec=0.02)
        subscription.wait(0.02)
        taken += subscription.take_with_info()
    received = [[deserialize_message(raw, codec.Number).data for raw in messages]
                for messages in ([raw for raw, _, _ in taken], drained)]
    assert received == [[0.0, 1.0, 2.0]] * 2
    assert all(began <= receipt <= time.monotonic() for _, receipt, _ in taken)
    assert all('source_timestamp' in info for _, _, info in taken)
    executor.shutdown()
    node.destroy_node()


@pytest.mark.parametrize('private', [True, False])
def test_parameters_given_on_the_command_line_are_found(
    ros: int, private: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not private:
        hide(monkeypatch)

    def declared(*arguments: str) -> CollectorSettings:
        node = Node('collector', cli_args=['--ros-args', *arguments])
        try:
            found = parameters.declare(node, 'collector', CollectorSettings)
            assert node.get_parameter('collector.seed').value == found.seed
            return found
        finally:
            node.destroy_node()

    default = CollectorSettings()
    assert declared() == default
    found = declared('-p', f'collector.seed:={default.seed + 7}', '-p', 'collector.exploration:=2')
    assert (found.seed, found.exploration) == (default.seed + 7, 2.0)
    assert found.evaluation_episodes == default.evaluation_episodes
    with pytest.raises(InvalidInput, match=r'parameters collector\.\*'):
        declared('-p', 'collector.exploration:=-1.0')
