# SPDX-License-Identifier: Apache-2.0
"""Preflight checks report everything that the node would refuse."""

from pathlib import Path
import threading

from arms import exported, iiwa
import pytest

from rl_control.config.files import parameter_file
from rl_control.control.preflight import OK, REFUSED, WARNING, Finding, check, check_controller

NAMES = iiwa().settings.joint_names


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / 'policy.onnx'
    exported().save(path)
    return path


def levels(findings) -> dict[str, str]:
    return {finding.what: finding.level for finding in findings}


def test_a_fitting_policy_passes(policy: Path) -> None:
    found = levels(check(policy, 'iiwa'))
    assert set(found) == {'policy', 'robot', 'time to rest', 'margins', 'contract', 'timing',
                          'real-time priority'}
    assert REFUSED not in found.values()


def test_what_does_not_fit_is_refused_in_a_sentence(policy: Path, tmp_path: Path) -> None:
    other = {finding.what: finding for finding in check(policy, 'panda')}
    assert other['contract'].level == REFUSED and 'panda' in other['contract'].text
    assert 'timing' not in other
    assert levels(check(policy, 'nonesuch'))['robot'] == REFUSED
    policy.write_bytes(policy.read_bytes()[:-100])
    damaged = levels(check(policy, 'iiwa'))
    assert list(levels(check(policy))) == ['policy']  # the file does not name its arm
    assert damaged['policy'] == REFUSED and damaged['robot'] == OK


def test_slow_limits_warn_of_the_time_to_rest(policy: Path, tmp_path: Path) -> None:
    slow = tmp_path / 'slow.yaml'
    slow.write_text('/**:\n  ros__parameters:\n    robot:\n      name: iiwa\n'
                    '      urdf: pybullet_data:kuka_iiwa/model.urdf\n'
                    f'      joint_names: [{", ".join(NAMES)}]\n'
                    '      end_effector: lbr_iiwa_link_7\n      velocity_limit: [1.0]\n'
                    '      acceleration_limit: [2.0]\n      jerk_limit: [100.0]\n')
    finding = next(f for f in check(policy, str(slow)) if f.what == 'time to rest')
    assert finding.level == WARNING
    assert '0.570 s' in finding.text  # 0.05 + 1/2 + 2/100


def test_the_collision_distance_of_the_robot_file_is_checked(
    policy: Path, tmp_path: Path
) -> None:
    path = tmp_path / 'robot.yaml'

    def found(robot: str, distance: float) -> dict[str, Finding]:
        path.write_text(parameter_file('robots', robot).read_text()
                        + f'    policy:\n      collision_distance: {distance}\n')
        return {finding.what: finding for finding in check(policy, str(path))}

    near = found('iiwa', 0.11)
    assert '0.11 m kept' in near['margins'].text
    hand = 'lbr_iiwa_link_5 and lbr_iiwa_link_7'  # one joint between them
    assert near['collision distance'].level == WARNING
    assert near['collision distance'].text.endswith(f'not checked: {hand}')
    assert near['start poses'].level == WARNING and 'start_range' in near['start poses'].text
    assert 'collision distance' not in (all_kept := found('iiwa', 0.001))
    assert all_kept['start poses'].level == OK
    bare = found('two_joint', 0.05)['margins']
    assert bare.level == REFUSED and 'no collision shapes' in bare.text


def test_a_controller_is_compared_with_the_robot() -> None:
    good = {'state': 'active', 'joints': list(NAMES), 'update_rate': 500,
            'interpolate_from_desired_state': True}
    assert set(levels(check_controller(good, NAMES, 0.05)).values()) == {OK}
    cases = (
        ({'state': 'inactive'}, 'controller state', REFUSED),
        ({'joints': list(NAMES[1:])}, 'controller joints', REFUSED),
        ({'joints': list(NAMES[::-1])}, 'controller joints', WARNING),
        ({'update_rate': 10}, 'update rate', REFUSED),
        ({'update_rate': None}, 'update rate', WARNING),
        ({'interpolate_from_desired_state': False}, 'interpolation', WARNING),
    )
    for change, what, level in cases:
        assert levels(check_controller({**good, **change}, NAMES, 0.05))[what] == level


def test_a_running_controller_is_queried(ros: int) -> None:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.lifecycle import LifecycleNode

    from rl_control.ros.controller_info import controller_facts

    controller = LifecycleNode('joint_trajectory_controller')
    controller.declare_parameter('joints', list(NAMES))
    controller.declare_parameter('command_interfaces', ['position'])
    controller.declare_parameter('interpolate_from_desired_state', False)
    manager = rclpy.create_node('controller_manager')
    manager.declare_parameter('update_rate', 250)
    executor = SingleThreadedExecutor()
    executor.add_node(controller)
    executor.add_node(manager)
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.02)

    thread = threading.Thread(target=spin)
    thread.start()
    asking = rclpy.create_node('asking')
    try:
        facts = controller_facts(asking, 'joint_trajectory_controller')
        absent = controller_facts(asking, 'absent', 'absent', timeout=0.1)
    finally:
        ended.set()
        thread.join()
        executor.shutdown()
    assert facts == {'state': 'unconfigured', 'joints': list(NAMES), 'update_rate': 250,
                     'command_interfaces': ['position'], 'interpolate_from_desired_state': False}
    assert set(absent.values()) == {None}
