# SPDX-License-Identifier: Apache-2.0
"""
Plausibility of recorded joint states: limits, speed, a second publisher, joints that do not move.

States that the robot cannot have been in are left out and counted, each kind with its likely
cause. A first look at the beginning of the bag finds out what a single state does not show.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
import math
from typing import Any

import numpy as np

from rl_control.bags.joint_mapping import Path, Setpoint
from rl_control.bags.robot_topics import COMMAND, STATE, Event
from rl_control.environments.arm_model import Arm

SAMPLED_EVENTS = 20_000  # events of the first look
LIMIT_TOLERANCE = 0.01  # of a joint's range that it may be measured beyond its limits
SPEED_TOLERANCE = 1.1  # of the velocity limit
TIME_SLACK = 0.05  # s by which receipts of two states may be nearer than the states are
PATIENCE = 0.1  # s without the arm's own states after which others are its states
DEGREES = 180.0 / math.pi
TURNS = 4.0 * math.pi  # rad: no joint turns farther, so a larger number is in degrees
STILL = 1e-6  # rad or m: a smaller range is of a joint that does not move
ACTIVE = 0.02  # rad, m, or these per s: a larger command moves a joint
RESPONSE = 1.0  # s after which a commanded joint has moved
LONGEST_RUN = 3.0  # states in a row of one of two publishers that alternate
LEAST = 20  # states of which something can be said

BEYOND_LIMITS = "has a position beyond the URDF's limits"
IN_DEGREES = 'is in degrees, not in rad'
FOREIGN = "alternates with the arm's states and is out of its reach"


@dataclass
class StateChecks:
    """
    Checks of the joint states of one bag; `findings` is the account, for the report.

    `pace`: s of the states' own clock in one of the events'; `speed` (n,): what no joint exceeds
    in these; `unmeasured` (n,): velocities that are no measurement; `stuck` (n,): joints that are
    commanded and never move; `left_out`: number of states by reason; `jumps`: steps between states
    that no joint can make, after which the arm's own states continue.
    """

    arm: Arm
    pace: float = 1.0
    speed: np.ndarray = field(init=False)
    unmeasured: np.ndarray = field(init=False)
    stuck: np.ndarray = field(init=False)
    left_out: Counter[str] = field(default_factory=Counter)
    jumps: int = 0

    def __post_init__(self) -> None:
        self._names = self.arm.settings.joint_names
        kinematics = self.arm.kinematics
        self.speed = SPEED_TOLERANCE * max(1.0, self.pace) * kinematics.velocity_limit
        slack = LIMIT_TOLERANCE * (kinematics.position_high - kinematics.position_low)
        slack = np.where(np.isfinite(slack), slack, 0.0)
        self._low = kinematics.position_low - slack
        self._high = kinematics.position_high + slack
        self._slack = min(TIME_SLACK, self.arm.control_period)
        self.unmeasured, self.stuck, self._still, self._degrees_per_s = np.zeros(
            (4, len(self._names)), dtype=bool)
        self._degrees = False
        self._own: tuple[int, np.ndarray] | None = None  # time and position of the newest state
        self._patience = round(PATIENCE * 1e9)
        # Least and largest positions of the states beyond the limits.
        self._extremes = np.outer((np.inf, -np.inf), np.ones(len(self._names)))
        self._wraps = 0  # jumps to positions beyond the limits
        self._largest_jump = np.zeros(len(self._names))
        self._zeros = True  # whether all foreign states are zero

    def look(self, events: Iterable[Event]) -> None:
        """Look at the beginning of a bag; call it once, before `checked`."""
        sampled = list(islice(events, SAMPLED_EVENTS))
        states = [event for event in sampled if event.kind == STATE]
        if len(states) < LEAST:
            return
        times = np.array([event.time for event in states])
        q = np.array([event.value.position for event in states])
        dq = np.array([event.value.velocity for event in states])
        self._degrees = self._are_degrees(q)
        if self._degrees:
            return
        self._still = np.ptp(q, axis=0) < STILL
        self._find_unmeasured(times, q, dq)
        self._find_stuck(sampled, times[-1], q[-1])
        self._find_own(times, q)

    def checked(self, events: Iterable[Event]) -> Iterator[Event]:
        """Return the events without the states that the arm cannot have been in."""
        outside = False  # whether the newest state is beyond the limits
        held: list[Event] = []  # events from the first state on that is out of reach
        for event in events:
            if event.kind != STATE:
                if held:
                    held.append(event)
                else:
                    yield event
                continue
            if why := self._impossible(event.value.position):
                self.left_out[why] += 1
                self._wraps += not outside and not self._reaches(event)
                outside = True
                continue
            outside = False
            if not self._reaches(event):
                held.append(event)
                if event.time - held[0].time > self._patience:
                    yield from self._jump(held)
                    held = []
                continue
            yield from self._drop_states(held)
            held = []
            self._own = event.time, event.value.position
            yield self._cleared(event)
        yield from self._drop_states(held)

    def findings(self) -> list[dict[str, Any]]:
        """Return (finding, count, likely cause or '') of each kind, for the report."""
        found = [{'finding': f'state {why}', 'count': count, 'cause': self._cause(why)}
                 for why, count in sorted(self.left_out.items())]
        if self.jumps:
            joint = int(self._largest_jump.argmax())
            found.append({
                'finding': f'jump between states, of up to {self._largest_jump[joint]:.3g} by '
                f'{self._names[joint]}, faster than its velocity limit', 'count': self.jumps,
                'cause': 'an encoder that wraps or is set anew, or a simulation that was reset'})
        still = self._still & ~self.stuck & ~self._still.all()
        for chosen, finding, cause in (
            (self.stuck, 'is commanded but never moves; ticks with its commands are left out',
             'a joint that is not connected, or whose driver repeats one value'),
            (still, 'never moves', ''),
            (self.unmeasured & ~self._degrees_per_s, 'has velocity 0 while it moves; derived from '
             'positions', 'a driver that does not measure velocities'),
            (self._degrees_per_s, 'has a velocity 57 times the change of its position; derived '
             'from positions', 'degrees per second for rad/s'),
        ):
            if chosen.any():
                names = ', '.join(np.array(self._names)[chosen])
                found.append({'finding': f'{names} {finding}', 'count': int(chosen.sum()),
                              'cause': cause})
        return found

    def _are_degrees(self, q: np.ndarray) -> bool:
        """Return True if positions (k, n) are possible in degrees, and in rad are not."""
        beyond = ((q < self._low) | (q > self._high)).any(axis=1)
        in_rad = q / DEGREES
        possible = ((in_rad >= self._low) & (in_rad <= self._high)).all()
        return bool(beyond.mean() > 0.05 and possible and np.abs(q).max() > TURNS)

    def _find_unmeasured(self, times: np.ndarray, q: np.ndarray, dq: np.ndarray) -> None:
        passed = np.diff(times) * 1e-9
        rising = passed > 0.0
        if not rising.any():
            return
        change = np.abs(np.diff(q, axis=0)[rising] / passed[rising, None])
        told = np.abs(dq[1:][rising])
        measured = ~np.isnan(told)
        self.unmeasured = ~self._still & measured.all(axis=0) & (told == 0.0).all(axis=0)
        for joint in np.flatnonzero(~self._still & measured.all(axis=0)):
            moving = change[:, joint] > ACTIVE
            if moving.sum() >= LEAST:
                ratio = float(np.median(told[moving, joint] / change[moving, joint]))
                self._degrees_per_s[joint] = 0.9 < ratio / DEGREES < 1.1
        self.unmeasured |= self._degrees_per_s

    def _find_stuck(self, events: list[Event], end: int, q: np.ndarray) -> None:
        """Find the joints that do not move and were commanded to long enough before `end`."""
        for event in events:
            if event.kind == COMMAND and end - event.time > RESPONSE * 1e9:
                self.stuck |= self._still & _commanded(event.value, q)

    def _find_own(self, times: np.ndarray, q: np.ndarray) -> None:
        """
        Choose the states of the arm where those of two publishers alternate.

        Each state belongs to the publisher whose newest one it is nearest to among those from
        which it can be reached. The arm is the one that moves, else the one with more states.
        """
        publishers: list[list[int]] = []
        runs: list[int] = []
        last = -1
        for number, (time, position) in enumerate(zip(times, q, strict=True)):
            if self._impossible(position):
                continue
            near = [index for index, one in enumerate(publishers)
                    if self._within((times[one[-1]], q[one[-1]]), time, position)]
            if near:
                chosen = min(near, key=lambda one: np.abs(q[publishers[one][-1]] - position).max())
                publishers[chosen].append(number)
            elif len(publishers) < LEAST:
                chosen = len(publishers)
                publishers.append([number])
                runs.append(0)
            else:
                continue
            runs[chosen] += chosen != last
            last = chosen
        alternating = [len(one) / run <= LONGEST_RUN for one, run in zip(
            publishers, runs, strict=True) if len(one) >= LEAST]
        publishers = [one for one in publishers if len(one) >= LEAST]
        if len(publishers) < 2 or not any(alternating):
            return
        best = max(publishers, key=lambda one: (np.ptp(q[one], axis=0).max() > STILL, len(one)))
        usual = float(np.median(np.diff(times[best])))
        self._patience = max(self._patience, round(5.0 * usual))
        self._own = int(times[best[0]]), q[best[0]]

    def _impossible(self, q: np.ndarray) -> str:
        if self._degrees:
            return IN_DEGREES
        if ((q >= self._low) & (q <= self._high)).all():
            return ''
        self._extremes = np.array([np.minimum(self._extremes[0], q),
                                   np.maximum(self._extremes[1], q)])
        return BEYOND_LIMITS

    def _reaches(self, event: Event) -> bool:
        """Return True if the arm can get from its newest state, if any, to that of the event."""
        return self._own is None or self._within(self._own, event.time, event.value.position)

    def _within(self, start: tuple[int, np.ndarray], time: int, q: np.ndarray) -> bool:
        """Return True if the arm can get from `start`, a time in ns and a position, to `q`."""
        passed = abs(int(time) - int(start[0])) * 1e-9 + self._slack
        return bool((np.abs(q - start[1]) <= self.speed * passed).all())

    def _jump(self, held: list[Event]) -> Iterator[Event]:
        """Return the held events: the arm's own states continue from the newest of them."""
        states = [event for event in held if event.kind == STATE]
        self.jumps += 1
        self._largest_jump = np.maximum(
            self._largest_jump, np.abs(states[0].value.position - self._own[1]))
        newest = states[-1]
        self._own = newest.time, newest.value.position
        for event in held:
            if event.kind != STATE or self._reaches(event):
                yield self._cleared(event)
            else:
                self.left_out[FOREIGN] += 1

    def _drop_states(self, held: list[Event]) -> Iterator[Event]:
        """Return the held events without the states, which are of another publisher."""
        for event in held:
            if event.kind != STATE:
                yield event
                continue
            self.left_out[FOREIGN] += 1
            self._zeros = self._zeros and not event.value.position.any()

    def _cleared(self, event: Event) -> Event:
        """Return the event without velocities that are no measurement."""
        if event.kind != STATE or not self.unmeasured.any():
            return event
        velocity = np.where(self.unmeasured, np.nan, event.value.velocity)
        return event._replace(value=event.value._replace(velocity=velocity))

    def _cause(self, why: str) -> str:
        if why == IN_DEGREES:
            return 'degrees for radians; convert the bag'
        if why == FOREIGN and self.left_out[why] < LEAST:
            return 'spikes of a sensor, or a second publisher of joint states'
        if why == FOREIGN:
            return 'a second publisher of joint states' + (
                ' that says zeros, such as joint_state_publisher' if self._zeros else '')
        kinematics = self.arm.kinematics
        worst = [
            f'{name} {low:.4g} to {high:.4g} beyond {least:.4g} to {most:.4g}'
            for name, low, high, least, most in zip(
                self._names, *self._extremes, kinematics.position_low, kinematics.position_high,
                strict=True) if low < least or high > most]
        guess = "joint zeros that differ from the URDF's"
        if np.abs(self._extremes).max(initial=0.0, where=np.isfinite(self._extremes)) > TURNS:
            guess = 'degrees for radians, or raw counts of an encoder'
        elif self._wraps:
            guess = 'an encoder that wraps'
        return f'{guess} ({"; ".join(worst)})'


def _commanded(value: Setpoint | Path, q: np.ndarray) -> np.ndarray:
    """Return for each joint (n,) whether a command moves it, from where it stands at `q`."""
    if isinstance(value, Path):
        return (np.abs(value.q - q) > ACTIVE).any(axis=0)
    moves = np.zeros(len(q), dtype=bool)
    if value.position is not None:
        moves |= np.abs(value.position - q) > ACTIVE
    if value.velocity is not None:
        moves |= np.abs(value.velocity) > ACTIVE
    return moves
