# SPDX-License-Identifier: Apache-2.0
"""The distance that an arm keeps from itself and from the table."""

from pathlib import Path
from xml.etree import ElementTree

from arms import acting
from controllers import GOAL, PERIOD, give_evidence
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.config.files import config_directory
from rl_control.config.robot import RobotSettings
from rl_control.control.collision import CollisionMargins
from rl_control.control.policy_controller import Margins, PolicyController
from rl_control.environments.make import load_arm

BALL = 0.05  # m, radius of the shape at the tip


@pytest.fixture
def arm(tmp_path: Path):
    """Return the arm of two joints with a ball at the elbow's far end and a box at its foot."""
    robot = ElementTree.parse(config_directory() / 'robots' / 'two_joint.urdf')
    for name, shape, height in (('base', '<box size="0.2 0.2 0.2"/>', 0.1),
                                ('forearm', f'<sphere radius="{BALL}"/>', 0.4)):
        link = next(one for one in robot.iter('link') if one.get('name') == name)
        link.append(ElementTree.fromstring(
            f'<collision><origin xyz="0 0 {height}"/><geometry>{shape}</geometry></collision>'))
    path = tmp_path / 'two_joint.urdf'
    robot.write(path)
    found = load_arm('two_joint', 'reach')
    settings = {**found.settings.to_mapping(), 'urdf': str(path)}
    return type(found).make(RobotSettings.from_mapping(settings), found.task.settings)


def test_distances_are_those_of_a_ball(arm) -> None:
    clearance = CollisionMargins(arm, 0.1)
    for q in np.random.default_rng(0).uniform((-2.0, 0.0), (2.0, 2.6), (200, 2)):
        x, _, z = arm.kinematics.position(q)
        box = np.hypot(max(abs(x) - 0.1, 0.0), max(abs(z - 0.1) - 0.1, 0.0)) - BALL
        if box < 0.0 or z < 0.0:
            continue  # penetration depth is not tested
        table = z - BALL
        assert clearance.excess(q) == pytest.approx(
            max(0.0, 0.1 - min(box, table)), abs=2e-3), q
        distance, pair = clearance.nearest(q)
        assert distance == pytest.approx(min(box, table, 0.1), abs=2e-3)
        if distance < 0.09:
            assert pair == (
                'forearm and the table' if table < box else 'the base and forearm')


def test_the_arm_stops_before_the_table_and_may_leave(arm) -> None:
    stand_in = acting(lambda observation: np.array([1.5, 0.0]))
    controller = PolicyController(arm, Margins(collision_distance=0.05))
    controller.policy, controller.goal = stand_in, GOAL
    give_evidence(controller, arm.home, 0.0, 0.0)

    def drive(start: int, ticks: int) -> list[float]:
        heights = []
        for tick in range(start, start + ticks):
            now = tick * PERIOD
            command = controller.command
            q = arm.home if command is None else command.q
            controller.receive(now, now, q, np.zeros(2))
            controller.tick(now, now)
            heights.append(arm.kinematics.position(controller.command.q)[2])
        return heights

    heights = drive(0, 60)
    assert controller.workspace_stops > 0
    assert 0.05 + BALL - 1e-3 <= min(heights) < 0.05 + BALL + 0.1
    stand_in.act = lambda observation: (np.array([-1.5, 0.0]), np.nan)
    assert drive(60, 20)[-1] > heights[-1] + 0.1


def test_an_arm_without_shapes_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match='has no collision shapes; add them, or set collision_dist'
    ):
        PolicyController(load_arm('two_joint', 'reach'), Margins(collision_distance=0.05))


def test_the_arms_of_the_package_are_clear_at_home() -> None:
    for name in ('iiwa', 'panda'):
        found = load_arm(name, 'reach')
        assert CollisionMargins(found, 0.02).excess(found.home) == 0.0


def test_fingers_stand_where_the_robot_file_holds_them() -> None:
    arm = load_arm('panda', 'reach')
    margins = CollisionMargins(arm, 0.1)
    fingers = (margins._body, *sorted(
        link for link, name in margins._names.items() if name.endswith('finger')))
    # Pads of 15 mm whose inner faces are where the joints say, 0.04 m to each side.
    assert margins._nearest(*fingers) == pytest.approx(0.08, abs=1e-4)
