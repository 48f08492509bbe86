# SPDX-License-Identifier: Apache-2.0
"""Deployment graph over real topics: a short evaluation."""

import json
import os
from pathlib import Path
import subprocess

from arms import exported
import pytest

from rl_control.bringup.graphs import graph
from rl_control.bringup.supervisor import Supervisor, command_line

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(ros_domain: int) -> dict[str, str]:
    return {**os.environ, 'PYTHONPATH': str(ROOT)}


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / 'policy.onnx'
    exported().save(path)
    return path


@pytest.mark.alone
def test_the_graph_examines_a_policy(
    environment: dict[str, str], policy_file: Path, tmp_path: Path
) -> None:
    task = tmp_path / 'task.yaml'
    task.write_text('/**:\n  ros__parameters:\n    task:\n      episode_period: 1.0\n'
                    '      success_distance: 1.0\n')
    out = tmp_path / 'deploy.json'
    processes = graph('deploy').processes({
        'policy': str(policy_file), 'task': str(task), 'goals': '3', 'out': str(out)})
    assert Supervisor(processes, environment).wait(lambda: False) == 0
    figures = json.loads(out.read_text())
    assert figures['goals'] == 3
    # Within 1 m of a goal an arm of 0.8 m is as good as always: what counts is that it scored.
    assert figures['successes'] == sum(error <= 1.0 for error in figures['errors']) > 0
    assert len(set(figures['errors'])) == 3
    assert figures['success_rate'] == figures['successes'] / 3
    assert figures['interval'][0] < figures['success_rate'] <= figures['interval'][1]
    assert figures['period_p50_ms'] == pytest.approx(50.0, abs=1.0)
    assert figures['version'] == 1


@pytest.mark.parametrize(('robot', 'text'), [('panda', 'robot'), ('iiwa', 'digest')])
def test_a_policy_of_another_arm_or_damaged_is_refused(
    environment: dict[str, str], policy_file: Path, robot: str, text: str
) -> None:
    if robot == 'iiwa':
        data = bytearray(policy_file.read_bytes())
        data[len(data) // 2] ^= 1
        policy_file.write_bytes(data)
    process = graph('deploy').processes({'policy': str(policy_file), 'robot': robot})[1]
    assert process.executable == 'policy'
    ended = subprocess.run(
        command_line(process), env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    lines = [line for line in ended.stderr.splitlines() if 'policy.py: ' in line]
    assert len(lines) == 1 and text in lines[0]
    assert 'Traceback' not in ended.stderr
