# SPDX-License-Identifier: Apache-2.0
"""Graph status: the table of the watcher, and what RViz draws."""

import io
from pathlib import Path
import time
from xml.etree import ElementTree

from arms import iiwa
import numpy as np
import pytest
from rich.console import Console
from rich.live import Live
from rig import FakeArm, Running

from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import NodeProcess
from rl_control.common.episode import EVALUATION, TRAINING
from rl_control.report.console_status import Status
from rl_control.robots.kinematics import urdf_path
from rl_control.robots.urdf import robot_description
from rl_control.ros import codec, markers, qos
from rl_control.ros.node_status import NAME_LIMIT, TEXT_LIMIT, GraphStatus


def test_each_node_has_a_row_and_silence_is_shown() -> None:
    status = GraphStatus()
    assert 'ROS_DOMAIN_ID' in status.rows(0.0, {})['no nodes']
    status.update('/learner: learning', 'ok', 'learning', {'updates': '12'}, now=10.0)
    status.update('/policy: driving', 'WARN', 'late', {}, now=12.0)
    assert status.rows(12.0, {'critic_loss': 0.123456789}) == {
        '/learner: learning': 'ok: learning (updates 12)', '/policy: driving': 'WARN: late',
        'critic_loss': '0.12346'}
    assert status.rows(14.0, {})['/learner: learning'].startswith('SILENT for 4 s: ok')


def test_an_unknown_success_is_a_dash() -> None:
    status = GraphStatus()
    status.update('x', 'ok', '', {}, 0.0)
    for phase in (TRAINING, EVALUATION, EVALUATION):
        status.add_episode(phase, 7, None)
    shown = status.rows(0.0, {})
    assert (shown['evaluation'], shown['exploring']) == ('- (version 7)', '-')
    status.add_episode(EVALUATION, 7, True)
    assert status.rows(0.0, {})['evaluation'] == '1/1 (version 7)'


def test_the_newest_version_and_the_newest_episodes_count() -> None:
    status = GraphStatus()
    status.update('x', 'ok', '', {}, 0.0)
    for success in (True, False):
        status.add_episode(EVALUATION, 7, success)
    assert status.rows(0.0, {})['evaluation'] == '1/2 (version 7)'
    status.add_episode(EVALUATION, 8, True)
    assert status.rows(0.0, {})['evaluation'] == '1/1 (version 8)'
    for number in range(60):
        status.add_episode(TRAINING, 8, number >= 40)
    assert status.rows(0.0, {})['exploring'] == '20/50'


def test_names_are_bounded() -> None:
    status = GraphStatus()
    for number in range(NAME_LIMIT + 10):
        status.update(f'{number}' * 200, 'ok', 'm' * 10_000, {'k' * 10_000: 'v' * 10_000}, 0.0)
    assert len(status.rows(0.0, {})) == NAME_LIMIT
    assert sum(len(name) + len(said) for name, said in status.rows(0.0, {}).items()) < (
        3 * (TEXT_LIMIT + 10) * NAME_LIMIT)


@pytest.mark.parametrize('terminal', [True, False])
def test_any_text_is_shown_without_markup(terminal: bool, capsys) -> None:
    status, output = Status('status', 0.0), io.StringIO()
    if terminal:
        status._live = Live(console=Console(file=output, force_terminal=True, width=200))
    with status:
        status.show({'[/b]': '[red]a\x1b[2Jb\n'})
    text = output.getvalue() + capsys.readouterr().out
    assert '[/b]' in text and '[red]a?[2Jb?' in text and '\x1b[2J' not in text


@pytest.mark.parametrize('urdf', [
    'pybullet_data:kuka_iiwa/model.urdf', 'config:robots/two_joint.urdf'])
def test_a_urdf_finds_its_meshes_wherever_it_is_read(urdf: str) -> None:
    path = urdf_path(urdf)
    text = robot_description(path)
    theirs = [mesh.get('filename') for mesh in ElementTree.parse(path).iter('mesh')]
    ours = [mesh.get('filename') for mesh in ElementTree.fromstring(text).iter('mesh')]
    assert len(ours) == len(theirs)
    for name, before in zip(ours, theirs, strict=True):
        assert name.startswith('file:///') and Path(name.removeprefix('file://')).is_file()
        assert name.endswith(Path(before).name)


def test_the_scene_and_the_watcher_over_topics(ros: int) -> None:
    arm, drawn, texts = FakeArm(), [], []
    scene = graph('deploy').processes({'policy': 'x.onnx', 'scene': 'true'})[-1]
    arm.node.create_subscription(markers.Markers, 'markers', drawn.append, qos.MARKERS)
    arm.node.create_subscription(
        codec.Text, 'robot_description', texts.append, qos.ROBOT_DESCRIPTION)
    status = arm.node.create_publisher(codec.Diagnostics, '/diagnostics', qos.DIAGNOSTICS)
    watcher = NodeProcess('watcher', 'watcher', (), {
        'watcher.time_limit': 4.0, 'watcher.status_period': 0.5})
    try:
        with Running(scene):
            arm.until(lambda: texts, 20.0, 'robot_description')
            arm.until(lambda: drawn and len(drawn[-1].markers[markers.PATH].points) > 2, 20.0,
                      'markers')
        with Running(watcher) as watching:
            while watching.child.poll() is None:
                status.publish(codec.diagnostics('/made_up: learning', codec.WARN, 'slow', {
                    'updates': 7}))
                time.sleep(0.05)
            output = watching.child.stdout.read()
    finally:
        arm.close()
    goal, target, path = drawn[-1].markers
    assert goal.header.frame_id == 'lbr_iiwa_link_0' and goal.pose == target.pose
    assert target.scale.x == 2 * iiwa().task.settings.success_distance > goal.scale.x > 0.0
    tip = iiwa().kinematics.position(iiwa().home)
    np.testing.assert_allclose([(p.x, p.y, p.z) for p in path.points], [tip] * len(path.points))
    assert '/made_up: learning WARN: slow (updates 7)' in output
    assert watching.child.returncode == 0
    ElementTree.fromstring(texts[0].data)
