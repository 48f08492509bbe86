# SPDX-License-Identifier: Apache-2.0
"""The box in space: not left, not stuck to, and the way back into it."""

from arms import acting, iiwa
from controllers import give_evidence
import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.control.policy_controller import DRIVING, Margins, PolicyController
from rl_control.control.workspace import Workspace

PERIOD = iiwa().control_period
POSITION = iiwa().kinematics.position(iiwa().home)
UP = np.linalg.pinv(iiwa().kinematics.jacobian(iiwa().home))[:, 2]


def heights(request, margin: float, ticks: int = 60) -> list[float]:
    """Let a policy drive in a box that ends `margin` m below where it starts, as high as."""
    arm = iiwa()
    low, high = (-5.0, -5.0, -5.0), (5.0, 5.0, float(POSITION[2] - margin))
    controller = PolicyController(arm, Margins(workspace_low=low, workspace_high=high))
    controller.policy, controller.goal = acting(request), np.zeros(3)
    q, dq, found = arm.home, np.zeros(7), []
    give_evidence(controller, q, 0.0, 0.0)
    for tick in range(ticks):
        now = tick * PERIOD
        controller.receive(now, now, q, dq)
        plan = controller.tick(now, now)
        q, dq = plan.commands[0].q, plan.commands[0].dq
        found += [arm.kinematics.position(command.q)[2] for command in plan.commands]
        assert controller.mode == DRIVING
    return found


def test_the_box_is_not_left() -> None:
    found = heights(lambda _: UP, margin=-0.1)
    assert max(found) <= POSITION[2] + 0.1
    assert max(found) >= POSITION[2] + 0.05


def test_from_outside_only_the_way_back_is_allowed() -> None:
    assert max(heights(lambda _: UP, margin=0.1)) == pytest.approx(POSITION[2])
    back = heights(lambda _: -UP, margin=0.1)
    assert min(back) < POSITION[2] - 0.1
    assert max(back) <= POSITION[2] + 1e-9


def test_bounds_are_refused_by_name() -> None:
    arm = iiwa()
    with pytest.raises(InvalidInput, match='3 of each'):
        Workspace((0.0,), (1.0,), arm.kinematics, arm.limits)
    with pytest.raises(InvalidInput, match='below its upper'):
        Workspace((0.0, 0.0, 1.0), (1.0, 1.0, 0.0), arm.kinematics, arm.limits)
