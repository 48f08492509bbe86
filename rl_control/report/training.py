# SPDX-License-Identifier: Apache-2.0
"""The report of a training: its pictures, and the page that shows them."""

from collections.abc import Mapping
from importlib import metadata
import json
from pathlib import Path
import platform
from typing import Any

import yaml

from rl_control.environments.arm import ArmEnvironment
from rl_control.environments.make import GYMNASIUM, make_environment
from rl_control.policy import load
from rl_control.report.collected import draw_actions, draw_goals, read_collected
from rl_control.report.curves import draw_evaluations, evaluations_of
from rl_control.report.page import write_page
from rl_control.report.pictures import animation
from rl_control.report.timing import draw_timing
from rl_control.types import Contract

PICTURES = ('reach.gif', 'learning_curve.png', 'goals.png', 'actions.png', 'timing.png')
SHOWN = ('numpy', 'torch', 'onnx', 'onnxruntime', 'pybullet', 'ros-rclpy', 'mcap')


def draw(out: Path, robot: str, task: str, seed: int) -> None:
    """Draw PICTURES of the run in `out` that there is something to draw of."""
    over = 'transitions'
    draw_evaluations({out: evaluations_of(out, over)}, over, out / 'learning_curve.png')
    policy = load(out / 'policy.onnx')
    collected = read_collected(out, policy.contract)
    names = tuple(column.name for column in policy.contract.action)
    draw_actions(collected, names, out / 'actions.png')
    if robot.startswith(GYMNASIUM):
        return
    draw_goals(collected, out / 'goals.png')
    world = make_environment(robot, task)
    assert isinstance(world, ArmEnvironment)
    try:
        animation(policy, world, 2000 + seed, out / 'reach.gif')
    finally:
        world.close()


def write(
    out: Path, report: Mapping[str, Any], robot: str, task: str, algorithm: str, seed: int,
) -> None:
    """Write report.html of the run in `out`, whose figures are `report`."""
    if 'deploy' in report:
        draw_timing(report['deploy'], out / 'timing.png')
    policy = load(out / 'policy.onnx')
    write_page(
        out / 'report.html', f'{robot}: {task}, learned with {algorithm}', summary(report), {
            'Figures': report,
            'Contract': _contract(policy.contract),
            'Parameters': yaml.safe_load((out / 'parameters.yaml').read_text()),
            'Versions': _versions(),
        }, [out / name for name in PICTURES], {
            'Run it again': f'rl-control demo --robot {robot} --task {task} '
                            f'--algorithm {algorithm} --seed {seed}',
            'Run the policy in simulation':
                f'rl-control launch deploy policy:={out / "policy.onnx"} robot:={robot} '
                f'task:={task}',
            'Before an arm': f'rl-control check {out / "policy.onnx"} --robot {robot}',
            'On an arm that is driven by ros2_control':
                f'ros2 launch rl_control deploy.launch.py simulate:=false robot:={robot} '
                f'task:={task} policy:={out / "policy.onnx"} '
                'joint_trajectory:=joint_trajectory_controller/joint_trajectory',
        })


def summary(report: Mapping[str, Any]) -> str:
    """Return in a sentence what a training came to."""
    if not report['confirmed']:
        return f'No version was confirmed within {report["train_seconds"]:.0f} s.'
    low, high = report['success_interval']
    return (
        f'{report["success_rate"]:.0%} of {report["confirmation_episodes"]} fresh goals reached '
        f'({low:.0%} to {high:.0%}), after {report["train_seconds"]:.0f} s and '
        f'{report["transitions"]} transitions.')


def _contract(contract: Contract) -> dict[str, Any]:
    facts = json.loads(contract.to_json())
    for side in ('observation', 'action'):
        facts[side] = [f'{column["name"]} [{column["unit"]}]' for column in facts[side]]
    return {'hash': contract.hash, **facts}


def _versions() -> dict[str, str]:
    found = {'rl_control': metadata.version('rl_control'), 'python': platform.python_version()}
    for name in SHOWN:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # on a ROS machine rclpy is no distribution of pip
            found[name] = 'not by pip'
    return found
