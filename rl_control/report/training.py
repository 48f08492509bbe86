# SPDX-License-Identifier: Apache-2.0
"""Report of a training: its plots and its page."""

from collections.abc import Mapping
from importlib import metadata
import json
from pathlib import Path
import platform
import shlex
from typing import Any

import yaml

from rl_control.common.files import PARAMETERS
from rl_control.common.types import Contract
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.environments.make import GYMNASIUM_PREFIX
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.report.animation import animation
from rl_control.report.collection_plots import draw_actions, draw_goals, read_collected
from rl_control.report.curves import draw_evaluations, evaluations_of
from rl_control.report.page import write_page
from rl_control.report.timing import draw_timing

PICTURES = ('reach.gif', 'learning_curve.png', 'goals.png', 'actions.png', 'timing.png')
DISTRIBUTIONS = ('numpy', 'torch', 'onnx', 'onnxruntime', 'pybullet', 'ros-rclpy', 'mcap')


def draw(out: Path, policy: OnnxPolicy, world: ArmEnvironment | None, seed: int) -> None:
    """Draw those PICTURES of the run in `out` for which it has data."""
    over = 'transitions'
    draw_evaluations({out: evaluations_of(out, over)}, over, out / 'learning_curve.png')
    collected = read_collected(out, policy.contract)
    names = tuple(column.name for column in policy.contract.action)
    draw_actions(collected, names, out / 'actions.png')
    if world is not None:
        draw_goals(collected, out / 'goals.png')
        animation(policy, world, 2000 + seed, out / 'reach.gif')


def write(
    out: Path, report: Mapping[str, Any], policy: OnnxPolicy, graph: str,
    given: Mapping[str, str],
) -> None:
    """
    Write report.html of the run in `out`, whose figures are `report`.

    `given` are the arguments of the `graph`, '' if unknown.
    """
    if 'deploy' in report:
        draw_timing(report['deploy'], out / 'timing.png')
    contract, parameters = policy.contract, out / PARAMETERS
    write_page(
        out / 'report.html', f'{contract.robot}: {contract.task}, learned with {policy.algorithm}',
        summary(report), {
            'Figures': report,
            'Contract': _contract(contract),
            **({'Parameters': _parameters(parameters)} if parameters.is_file() else {}),
            'Versions': _versions(),
        }, [out / name for name in PICTURES],
        {**_repeat_command(graph, given), **_commands(out / 'policy.onnx', contract, given)})


def summary(report: Mapping[str, Any]) -> str:
    """Return the result of a training in a sentence."""
    if not report['confirmed']:
        return f'No version was confirmed within {report["train_seconds"]:.0f} s.'
    if report['success_rate'] is None:
        return (f'A version was confirmed after {report["train_seconds"]:.0f} s and '
                f'{report["transitions"]} transitions; the environment tells no success.')
    low, high = report['success_interval']
    return (
        f'{report["success_rate"]:.0%} of {report["confirmation_episodes"]} new goals reached '
        f'({low:.0%} to {high:.0%}), after {report["train_seconds"]:.0f} s and '
        f'{report["transitions"]} transitions.')


def _repeat_command(graph: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the command that repeats the training in another directory."""
    if not graph:
        return {}
    words = [f'{name}:={value}' for name, value in given.items() if name != 'out']
    return {'Repeat the training': shlex.join(['rl-control', 'launch', graph, *words])}


def _commands(policy: Path, contract: Contract, given: Mapping[str, str]) -> dict[str, str]:
    """Return commands for the policy, by purpose."""
    robot, task = given.get('robot', contract.robot), given.get('task', contract.task)
    if contract.robot.startswith(GYMNASIUM_PREFIX):
        return {'Evaluate the policy': shlex.join(['rl-control', 'evaluate', str(policy)])}
    options = ['--robot', robot, '--task', task]
    arguments = [f'policy:={policy}', f'robot:={robot}', f'task:={task}']
    return {
        'Evaluate the policy':
            shlex.join(['rl-control', 'evaluate', str(policy), *options]),
        'Deploy it in simulation, over topics':
            shlex.join(['rl-control', 'launch', 'deploy', *arguments]),
        'Validate it against the robot configuration':
            shlex.join(['rl-control', 'check', str(policy), *options]),
        'Deploy it on an arm with ros2_control': shlex.join([
            'ros2', 'launch', 'rl_control', 'deploy.launch.py', 'simulate:=false', *arguments,
            'joint_trajectory:=joint_trajectory_controller/joint_trajectory']),
    }


def _contract(contract: Contract) -> dict[str, Any]:
    facts = json.loads(contract.to_json())
    for side in ('observation', 'action'):
        facts[side] = [f'{column["name"]} [{column["unit"]}]' for column in facts[side]]
    return {'hash': contract.hash, **facts}


def _parameters(path: Path) -> dict[str, Any]:
    nodes = yaml.safe_load(path.read_text(encoding='utf-8'))
    return {node.strip('/'): values['ros__parameters'] for node, values in nodes.items()}


def _versions() -> dict[str, str]:
    found = {'rl_control': metadata.version('rl_control'), 'python': platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # on a ROS machine rclpy is no distribution of pip
            found[name] = 'not installed by pip'
    return found
