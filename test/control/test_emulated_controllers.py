# SPDX-License-Identifier: Apache-2.0
"""The imitated controllers: splines against polynomials solved otherwise, and silence."""

import numpy as np
import pytest

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Command
from rl_control.control.emulated_controllers import (
    ForwardPosition,
    ForwardVelocity,
    TrajectoryController,
    spline,
)


def drawn(rng: np.random.Generator, n: int = 3) -> Command:
    return Command(*rng.normal(size=(3, n)))


@pytest.mark.parametrize('known', [1, 2, 3])
def test_spline_is_the_polynomial_of_what_its_ends_have(known: int) -> None:
    """Positions alone give the line, with velocities the cubic, with accelerations the quintic."""
    rng = np.random.default_rng(0)
    start, end, period = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), 0.37
    powers = np.arange(2 * known)
    rows = []
    for t in (0.0, period):
        rows += [
            t**powers, powers * t ** np.maximum(powers - 1, 0),
            powers * (powers - 1) * t ** np.maximum(powers - 2, 0)][:known]
    conditions = np.concatenate((start[:known], end[:known]))
    coefficients = np.linalg.solve(np.array(rows), conditions)
    lacking = Command(*end[:known], *[np.zeros(0)] * (3 - known))
    for t in np.linspace(0.0, period, 7):
        at = spline(Command(*start), lacking, period, t)
        for joint in range(3):
            polynomial = np.polynomial.Polynomial(coefficients[:, joint])
            assert at.q[joint] == pytest.approx(polynomial(t))
            assert at.dq[joint] == pytest.approx(polynomial.deriv(1)(t))
            assert at.ddq[joint] == pytest.approx(polynomial.deriv(2)(t))


def test_points_without_velocities_are_passed_on_straight_lines() -> None:
    controller = TrajectoryController(np.zeros(2))
    none = np.zeros(0)
    controller.follow(np.array([0.5, 1.0]), [
        Command(np.array(q), none, none) for q in ([1.0, -2.0], [3.0, 0.0])])
    controller.sample(0.0)
    np.testing.assert_allclose(controller.sample(0.25), [[0.5, -1.0], [2.0, -4.0]])
    np.testing.assert_allclose(controller.sample(0.75), [[2.0, -1.0], [4.0, 4.0]])
    np.testing.assert_allclose(controller.sample(2.0), [[3.0, 0.0], [0.0, 0.0]])


def test_trajectory_passes_its_points_and_stays_at_the_last() -> None:
    rng = np.random.default_rng(1)
    controller = TrajectoryController(np.zeros(3))
    middle, end = drawn(rng), Command.at_rest([1.0, 2.0, 3.0])
    controller.sample(10.0)
    controller.follow(np.array([0.1, 0.3]), [middle, end])
    np.testing.assert_allclose(controller.sample(10.01)[0], 0.0)
    q, dq = controller.sample(10.11)
    np.testing.assert_allclose((q, dq), (middle.q, middle.dq), rtol=1e-9)
    for now in (10.31, 11.0, 1e6):
        q, dq = controller.sample(now)
        np.testing.assert_allclose(q, end.q)
        assert not dq.any()


def test_new_trajectory_starts_from_the_desired_state() -> None:
    controller = TrajectoryController(np.zeros(1))
    end = Command.at_rest([1.0])
    controller.follow(np.array([1.0]), [end])
    controller.sample(0.0)
    q, dq = controller.sample(0.5)
    assert dq > 1.0
    controller.follow(np.array([1.0]), [Command.at_rest([2.0])])
    # At the next sample the old trajectory has gone on, and the new one goes on from there.
    end, speed = controller.sample(0.52)
    np.testing.assert_allclose(end, q + 0.02 * dq, atol=1e-3)
    near = controller.sample(0.5201)
    np.testing.assert_allclose(near[0], end + 1e-4 * speed, atol=1e-6)
    np.testing.assert_allclose(near[1], speed, atol=1e-2)
    np.testing.assert_allclose(controller.sample(1.52)[0], 2.0)


def test_trajectory_that_does_not_end_at_rest_is_refused() -> None:
    controller = TrajectoryController(np.zeros(1))
    with pytest.raises(InvalidInput, match='end it at rest'):
        controller.follow(np.array([1.0]), [Command(*np.ones((3, 1)))])
    assert not controller.sample(5.0)[0].any()


def test_forward_controllers_have_no_time_out() -> None:
    position, velocity = ForwardPosition(np.zeros(2)), ForwardVelocity(np.zeros(2))
    for controller in (position, velocity):
        controller.sample(0.0)
        controller.forward(np.array([0.5, -1.0]))
        controller.sample(0.0)
    np.testing.assert_allclose(position.sample(1000.0), [[0.5, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(velocity.sample(1000.0), [[500.0, -1000.0], [0.5, -1.0]])
