# SPDX-License-Identifier: Apache-2.0
"""Setpoints between two commands, against the polynomial of its four conditions."""

import numpy as np
import pytest

from rl_control.common.types import Command
from rl_control.robots.cubic_setpoints import CubicSetpoints, at_start, hermite, substeps_of

PERIOD = 0.05


@pytest.mark.parametrize('substeps', [1, 3, 12])
def test_the_cubic_is_the_only_one_between_its_ends(substeps: int) -> None:
    rng = np.random.default_rng(substeps)
    q0, dq0, q1, dq1 = ends = rng.normal(size=4)
    # The same polynomial from the four conditions at its ends.
    t = PERIOD
    conditions = np.array([[1, 0, 0, 0], [0, 1, 0, 0],
                           [1, t, t**2, t**3], [0, 1, 2 * t, 3 * t**2]])
    cubic = np.polynomial.Polynomial(np.linalg.solve(conditions, [q0, dq0, q1, dq1]))
    times = np.arange(1, substeps + 1) * t / substeps
    q, dq = hermite(substeps, t) @ ends
    np.testing.assert_allclose(q, cubic(times), atol=1e-9)
    np.testing.assert_allclose(dq, cubic.deriv()(times), atol=1e-7)
    assert (q[-1], dq[-1]) == pytest.approx((q1, dq1))


def test_each_period_goes_on_from_the_command_before() -> None:
    rng = np.random.default_rng(0)
    setpoints, start = CubicSetpoints(12, PERIOD), rng.normal(size=7)
    first, second = (Command(*rng.normal(size=(3, 7))) for _ in range(2))
    setpoints.restart(start)
    for before, command in ((Command.at_rest(start), first), (first, second)):
        ends = np.array([before.q, before.dq, command.q, command.dq])
        q, dq = hermite(12, PERIOD) @ ends
        aimed = setpoints.advance(command)
        np.testing.assert_allclose(aimed[:, 0], q - PERIOD / 12 * dq, atol=1e-12)
        np.testing.assert_allclose(aimed[:, 1], dq, atol=1e-12)
    setpoints.restart(start)  # forgets the motion
    np.testing.assert_allclose(setpoints.advance(Command.at_rest(start))[:, 0], [start] * 12)


@pytest.mark.parametrize('late', [0, 5, 12, 30])
def test_setpoints_come_as_late_as_they_are_told(late: int) -> None:
    rng = np.random.default_rng(late)
    commands = [Command(*rng.normal(size=(3, 2))) for _ in range(5)]
    direct, delayed = CubicSetpoints(12, PERIOD), CubicSetpoints(12, PERIOD)
    delayed.delay(late)
    for one in (direct, delayed):
        one.restart(np.array([0.3, 1.2]))
    wanted, told = (np.concatenate([one.advance(command) for command in commands])
                    for one in (direct, delayed))
    rest = np.array([[0.3, 1.2], [0.0, 0.0]])
    np.testing.assert_array_equal(told[:late], np.tile(rest, (late, 1, 1)))
    np.testing.assert_array_equal(told[late:], wanted[:len(wanted) - late])


def test_a_motion_of_constant_velocity_is_aimed_at_from_where_it_is() -> None:
    step = PERIOD / 12
    q, dq = np.array([0.2, -0.4]), np.array([1.0, -2.0])
    aimed = at_start([[q + step * dq, dq], [q + 2 * step * dq, dq]], step)
    np.testing.assert_allclose(aimed, [[q, dq], [q + step * dq, dq]], atol=1e-15)


@pytest.mark.parametrize(('rate', 'substeps'), [(20.0, 12), (25.0, 10), (100.0, 3), (500.0, 1)])
def test_a_control_period_is_whole_substeps_of_240_hz_at_least(
    rate: float, substeps: int,
) -> None:
    assert substeps_of(1.0 / rate) == substeps
