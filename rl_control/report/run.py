# SPDX-License-Identifier: Apache-2.0
"""Report of a run: collect its figures, choose its policy, write the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_control.common.errors import InvalidInput
from rl_control.common.files import ARGUMENTS, PARAMETERS, read_json, write_json
from rl_control.config.files import read_parameter_file
from rl_control.config.robot import RobotSettings
from rl_control.config.simulators import AUTO
from rl_control.environments.arm_environment import ArmEnvironment
from rl_control.environments.arm_model import Arm
from rl_control.environments.make import GYMNASIUM_PREFIX, load_arm, simulate
from rl_control.environments.tasks import task_settings
from rl_control.policies.onnx_policy import OnnxPolicy, load
from rl_control.report.delivery_accounting import account
from rl_control.report.training import draw, write
from rl_control.robots.engines import installed


def make(out: Path) -> dict[str, Any]:
    """
    Write report.json, report.html and its pictures into `out`; return the figures.

    Robot, task and seed are those of the run record; without one those of the policy. Raise
    InvalidInput for a directory without a finished training.
    """
    report = figures(out)
    policy = settle(out)
    graph, given = _started(out)
    if (out / 'deploy.json').is_file():
        report['deploy'] = _read(out, 'deploy.json', 'deploy')
    world = _world(out, policy, given.get('simulator', AUTO))
    try:
        draw(out, policy, world, int(given.get('seed', 0)))
    finally:
        if world is not None:
            world.close()
    write_json(out / 'report.json', report)
    write(out, report, policy, graph, given)
    return report


def settle(out: Path) -> OnnxPolicy:
    """
    Save the confirmed version as policy.onnx in `out`, and return it.

    Without a confirmed version it is the best, else the newest.
    """
    confirmation = _read(out, 'training.json', 'monitor')['confirmation']
    versions = sorted((out / 'versions').glob('*.onnx'), key=_number, reverse=True)
    version = confirmation['version'] if confirmation else None
    wanted = [path for path in versions if _number(path) == version]
    for path in (*wanted, out / 'best.onnx', *versions):
        if path.is_file():
            load(path).save(out / 'policy.onnx')
            return load(out / 'policy.onnx')
    raise InvalidInput(f'run {out} has no policy; train longer, with the same out')


def figures(out: Path) -> dict[str, Any]:
    """Return the figures of the training in `out`."""
    training = _read(out, 'training.json', 'monitor')
    learner = _read(out, 'learner.json', 'learner')
    confirmation = training['confirmation']
    found = account(out)
    return {
        'confirmed': confirmation is not None,
        'success_rate': confirmation and confirmation['success_rate'],
        'success_interval': confirmation and confirmation['interval'],
        'confirmation_episodes': confirmation and confirmation['episodes'],
        'version': confirmation and confirmation['version'],
        'train_seconds': training['train_seconds'],
        'transitions': sum(run['received'] for run in learner['collectors'].values()),
        'updates': learner['updates'],
        'policy_versions': learner['policy_versions'],
        'transitions_lost': found.lost,
        'transitions_waiting': found.waiting,
        'parity_max_abs_error': learner['parity_max_abs_error'],
    }


def _started(out: Path) -> tuple[str, Mapping[str, str]]:
    """Return the graph and its arguments from the run record, '' and {} without one."""
    if not (out / ARGUMENTS).is_file():
        return '', {}
    left = _read(out, ARGUMENTS, 'launch')
    return str(left['graph']), left['arguments']


def _world(out: Path, policy: OnnxPolicy, engine: str) -> ArmEnvironment | None:
    """Return the simulated arm of the training, None for a Gymnasium environment."""
    contract, path = policy.contract, out / PARAMETERS
    if contract.robot.startswith(GYMNASIUM_PREFIX):
        return None
    if path.is_file():
        arm = Arm.make(RobotSettings.from_mapping(read_parameter_file(path, 'robot')),
                       task_settings(read_parameter_file(path, 'task')))
    else:
        arm = load_arm(contract.robot, contract.task)
    arm.contract().require_equal(contract, f'the arm of {out}', f'the policy of {out}')
    return simulate(arm, engine=engine if engine in installed() else AUTO)


def _read(out: Path, name: str, who: str) -> dict[str, Any]:
    """Return the contents of a JSON file of the run, written by `who`."""
    try:
        return read_json(out / name)
    except FileNotFoundError as error:
        raise InvalidInput(
            f'run {out} has no {name}, which the {who} writes; give the directory of a '
            'finished training'
        ) from error
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f'{out / name} cannot be read ({error}); start the training again with '
            f'out:={out}, and let it end'
        ) from error


def _number(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else -1
