# SPDX-License-Identifier: Apache-2.0
"""
Joint velocity of a recorded command stream from one tick to the next.

No command after the tick is used. A derivation gets its commands in the order of time and returns
at each tick the velocity since the tick before.
"""

from typing import Protocol

import numpy as np

from rl_control.bags.joint_mapping import Path, Setpoint
from rl_control.common.types import Command
from rl_control.control.emulated_controllers import spline

NONE_YET = 'no command yet'
STALE = 'the newest command is too old'
NO_TICK_BEFORE = 'no command since the gap'
NO_VALUE = np.zeros(0)


class CommandVelocity(Protocol):
    """Protocol of a derivation; times in s, rising."""

    def add(self, time: float, command: Setpoint | Path) -> None:
        """Add a command received at `time`."""

    def tick(self, time: float) -> tuple[np.ndarray, np.ndarray | None] | str:
        """Return (velocity (n,) rad/s up to now, commanded q (n,) or None), or the reason."""

    def restart(self) -> None:
        """Forget the tick before, so that no velocity spans a gap."""


class HeldVelocity:
    """
    Velocity commands, each in force until the next: their mean since the last tick.

    The integral of the result is the commanded displacement, wherever the ticks fall between two
    commands. A command that lasts from tick to tick is returned as it is.
    """

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._value: np.ndarray | None = None
        self._came = self._since = 0.0
        self._displacement: np.ndarray | None = None
        self._last: float | None = None

    def add(self, time: float, command: Setpoint) -> None:
        """Integrate the old velocity up to `time`, then hold the new one."""
        self._integrate(time)
        self._value, self._came, self._since = command.velocity, time, time

    def tick(self, time: float) -> tuple[np.ndarray, None] | str:
        """Return the mean velocity since the last tick."""
        if self._value is None:
            return NONE_YET
        self._integrate(time)
        last, displacement = self._last, self._displacement
        self._last, self._displacement, self._since = time, np.zeros_like(self._value), time
        if time - self._came > self._age_limit:
            self.restart()
            return STALE
        if last is None or displacement is None:
            return NO_TICK_BEFORE
        return displacement / (time - last), None

    def restart(self) -> None:
        """Forget the tick before."""
        self._last = self._displacement = None

    def _integrate(self, time: float) -> None:
        if self._displacement is not None and self._value is not None:
            self._displacement = self._displacement + (time - self._since) * self._value


class HeldPosition:
    """Position commands, each in force until the next: their difference from tick to tick."""

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._value: np.ndarray | None = None
        self._came = 0.0
        self._last: tuple[float, np.ndarray] | None = None

    def add(self, time: float, command: Setpoint) -> None:
        """Hold the new position."""
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
            return NO_TICK_BEFORE
        return (self._value - last[1]) / (time - last[0]), self._value

    def restart(self) -> None:
        """Forget the tick before."""
        self._last = None


class TrajectoryVelocity:
    """
    Trajectory commands, each starting where the one before had led: velocity at the tick.

    Between points q is the cubic of position and velocity, as in joint_trajectory_controller.
    Points without velocities are joined by straight lines, whose difference from tick to tick is
    the velocity. A trajectory is in force until `age_limit` s after its end, where it is at rest.
    """

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._times = np.zeros(0)
        self._points: list[Command] = []
        self._straight = False
        self._began = 0.0
        self._last: tuple[float, np.ndarray] | None = None

    def add(self, time: float, command: Path) -> None:
        """Begin a trajectory at the position commanded at `time`."""
        times, self._straight = command.times, command.dq is None
        speeds = [NO_VALUE] * len(times) if command.dq is None else command.dq
        points = [Command(q, dq, NO_VALUE) for q, dq in zip(command.q, speeds, strict=True)]
        if len(self._times) and times[0] > 0.0:
            times, points = np.append(0.0, times), [self._at(time), *points]
        self._times, self._points, self._began = times, points, time

    def tick(self, time: float) -> tuple[np.ndarray, np.ndarray] | str:
        """Return the velocity at the tick, or the mean since the last tick."""
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
        return NO_TICK_BEFORE if last is None else ((q - last[1]) / (time - last[0]), q)

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


class MeasuredVelocity:
    """Commands without a velocity (effort): only their age counts."""

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._came: float | None = None

    def add(self, time: float, command: Setpoint | Path) -> None:
        """Note the time of the command."""
        self._came = time

    def tick(self, time: float) -> tuple[None, None] | str:
        """Return (None, None), or the reason why no command is in force."""
        if self._came is None:
            return NONE_YET
        return STALE if time - self._came > self._age_limit else (None, None)

    def restart(self) -> None:
        """Do nothing: there is no state of the tick before."""


class Derivation:
    """
    Derivation of velocities, chosen by the first command.

    `measured` leaves the velocity to the joint states; `interface` decides where a command gives
    both position and velocity. Commands of another kind than the first are counted in `unread`.
    """

    def __init__(self, age_limit: float, interface: str, *, measured: bool) -> None:
        self.unread: dict[str, int] = {}
        self.kind = 'measured velocity' if measured else ''
        self._age_limit = age_limit
        self._interface = interface
        self._chosen: CommandVelocity | None = MeasuredVelocity(age_limit) if measured else None

    def add(self, time: float, command: Setpoint | Path) -> bool:
        """Add a command received at `time` s; return False if it cannot be used."""
        if not isinstance(self._chosen, MeasuredVelocity):
            name, kind = self._classify(command)
            if kind is not None and self._chosen is None:
                self._chosen, self.kind = kind(self._age_limit), name
            if kind is None or type(self._chosen) is not kind:
                reason = name if kind is None else 'is of another kind than the first'
                self.unread[reason] = self.unread.get(reason, 0) + 1
                return False
        self._chosen.add(time, command)
        return True

    def tick(self, time: float) -> tuple[np.ndarray | None, np.ndarray | None] | str:
        """Return the result of the chosen derivation at `time` s, see CommandVelocity."""
        return NONE_YET if self._chosen is None else self._chosen.tick(time)

    def restart(self) -> None:
        """Forget the tick before."""
        if self._chosen is not None:
            self._chosen.restart()

    def _classify(self, command: Setpoint | Path) -> tuple[str, type[CommandVelocity] | None]:
        if isinstance(command, Path):
            return 'velocity of the commanded trajectory', TrajectoryVelocity
        velocity = command.velocity is not None and (
            command.position is None or self._interface == 'velocity')
        if velocity:
            return 'mean of the commanded velocity', HeldVelocity
        if command.position is not None:
            return 'difference of the commanded position', HeldPosition
        return 'is neither position nor velocity', None
