# SPDX-License-Identifier: Apache-2.0
"""A hundred random drivers: stamps, names, rates, zeros, frames and units as they come."""

from collections.abc import Iterator

from arms import acting, iiwa
import numpy as np
from rclpy.serialization import serialize_message

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.control.emulated_controllers import TrajectoryController
from rl_control.control.policy_controller import DRIVING, STOPPED, Margins, PolicyController
from rl_control.robots import limits
from rl_control.ros import codec

ARM = iiwa()
PERIOD = ARM.control_period
NAMES = np.array(ARM.settings.joint_names)
EVIDENCE = 10  # good joint states in a row
GOOD = 'good'
# As 'good' but for one thing; before the evidence is there, and while the arm moves.
FAULTS = (
    'zeros', 'frozen', 'backwards', 'renamed', 'lacking', 'degrees', 'second', 'nan', 'silent')
MOTION = 2e-3  # rad of rounding, and of the spline between two commands


class Driver:
    """Joint states of an arm, by one fault at a time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.fault = rng, GOOD
        self.rate = rng.choice([15.0, 20.0, 50.0, 100.0, 250.0])
        self.offset = rng.uniform(-1e4, 1e4)  # of another host's clock
        self.order = rng.permutation(len(NAMES))
        self.count, self.stamp = 0, 0.0

    def message(self, now: float, q: np.ndarray, dq: np.ndarray) -> codec.JointState | None:
        """Return what is published at `now` s, None for nothing."""
        self.count += 1
        names, fault, odd = NAMES[self.order], self.fault, self.count % 2
        q, dq = q[self.order].copy(), dq[self.order]
        if fault != 'frozen':
            self.stamp = now + self.offset - (0.3 * odd if fault == 'backwards' else 0.0)
        if fault == 'silent':
            return None
        if fault == 'zeros':
            q, dq = np.zeros_like(q), np.zeros_like(dq)
        elif fault == 'renamed':
            names = np.char.add('left_', names)
        elif fault == 'lacking':
            names, q, dq = names[1:], q[1:], dq[1:]
        elif fault == 'degrees':
            q, dq = np.rad2deg(q), np.rad2deg(dq)
        elif fault == 'second' and odd:
            q = q + 1.0
        elif fault == 'nan':
            q[0] = np.nan
        return codec.joint_state(list(names), self.stamp, q, dq)


def goals(rng: np.random.Generator) -> Iterator[codec.Goal]:
    """Yield goals in frames of which some are the base's."""
    while True:
        frame = rng.choice(['tool0', 'map', 'camera', *ARM.frames, ''])
        yield codec.goal_message(poses.from_position(rng.uniform(0.2, 0.6, 3)), str(frame))


def drive(seed: int) -> tuple[int, int, float]:
    """
    Let an arm with a random driver be driven for some seconds.

    Return the commands before there was evidence, those after, and the largest travel (rad)
    beyond a period's motion and the braking distance from the last true state that was used.
    """
    rng = np.random.default_rng(seed)
    driver, given, reader = Driver(rng), goals(rng), codec.JointReader(tuple(NAMES))
    truth = np.clip(ARM.home + rng.uniform(-0.5, 0.5, 7), ARM.limits.position_low + 0.1,
                    ARM.limits.position_high - 0.1)
    servo = TrajectoryController(truth)
    controller = PolicyController(ARM, Margins(tracking_limit=0.5))
    controller.policy = acting(lambda _: rng.uniform(-1.5, 1.5, 7))
    faults = [GOOD, *rng.choice(FAULTS, 2), GOOD, *rng.choice(FAULTS, 1), GOOD]
    if seed % 2:
        faults = faults[1:]  # begins with a fault
    early = late = agreed = 0
    beyond, known, due, tick = -np.inf, (truth, 0.0), 50.0, 50.0
    for fault in faults:
        driver.fault, end = fault, tick + rng.uniform(0.7, 1.4)
        while tick < end:
            while due <= tick:
                q, dq = servo.sample(due)
                message = driver.message(due, q, dq)
                try:
                    joints = reader.read_raw(serialize_message(message)) if message else None
                    if joints is not None:
                        controller.receive(due, *joints)
                        agreed = agreed + 1 if fault == GOOD else 0
                        known = (q, due) if fault == GOOD else known
                except InvalidInput as refused:
                    controller.fault(str(refused))
                due += 1.0 / driver.rate
            if rng.random() < 0.2:
                try:
                    controller.goal = codec.read_goal(next(given), ARM.frames)
                except InvalidInput as refused:
                    controller.goal_refusal = str(refused)
            if tick - known[1] > controller.watchdog.age_limit:
                agreed = 0
            before, driven = controller.command, controller.mode == DRIVING
            plan = controller.tick(tick, tick)
            if plan is not None:
                early += before is None and agreed < EVIDENCE
                late += 1
                servo.follow(np.array(plan.times), plan.commands)
            if driven and controller.mode != DRIVING:
                agreed = 0  # each stop needs evidence anew
            q, _ = servo.sample(tick)
            # From the last true state: on at the limits until the age limit and a period are
            # over, and then the way to rest.
            q0, at = known
            on = min(tick - at, controller.watchdog.age_limit + PERIOD)
            reach = ARM.limits.velocity * on + braking(ARM.limits)
            beyond = max(beyond, float((np.abs(q - q0) - reach).max()))
            tick += PERIOD
            if controller.mode == STOPPED and fault == GOOD:
                controller.resume(tick)
    return early, late, beyond


def braking(bounds: limits.Limits) -> np.ndarray:
    """Return the way to rest (n,) rad from full speed and full acceleration: closed form."""
    peak = np.minimum(bounds.acceleration, np.sqrt(bounds.velocity * bounds.jerk))
    ramp = bounds.acceleration / bounds.jerk
    return bounds.velocity * (bounds.velocity / peak + peak / bounds.jerk + ramp) / 2 + (
        bounds.velocity * ramp)


def test_no_random_driver_moves_the_arm_before_it_is_known_or_far_after() -> None:
    found = [drive(seed) for seed in range(100)]
    assert [early for early, *_ in found] == [0] * 100
    assert sum(late > 0 for _, late, _ in found) > 60  # or nothing was tried
    assert max(beyond for *_, beyond in found) <= MOTION
