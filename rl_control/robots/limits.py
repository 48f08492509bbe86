# SPDX-License-Identifier: Apache-2.0
"""
Joint limiter: bound position, velocity, acceleration and jerk of each command.

Each command is a sample of the time-optimal profile of piecewise constant jerk to a velocity. It
is accepted if the joint can still stop inside its position limits afterwards; if not, the target
velocity is reduced by bisection towards 0, whose profile is the stop.

Own code, not `ruckig` (Berscheid and Kröger 2021, "Jerk-limited Real-time Trajectory Generation
with Arbitrary Target States"): its free version has no position limits, and the remaining part,
the profile to a velocity, is a closed form of a few lines.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import repeat
import math

import numpy as np

from rl_control.common.errors import InvalidInput, NonFinite
from rl_control.common.types import Command
from rl_control.config.robot import RobotSettings
from rl_control.robots.kinematics import Kinematics

ROUNDING = 1e-10  # rad; a smaller excess over a position limit is ignored
RETURN_SPEED = 0.1  # of the velocity limit: least speed back from outside the position limits
STOP_MARGIN = 1e-6  # rad; nearer to a limit than this the joint stops
BISECTIONS = 16  # precision of the velocity: 2^-15 of the request


@dataclass(frozen=True, eq=False)
class Limits:
    """
    Limits of each joint: arrays (n,), copied and read-only; `columns` are the same as floats.

    `position_low`, `position_high` in rad, `velocity` in rad/s, `acceleration` in rad/s²,
    `jerk` in rad/s³; m instead of rad for a prismatic joint. `joint_names` are for messages.
    """

    position_low: np.ndarray
    position_high: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray
    joint_names: tuple[str, ...] = ()
    columns: tuple[tuple[float, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = ('position_low', 'position_high', 'velocity', 'acceleration', 'jerk')
        table = np.array([np.ravel(getattr(self, name)) for name in names], dtype=float)
        table.setflags(write=False)
        joints = self.joint_names or tuple(f'joint {i}' for i in range(table.shape[1]))
        for joint, (low, high, *rest) in zip(joints, table.T.tolist(), strict=True):
            if not low < high:
                raise InvalidInput(
                    f'position limits of {joint} are {low} and {high}; the lower must '
                    'be below the upper'
                )
            for name, value in zip(names[2:], rest, strict=True):
                if not 0.0 < value < math.inf:
                    raise InvalidInput(
                        f'the {name} limit of {joint} is {value}; it must be positive '
                        'and finite, in the settings and in the URDF'
                    )
        for name, row in zip(names, table, strict=True):
            object.__setattr__(self, name, row)
        object.__setattr__(self, 'joint_names', joints)
        object.__setattr__(self, 'columns', tuple(map(tuple, table.tolist())))

    @classmethod
    def of(cls, robot: RobotSettings, kinematics: Kinematics) -> 'Limits':
        """Return a robot's limits; raise InvalidInput if they, or home, exceed the URDF's."""
        joints = kinematics.joint_names

        def per_joint(name: str, absent: tuple[float, ...] = ()) -> np.ndarray:
            values = getattr(robot, name) or absent
            if len(values) not in (1, len(joints)):
                raise InvalidInput(
                    f'robot.{name} has {len(values)} values; give 1 or {len(joints)}, '
                    f'one for each of {", ".join(joints)}'
                )
            return np.broadcast_to(np.array(values, dtype=float), len(joints))

        low = per_joint('position_low', tuple(kinematics.position_low))
        high = per_joint('position_high', tuple(kinematics.position_high))
        home = per_joint('home', (0.0,))
        hard = zip(kinematics.position_low, kinematics.position_high, strict=True)
        for joint, least, most, at, (lowest, highest) in zip(
                joints, low, high, home, hard, strict=True):
            if not lowest <= least < most <= highest:
                raise InvalidInput(
                    f'robot.position_low and position_high of {joint} are {least} and '
                    f'{most}, its URDF allows {lowest} to {highest}; keep the limits '
                    'inside, the lower below the upper'
                )
            if not least <= at <= most:
                raise InvalidInput(
                    f'robot.home of {joint} is {at}, outside {least} to {most}; move it inside')
        velocity = np.minimum(per_joint('velocity_limit'), kinematics.velocity_limit)
        acceleration, jerk = per_joint('acceleration_limit'), per_joint('jerk_limit')
        return cls(low, high, velocity, acceleration, jerk, joints)


def limit(request: np.ndarray, previous: Command, dt: float, limits: Limits) -> Command:
    """
    Return the command `dt` s after `previous` that follows `request` (n,) rad/s within limits.

    `previous` is this function's own last output. For any requests and any `dt`, position,
    velocity, acceleration and jerk keep their limits at and between the samples. Outside the
    limits no excess exceeds that of a stop, and a joint outside its position limits returns.
    Raises NonFinite before any computation, InvalidInput for `dt` <= 0.
    """
    columns = _columns(request, previous, dt, limits)
    return _command(map(_limited, *columns, repeat(dt), *limits.columns))


def stop(previous: Command, dt: float, limits: Limits) -> Command:
    """
    Return the command `dt` s after `previous` on the time-optimal profile to rest.

    Inside the limits this equals `limit` of the request 0. A joint at rest outside them stays
    there: stopping starts no motion.
    """
    rest, *state = _columns(np.zeros(len(limits.joint_names)), previous, dt, limits)
    return _command(map(_toward, rest, *state, repeat(dt), *limits.columns[3:]))


class Stop:
    """
    The trajectory to rest that `stop` follows from `command`.

    `times` (n,) s and `ends` (n,) rad are when and where each joint comes to rest.
    """

    def __init__(self, command: Command, limits: Limits) -> None:
        rest, _, *moving = _columns(np.zeros(len(limits.joint_names)), command, 1.0, limits)
        first, last, *self._phases = np.array(
            list(map(_plan, rest, *moving, *limits.columns[3:]))).T
        self._jerks = first, np.zeros_like(first), last
        self._start = command
        self.times = np.sum(self._phases, axis=0)
        self.ends = self._at(self.times)[0]

    def at(self, times: np.ndarray) -> np.ndarray:
        """Return (k, 3, n): q, dq, ddq at `times` (k,) s after the command, each >= 0."""
        return np.stack(self._at(np.asarray(times, dtype=float)[:, None]), axis=1)

    def _at(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        q, v, a = self._start.q, self._start.dq, self._start.ddq
        rested = t >= self.times
        for jerk, phase in zip(self._jerks, self._phases, strict=True):
            s = np.minimum(t, phase)
            q = q + s * (v + s * (0.5 * a + s * (jerk / 6.0)))
            v = v + s * (a + 0.5 * s * jerk)
            a = a + s * jerk
            t = t - s
        # Exactly 0 at rest.
        return q, np.where(rested, 0.0, v), np.where(rested, 0.0, a)


def _columns(
    request: np.ndarray, previous: Command, dt: float, limits: Limits
) -> list[list[float]]:
    """Return request, q, dq and ddq of the joints, all of them finite."""
    columns, joints = (request, previous.q, previous.dq, previous.ddq), limits.joint_names
    try:
        table = np.array(columns, dtype=float)
    except ValueError:  # of several lengths
        table = np.empty(0)
    if table.shape != (4, len(joints)):
        raise InvalidInput('request and previous command have shapes '
                      f'{[np.shape(column) for column in columns]}; give {len(joints)} numbers, '
                      f'{", ".join(joints)}')
    if np.count_nonzero(np.isfinite(table)) < table.size:
        raise NonFinite(f'request {table[0].tolist()} or previous command '
                        f'{table[1:].tolist()} is not finite; do not send it')
    if not 0.0 < dt < math.inf:
        raise InvalidInput(f'dt is {dt} s; it must be positive')
    return table.tolist()


def _command(joints: Iterable[tuple[float, float, float]]) -> Command:
    """Return the command of (q, dq, ddq) joint by joint."""
    return Command(*map(np.array, zip(*joints, strict=True)))


def _limited(
    request: float, q: float, v: float, a: float, dt: float,
    low: float, high: float, v_max: float, a_max: float, j: float,
) -> tuple[float, float, float]:
    """Return one joint's (q, dq, ddq) after `dt`."""
    target = v_max if request > v_max else -v_max if request < -v_max else request
    if q > high + ROUNDING:
        target = min(target, -RETURN_SPEED * v_max)
    elif q < low - ROUNDING:
        target = max(target, RETURN_SPEED * v_max)
    after = position, speed, rate = _toward(target, q, v, a, dt, a_max, j)
    # A cheap upper bound of the stopping distance: speed at most `peak`, for the time that ddq
    # takes to 0 and then `peak` to 0. Far from the limits it suffices.
    peak = abs(speed) + rate * rate / (2.0 * j)
    reach = peak * (abs(rate) / j + peak / a_max + a_max / j)
    if low + reach <= position <= high - reach:
        return after
    # Extend the limits to what the stop reaches, so that the stop itself is always allowed.
    least, most = _span(q, v, a, a_max, j)
    low, high = min(low, least), max(high, most)
    # A target > 0 comes no nearer to `low` than the stop does: only `high` matters.
    after = _toward(0.0, q, v, a, dt, a_max, j)
    safe, unsafe, middle = 0.0, target, target  # the request itself is tried first
    for _ in range(BISECTIONS):
        if safe == unsafe or (high - most if target > 0.0 else least - low) < STOP_MARGIN:
            break
        candidate = _toward(middle, q, v, a, dt, a_max, j)
        span = _span(*candidate, a_max, j)
        if low <= span[0] and span[1] <= high:
            safe, after, (least, most) = middle, candidate, span
        else:
            unsafe = middle
        middle = 0.5 * (safe + unsafe)
    return after


