# SPDX-License-Identifier: Apache-2.0
"""
The limits of position, velocity, acceleration and jerk: the last thing before any command.

Each command is a sample of a continuous profile of piecewise constant jerk that brings the joint
to a velocity in the shortest time. It is taken if the joint can still come to rest inside its
position limits afterwards; if not, the velocity is moved towards 0, whose profile is the stop.

Own code, not `ruckig` (Berscheid and Kröger 2021, "Jerk-limited Real-time Trajectory Generation
with Arbitrary Target States"): its free version keeps no position limits, and what is left, the
profile to a velocity, is a closed form of a few lines.
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

SLACK = 1e-10  # rad: rounding at a limit, not an excess to return from
RETURN = 0.1  # of the velocity limit: least speed back from outside the position limits
STOP_MARGIN = 1e-6  # rad: nearer to a limit than this the joint just stops
BISECTIONS = 16  # the velocity is found to 2^-15 of the request at worst


@dataclass(frozen=True, eq=False)
class Limits:
    """
    What each joint may do; arrays (n,), copied and read-only, `columns` the same as floats.

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
        """Return a robot's limits; raise InvalidInput for those, or a home, outside its URDF's."""
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
    velocity, acceleration and jerk keep their limits at and between the samples. From outside no
    excess grows beyond what the stop makes of it, and a joint outside its position limits returns
    by itself. Raises NonFinite before anything is computed, InvalidInput for `dt` <= 0.
    """
    columns = _columns(request, previous, dt, limits)
    return _command(map(_limited, *columns, repeat(dt), *limits.columns))


def stop(previous: Command, dt: float, limits: Limits) -> Command:
    """
    Return the command `dt` s after `previous` on the shortest way to rest.

    Inside the limits this is `limit` of the request 0. A joint that stands outside them stays
    where it is: stopping starts no motion.
    """
    rest, *state = _columns(np.zeros(len(limits.joint_names)), previous, dt, limits)
    return _command(map(_toward, rest, *state, repeat(dt), *limits.columns[3:]))


class Stop:
    """
    The way to rest that `stop` takes from `command`, known beforehand.

    `times` (n,) s is how long each joint takes, `ends` (n,) rad where it then stands.
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
        # Exactly, so that rest is rest.
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
                        f'{table[1:].tolist()} is not finite; send nothing of it')
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
    if q > high + SLACK:
        target = min(target, -RETURN * v_max)
    elif q < low - SLACK:
        target = max(target, RETURN * v_max)
    after = position, speed, rate = _toward(target, q, v, a, dt, a_max, j)
    # A cheap bound on the way to rest, enough far from the limits: no faster than `peak`, and
    # no longer than ddq takes to 0 and then `peak` to 0.
    peak = abs(speed) + rate * rate / (2.0 * j)
    reach = peak * (abs(rate) / j + peak / a_max + a_max / j)
    if low + reach <= position <= high - reach:
        return after
    # What the stop reaches anyway is allowed, so that the stop always is, and nothing more.
    least, most = _span(q, v, a, a_max, j)
    low, high = min(low, least), max(high, most)
    # A target > 0 brings the joint no nearer to `low` than the stop does: `high` alone counts.
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
    Return the shortest way to velocity `target` and acceleration 0, |a| <= `a_max`.

    It is (first jerk, last jerk, times of the first, of none, of the last). With a brought
    to 0 at once the velocity would become v + a|a|/2j; `target` lies on one side of it, and
    towards that side a rises to a peak (a_max at the most) and falls back to 0.
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
    """Return (q, dq, ddq) after `dt` on the shortest way to velocity `target`."""
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
    return q + dt * target, target, 0.0  # exactly, so that rest is rest


def _span(q: float, v: float, a: float, a_max: float, j: float) -> tuple[float, float]:
    """Return the least and the greatest position on the shortest way to rest."""
    first, _, *times = _plan(0.0, v, a, a_max, j)
    end = _toward(0.0, q, v, a, sum(times), a_max, j)[0]
    low, high = min(q, end), max(q, end)
    if v * (v + a * abs(a) / (2.0 * j)) < 0.0:
        # dq goes through 0 while the first jerk still brings ddq to 0: the root of dq(t) there.
        t = 2.0 * v / (-a + math.copysign(math.sqrt(max(0.0, a * a - 2.0 * v * first)), v))
        turn = q + t * (v + t * (0.5 * a + t * first / 6.0))
        low, high = min(low, turn), max(high, turn)
    return low, high
