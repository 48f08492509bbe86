# SPDX-License-Identifier: Apache-2.0
"""The policy node's lifecycle, hot swap, rollback and shadow mode, over topics and services."""

from pathlib import Path
import time

from arms import exported
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import onnx
from onnx import numpy_helper
import pytest
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rig import START, FakeArm, Running, policy_process

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.files import digest
from rl_control.nodes.policy import Policy
from rl_control.policies.onnx_policy import OnnxPolicy, digest_path
from rl_control.ros import codec, qos
from rl_control.ros.drained_subscription import DrainedSubscription


def call(arm: FakeArm, kind: type, name: str, request: object) -> object:
    client = arm.node.create_client(kind, name)
    arm.until(client.service_is_ready, START, name)
    future = client.call_async(request)
    arm.until(future.done, 10.0, name)
    return future.result()


def change(arm: FakeArm, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return call(arm, ChangeState, 'policy/change_state', request).success


def set_speed(arm: FakeArm, speed: float) -> str:
    value = Parameter('policy.speed', Parameter.Type.DOUBLE, speed).to_parameter_msg()
    (result,) = call(arm, SetParameters, 'policy/set_parameters',
                     SetParameters.Request(parameters=[value])).results
    return '' if result.successful else result.reason


def send(arm: FakeArm, policy: OnnxPolicy) -> None:
    arm.best.publish(codec.encode_policy(policy.data, policy.run, policy.version))


def test_lifecycle_swap_and_rollback(arm: FakeArm) -> None:
    arm.best = arm.node.create_publisher(codec.Policy, 'policy/best', qos.POLICY)
    process = policy_process(Path('unused'), **{'policy.autostart': False, 'policy.policy': ''})
    with Running(process):
        arm.until(lambda: arm.status.get('mode') == 'inactive', START, 'inactive')
        assert not change(arm, Transition.TRANSITION_ACTIVATE)  # not configured yet
        assert 'not active' in arm.resume()[1]
        assert change(arm, Transition.TRANSITION_CONFIGURE)
        assert change(arm, Transition.TRANSITION_ACTIVATE)
        arm.until(lambda: 'for a policy' in arm.status['why'], 5.0, 'waiting')
        assert not arm.sent
        send(arm, exported(3))
        arm.until_driving()
        for refused in (exported(2), exported(9, run='run-2'), exported(9, robot='panda')):
            send(arm, refused)
        send(arm, exported(4))
        arm.until(lambda: arm.status['version'] == '4', 5.0, 'version 4')
        answer = call(arm, codec.Trigger, 'policy/rollback', codec.Trigger.Request())
        assert answer.success and 'version 3' in answer.message
        arm.until(lambda: arm.status['version'] == '3', 5.0, 'version 3')
        arm.until_moving()
        assert set_speed(arm, 0.1) == ''
        arm.until(lambda: arm.drives() and 0.0 < arm.speed <= 0.1 + 1e-6, 5.0, 'slow motion')
        assert 'policy.speed' in set_speed(arm, 2.0)
        assert change(arm, Transition.TRANSITION_DEACTIVATE)
        arm.until(lambda: arm.speed == 0.0, 2.0, 'rest')
        count = len(arm.sent)
        time.sleep(0.2)
        assert len(arm.sent) == count
        assert arm.resume() == (
            False, 'the node is not active, so there is no stop to resume from; activate it')
        assert change(arm, Transition.TRANSITION_ACTIVATE)
        arm.until_driving()


def test_what_comes_and_is_not_used_is_named(arm: FakeArm, tmp_path: Path) -> None:
    """Joint states of other names, goals in another frame; goals that are not latched count."""
    exported().save(tmp_path / 'policy.onnx')
    names, arm.goal_frame = arm.names, 'tool0'
    arm.names = [f'left_{name}' for name in names]
    with Running(policy_process(tmp_path / 'policy.onnx')):
        arm.until(lambda: ' Hz of joint_states name [left_lbr_iiwa_joint_1, ' in arm.status.get(
            'why', ''), START, 'the names')
        assert 'none of the joints [lbr_iiwa_joint_1, ' in arm.status['why']
        arm.names = names
        arm.until(lambda: "rejected: the pose is in frame 'tool0'; give it in frame "
                  "'lbr_iiwa_link_0' (or world)" in arm.status['why'], 10.0, 'the frame')
        assert not arm.sent
        goals = arm.node.create_publisher(codec.Goal, 'goal', qos.OPERATOR)  # volatile
        goal = poses.from_position((0.5, 0.0, 0.5))
        arm.until(lambda: goals.publish(codec.goal_message(goal, 'lbr_iiwa_link_0')) or (
            arm.status['mode'] == 'driving'), 10.0, 'driving')


def test_a_refused_policy_fails_to_configure_and_the_node_stays(
    arm: FakeArm, tmp_path: Path
) -> None:
    path = tmp_path / 'panda.onnx'
    exported(robot='panda').save(path)
    with Running(policy_process(path, **{'policy.autostart': False})) as running:
        assert not change(arm, Transition.TRANSITION_CONFIGURE)
        assert not change(arm, Transition.TRANSITION_ACTIVATE)
        assert running.child.poll() is None


def spoilt(name: str, value: float) -> bytes:
    """Return a policy with `value` for one weight of a neuron that its test vectors do not use."""
    model = onnx.ModelProto.FromString(exported().data)
    tensor = next(one for one in model.graph.initializer if one.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values[3] = value
    tensor.raw_data = values.tobytes()
    return model.SerializeToString()


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('name', ['actor.0.weight', 'actor.0.bias', 'actor.4.bias'])
def test_weights_that_are_not_finite_are_refused_where_they_show_and_where_not(
    name: str, value: float
) -> None:
    with pytest.raises(InvalidInput, match=f"NaN or infinity in its weights '{name}'"):
        OnnxPolicy(spoilt(name, value))


def test_weights_that_are_not_finite_never_drive(arm: FakeArm, tmp_path: Path) -> None:
    data, path = spoilt('actor.0.bias', -np.inf), tmp_path / 'policy.onnx'
    path.write_bytes(data)
    digest_path(path).write_text(digest(data))
    with Running(policy_process(path)) as running:
        output, _ = running.child.communicate(timeout=START)
    assert running.child.returncode and "NaN or infinity in its weights 'actor.0.bias'" in output
    assert not arm.sent
    arm.best = arm.node.create_publisher(codec.Policy, 'policy/best', qos.POLICY)
    with Running(policy_process(path, **{'policy.policy': ''})):
        arm.until(lambda: 'for a policy' in arm.status.get('why', ''), START, 'waiting')
        arm.best.publish(codec.encode_policy(data, 'run-1', 1))
        time.sleep(0.5)
        assert not arm.sent and 'for a policy' in arm.status['why']
        send(arm, exported())
        arm.until_driving()


def test_shadow_mode_commands_nothing_and_tells_the_difference(
    arm: FakeArm, tmp_path: Path
) -> None:
    path = tmp_path / 'policy.onnx'
    exported().save(path)
    would = DrainedSubscription(arm.node, codec.Trajectory, 'policy/joint_trajectory', qos.COMMAND)
    difference = DrainedSubscription(
        arm.node, codec.Number, 'metrics/shadow_difference', qos.METRICS)
    with Running(policy_process(path, **{'policy.shadow': True})):
        arm.until_mode('shadowing', START)
        arm.until(would.take, 5.0, 'what would be sent')
        time.sleep(0.5)
        assert not arm.sent
        told = [message.data for message, _ in difference.take()]
        assert np.nanmax(told) > 0.1  # it would move, the arm does not


class Failing(Policy):
    """A policy node whose deactivation fails."""

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        raise OSError('no more memory')


@pytest.mark.alone
def test_a_failed_transition_leaves_the_arm_at_rest_and_the_node_to_be_configured(
    ros_domain: int, tmp_path: Path
) -> None:
    """The state `error`: hold, then wait to be configured again."""
    path = tmp_path / 'policy.onnx'
    exported().save(path)
    files = [part for file in policy_process(path).parameter_files
             for part in ('--params-file', str(file))]
    rclpy.init(args=['--ros-args', *files, '-p', f'policy.policy:={path}'])
    arm, node, executor = FakeArm(), Failing(), SingleThreadedExecutor()
    try:
        executor.add_node(node)
        deadline = time.monotonic() + START
        while not (arm.sent and arm.speed > 0.5):
            assert time.monotonic() < deadline, arm.status
            executor.spin_once(timeout_sec=0.02)
        assert node.trigger_deactivate() == TransitionCallbackReturn.ERROR
        arm.until(lambda: arm.speed == 0.0, 2.0, 'rest')
        count = len(arm.sent)
        time.sleep(0.2)
        assert len(arm.sent) == count
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    finally:
        node.close(executor)
        executor.shutdown()
        node.destroy_node()
        arm.close()
        rclpy.try_shutdown()
