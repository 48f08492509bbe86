# SPDX-License-Identifier: Apache-2.0
"""Shadow mode: from the measured motion, and how far from it."""

from arms import acting, iiwa
from controllers import give_evidence
import numpy as np

from rl_control.common.types import Command
from rl_control.control.policy_controller import WAITING, Margins
from rl_control.control.shadow_controller import SHADOWING, ShadowController
from rl_control.robots.limits import limit

PERIOD = iiwa().control_period


def test_it_answers_the_measured_motion_and_says_how_far_it_is() -> None:
    arm, request = iiwa(), np.linspace(-0.5, 0.5, 7)
    shadow = ShadowController(arm, Margins())
    shadow.policy, shadow.goal = acting(lambda _: request), np.zeros(3)
    dq = np.full(7, 0.3)  # somebody else moves the arm
    would = None
    give_evidence(shadow, arm.home, 0.0, 0.0)
    for tick in range(10):
        now, q = tick * PERIOD, arm.home + 0.3 * tick * PERIOD
        shadow.receive(now, now, q, dq)
        plan = shadow.tick(now, now)
        expected = limit(request, Command(q, dq, np.zeros(7)), PERIOD, arm.limits)
        np.testing.assert_allclose(plan.commands[0].dq, expected.dq, atol=1e-6)
        if would is not None:
            assert np.isclose(shadow.difference, np.sqrt(np.mean((would - dq) ** 2)))
        would = plan.commands[0].dq
        assert shadow.mode == SHADOWING
    assert shadow.tick(now + 1.0, now + 1.0) is None
    assert shadow.mode == WAITING and shadow.reason == 'waiting for joint_states'
    assert np.isnan(shadow.difference)