def _plan(
    target: float, v: float, a: float, a_max: float, j: float
) -> tuple[float, float, float, float, float]:
    """
    Return the time-optimal profile to velocity `target` and acceleration 0, |a| <= `a_max`.

    It is (first jerk, last jerk, durations of first jerk, zero jerk and last jerk). Bringing a
    to 0 at once would end at velocity v + a|a|/2j; towards the side of it on which `target`
    lies, a rises to a peak (at most a_max) and falls back to 0.
    """
    sign = 1.0 if target >= v + a * abs(a) / (2.0 * j) else -1.0
    rise, a = sign * (target - v), sign * a
    if a > a_max:  # outside: fall to a_max first, then stay there
        held = max(0.0, (rise - a * a / (2.0 * j)) / a_max)
        return -sign * j, -sign * j, (a - a_max) / j, held, a_max / j
    peak = math.sqrt(max(0.0, j * rise + 0.5 * a * a))
    held = 0.0
    if peak > a_max:
        peak = a_max
        held = max(0.0, (rise - (a_max * a_max - 0.5 * a * a) / j) / a_max)
    return sign * j, -sign * j, max(0.0, (peak - a) / j), held, peak / j


def _toward(
    target: float, q: float, v: float, a: float, dt: float, a_max: float, j: float
) -> tuple[float, float, float]:
    """Return (q, dq, ddq) after `dt` on the time-optimal profile to velocity `target`."""
    first, last, rising, held, falling = _plan(target, v, a, a_max, j)
    for jerk, time in ((first, rising), (0.0, held), (last, falling)):
        if time == 0.0:
            continue
        t = dt if time > dt else time
        da = t * jerk
        q += t * (v + t * (0.5 * a + da / 6.0))
        v += t * (a + 0.5 * da)
        a += da
        if time > dt:
            return q, v, a
        dt -= t
    return q + dt * target, target, 0.0  # exactly 0 at rest


def _span(q: float, v: float, a: float, a_max: float, j: float) -> tuple[float, float]:
    """Return the least and the greatest position on the time-optimal profile to rest."""
    first, _, *times = _plan(0.0, v, a, a_max, j)
    end = _toward(0.0, q, v, a, sum(times), a_max, j)[0]
    low, high = min(q, end), max(q, end)
    if v * (v + a * abs(a) / (2.0 * j)) < 0.0:
        # dq goes through 0 while the first jerk still brings ddq to 0: the root of dq(t) there.
        t = 2.0 * v / (-a + math.copysign(math.sqrt(max(0.0, a * a - 2.0 * v * first)), v))
        turn = q + t * (v + t * (0.5 * a + t * first / 6.0))
        low, high = min(low, turn), max(high, turn)
    return low, high
