# SPDX-License-Identifier: Apache-2.0
"""
The joint velocity that a stream of commands asks for, from one tick to the next.

Nothing is taken from after the tick. Each derivation is fed its commands in the order of time and
asked at each tick for the velocity since the tick before.
"""

from typing import Protocol

import numpy as np

from rl_control.bags.joint_mapping import Path, Setpoint
from rl_control.common.types import Command
from rl_control.control.emulated_controllers import spline

NONE_YET = 'no command yet'
STALE = 'the newest command is too old'
OUTSIDE = 'no command since the gap'
NOT_TOLD = np.zeros(0)


class CommandVelocity(Protocol):
    """One derivation; times in s, rising."""

    def take(self, time: float, command: Setpoint | Path) -> None:
        """Take a command that came at `time`."""

    def tick(self, time: float) -> tuple[np.ndarray, np.ndarray | None] | str:
        """Return (velocity (n,) rad/s up to now, commanded q (n,) or None), or why not."""

    def restart(self) -> None:
        """Forget the tick before: the next one begins anew."""


class HeldVelocity:
    """
    Velocities that are in force until the next: their mean over the time since the last tick.

    So it does not matter where between two commands the ticks fall, and their sum is the way that
    was commanded. A command that lasts from tick to tick is returned as it is.
    """

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._value: np.ndarray | None = None
        self._came = self._since = 0.0
        self._way: np.ndarray | None = None
        self._last: float | None = None

    def take(self, time: float, command: Setpoint) -> None:
        """Add up the way so far, and go on with the new velocity."""
        self._add(time)
        self._value, self._came, self._since = command.velocity, time, time

    def tick(self, time: float) -> tuple[np.ndarray, None] | str:
        """Return the mean velocity since the last tick."""
        if self._value is None:
            return NONE_YET
        self._add(time)
        last, way = self._last, self._way
        self._last, self._way, self._since = time, np.zeros_like(self._value), time
        if time - self._came > self._age_limit:
            self.restart()
            return STALE
        if last is None or way is None:
            return OUTSIDE
        return way / (time - last), None

    def restart(self) -> None:
        """Forget the tick before."""
        self._last = self._way = None

    def _add(self, time: float) -> None:
        if self._way is not None and self._value is not None:
            self._way = self._way + (time - self._since) * self._value


class HeldPosition:
    """Positions that are in force until the next: their difference from tick to tick."""

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._value: np.ndarray | None = None
        self._came = 0.0
        self._last: tuple[float, np.ndarray] | None = None

    def take(self, time: float, command: Setpoint) -> None:
        """Go on with the new position."""
        self._value, self._came = command.position, time

    def tick(self, time: float) -> tuple[np.ndarray, np.ndarray] | str:
        """Return the mean velocity since the last tick."""
        if self._value is None:
            return NONE_YET
        last, self._last = self._last, (time, self._value)
        if time - self._came > self._age_limit:
            self.restart()
            return STALE
        if last is None:
            return OUTSIDE
        return (self._value - last[1]) / (time - last[0]), self._value

    def restart(self) -> None:
        """Forget the tick before."""
        self._last = None


class Followed:
    """
    Trajectories, each from where the one before has led: the velocity that they have at the tick.

    Between points q is the cubic of position and velocity, as joint_trajectory_controller has it.
    Points without velocities are joined by straight lines, whose difference from tick to tick is
    the velocity. A trajectory is good until `age_limit` s after its end, where it is at rest.
    """

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._times = np.zeros(0)
        self._points: list[Command] = []
        self._straight = False
        self._began = 0.0
        self._last: tuple[float, np.ndarray] | None = None

    def take(self, time: float, command: Path) -> None:
        """Begin a trajectory where the arm was commanded to be."""
        times, self._straight = command.times, command.dq is None
        speeds = [NOT_TOLD] * len(times) if command.dq is None else command.dq
        points = [Command(q, dq, NOT_TOLD) for q, dq in zip(command.q, speeds, strict=True)]
        if len(self._times) and times[0] > 0.0:
            times, points = np.append(0.0, times), [self._at(time), *points]
        self._times, self._points, self._began = times, points, time

    def tick(self, time: float) -> tuple[np.ndarray, np.ndarray] | str:
        """Return the velocity at the tick, or of the way since the last one."""
        if not len(self._times):
            return NONE_YET
        desired = self._at(time)
        q, dq = desired.q, desired.dq
        last, self._last = self._last, (time, q)
        if time - self._began > self._times[-1] + self._age_limit:
            self.restart()
            return STALE
        if not self._straight:
            return dq, q
        return OUTSIDE if last is None else ((q - last[1]) / (time - last[0]), q)

    def restart(self) -> None:
        """Forget the tick before."""
        self._last = None

    def _at(self, time: float) -> Command:
        elapsed = time - self._began
        after = int(np.searchsorted(self._times, elapsed, side='right'))
        if after in (0, len(self._times)):
            return Command.at_rest(self._points[max(0, after - 1)].q)
        start = self._times[after - 1]
        return spline(self._points[after - 1], self._points[after], self._times[after] - start,
                      elapsed - start)


class Measured:
    """For commands that are no velocities (effort): nothing but their age is looked at."""

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._came: float | None = None

    def take(self, time: float, command: Setpoint | Path) -> None:
        """Note that a command came."""
        self._came = time

    def tick(self, time: float) -> tuple[None, None] | str:
        """Return that nothing is known of the velocity, or that no command is in force."""
        if self._came is None:
            return NONE_YET
        return STALE if time - self._came > self._age_limit else (None, None)

    def restart(self) -> None:
        """Nothing was kept."""


class Derivation:
    """
    Chooses how velocities follow from commands by the first of them.

    `measured` leaves the velocity to the joint states; `interface` decides where a command gives
    both position and velocity. Commands of another kind are counted in `unread`.
    """

    def __init__(self, age_limit: float, interface: str, *, measured: bool) -> None:
        self.unread: dict[str, int] = {}
        self.kind = 'measured velocity' if measured else ''
        self._age_limit = age_limit
        self._interface = interface
        self._chosen: CommandVelocity | None = Measured(age_limit) if measured else None

    def take(self, time: float, command: Setpoint | Path) -> bool:
        """Take a command that came at `time` s; say whether it can be used."""
        if not isinstance(self._chosen, Measured):
            name, kind = self._way(command)
            if kind is not None and self._chosen is None:
                self._chosen, self.kind = kind(self._age_limit), name
            if kind is None or type(self._chosen) is not kind:
                reason = name if kind is None else 'is of another kind than the first'
                self.unread[reason] = self.unread.get(reason, 0) + 1
                return False
        self._chosen.take(time, command)
        return True

    def tick(self, time: float) -> tuple[np.ndarray | None, np.ndarray | None] | str:
        """Return what the chosen derivation knows at `time` s, see Commanded."""
        return NONE_YET if self._chosen is None else self._chosen.tick(time)

    def restart(self) -> None:
        """Forget the tick before."""
        if self._chosen is not None:
            self._chosen.restart()

    def _way(self, command: Setpoint | Path) -> tuple[str, type[CommandVelocity] | None]:
        if isinstance(command, Path):
            return 'velocity of the commanded trajectory', Followed
        velocity = command.velocity is not None and (
            command.position is None or self._interface == 'velocity')
        if velocity:
            return 'mean of the commanded velocity', HeldVelocity
        if command.position is not None:
            return 'difference of the commanded position', HeldPosition
        return 'is neither position nor velocity', None
