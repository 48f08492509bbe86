# SPDX-License-Identifier: Apache-2.0
"""What is sent: a command and the way to rest, as a controller takes it."""

from arms import iiwa
import numpy as np
import pytest

from rl_control.common.types import Command
from rl_control.control.stop_trajectory import Plan
from rl_control.robots.limits import Stop
from rl_control.ros import codec

ARM = iiwa()


@pytest.mark.parametrize('dt', [0.05, 0.049464665])
@pytest.mark.parametrize('speed', [1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 1.0])
def test_points_are_apart_in_the_message_however_slow_the_motion(dt: float, speed: float) -> None:
    dq = speed * np.linspace(-1.0, 1.0, 7)
    command = Command(ARM.home, dq, np.zeros(7))
    plan = Plan.of(command, dt, ARM.limits)
    # Reading refuses times that do not increase, as the controllers of ros2_control do.
    times, commands = codec.TrajectoryReader(ARM.limits.joint_names).read(
        codec.TrajectoryWriter(ARM.limits.joint_names).write(plan.times, plan.points))
    assert np.diff(times).min() >= 9e-4 and times[0] == pytest.approx(dt)
    stop = Stop(command, ARM.limits)
    assert times[-1] == pytest.approx(dt + max(stop.times.max(), 8e-3))
    np.testing.assert_allclose(commands[-1].q, stop.ends, atol=1e-12)
    assert not commands[-1].dq.any() and not commands[-1].ddq.any()


def test_at_rest_there_is_one_point() -> None:
    plan = Plan.of(Command.at_rest(ARM.home), 0.05, ARM.limits)
    assert plan.times.tolist() == [0.05] and len(plan.commands) == 1
