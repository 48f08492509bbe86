# SPDX-License-Identifier: Apache-2.0
"""A node reads parameter files as the commands do: one reader, one sentence."""

import os
from pathlib import Path
import subprocess
import sys

import pytest
import rclpy

from rl_control.config.files import read_parameters
from rl_control.ros.parameter_files import OPTION, rewritten

FILE = '''/**:
  ros__parameters:
    robot:
      joint_names: [x, y]
      home: [0, 0.1]
      position_low: []
      velocity_limit: [3e-1]
    use_sim_time: false
/other:
  ros__parameters: {robot: {name: yes_man}}
'''


def overrides(files: list[Path]) -> dict[str, object]:
    """Return what rcl itself reads for a node from the rewritten files."""
    line = ['program', '--ros-args', *(word for file in files for word in (OPTION, str(file)))]
    with rewritten(line) as arguments:
        context = rclpy.Context()
        rclpy.init(args=arguments, context=context)
    node = rclpy.create_node('some', context=context)
    found = {name: parameter.value for name, parameter in node._parameter_overrides.items()}
    node.destroy_node()
    context.try_shutdown()
    return {name: list(value) if hasattr(value, '__len__') and not isinstance(value, str)
            else value for name, value in found.items()}


def test_a_node_reads_what_the_commands_read(tmp_path: Path, ros_domain: int) -> None:
    (path := tmp_path / 'robot.yaml').write_text(FILE)
    given = read_parameters(path)
    assert given['robot.joint_names'] == ['x', 'y'] and given['robot.position_low'] == []
    assert overrides([path]) == {
        'robot.joint_names': ['x', 'y'], 'robot.home': [0.0, 0.1],
        'robot.velocity_limit': [0.3], 'use_sim_time': False}


def test_an_empty_list_takes_back_what_a_file_before_it_gave(
        tmp_path: Path, ros_domain: int) -> None:
    (first := tmp_path / 'first.yaml').write_text(
        '/**: {ros__parameters: {robot: {position_low: [1.0], name: arm}}}')
    (second := tmp_path / 'second.yaml').write_text(
        '/**: {ros__parameters: {robot: {position_low: []}}}')
    assert overrides([first, second]) == {'robot.name': 'arm'}
    assert overrides([second, first]) == {'robot.name': 'arm', 'robot.position_low': [1.0]}


@pytest.mark.parametrize(('text', 'words'), [
    ('/**: {ros__parameters: {robot: {name: arm}', 'is no YAML'),
    ('robot: {name: arm}', 'ros__parameters of robot is no mapping'),
    (None, 'cannot be read'),
])
def test_what_cannot_be_read_ends_a_node_in_the_same_sentence(
        tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / 'robot.yaml'
    if text is not None:
        path.write_text(text)
    ended = subprocess.run(
        [sys.executable, '-m', 'rl_control.nodes.simulator', '--ros-args', OPTION, str(path)],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])})
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert words in line and str(path) in line
