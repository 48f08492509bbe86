# SPDX-License-Identifier: Apache-2.0
"""
Resample a robot's topics at the ticks of the contract into transitions.

At tick t the newest message with time <= t is used and no later one. A transition goes from tick k
to k + 1; its action is the velocity commanded in between. That is the applied action: a bag does
not contain what a controller requested before its limits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from rl_control.bags.command_velocity import Derivation
from rl_control.bags.decoding import Unusable
from rl_control.bags.joint_mapping import Path, Setpoint
from rl_control.bags.robot_topics import COMMAND, EPISODE_END, GOAL_SET, STATE, Event
from rl_control.bags.state_checks import StateChecks
from rl_control.bags.time_quality import Histogram
from rl_control.common import poses
from rl_control.common.episode import Episode
from rl_control.common.types import Command, Outcome, State, Transition
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.arm_model import Arm

OLD_STATE = 'the newest joint state is too old'
SAME_STATE = 'no new joint state since the tick before'
GAP = 'a gap in the joint states'
STEP = 'a joint has moved farther than its velocity limit allows'
STUCK = 'a joint is commanded that never moves'
NO_GOAL = 'no goal yet'
BEYOND = "the action is beyond the contract's bounds"
UNUSABLE_BEFORE = 'the tick before was not usable'
TIME_SLACK = 0.25  # of a control period by which two receipts may be nearer than their states
STUCK_SPEED = 1e-3  # rad/s or m/s: a slower command moves no joint noticeably
TOLERANCE = 1e-9  # of the action's range: rounding is no excess
NO_POLICY = -1


@dataclass(frozen=True, slots=True)
class Sampled:
    """Transition, the tick at which it begins, and the ages of the messages used, in s."""

    transition: Transition
    tick: float
    state_age: float
    next_state_age: float
    command_age: float


@dataclass(frozen=True, slots=True)
class _Tick:
    """State and times of the messages in force at one tick, in ns."""

    time: int
    state: State
    state_time: int
    command_time: int


class Sampler:
    """
    Resampler of the events of one bag; `ticks` and `reasons` count what became of them.

    `commanded`: there is a topic of commands; `first_episode`: number of the first episode;
    `checks`: what is known of the joint states.
    """

    def __init__(
        self, arm: Arm, settings: SamplingSettings, *, commanded: bool, first_episode: int = 0,
        checks: StateChecks | None = None,
    ) -> None:
        self.ticks = 0
        self.reasons: dict[str, int] = {}
        self.state_ages, self.command_ages = Histogram(), Histogram()
        self.largest_refused = np.zeros(len(arm.settings.joint_names))  # rad/s
        self.derived_dq = np.zeros(len(arm.settings.joint_names), dtype=bool)
        self.episodes = first_episode
        self._arm = arm
        self._settings = settings
        self._period = arm.control_period * 1e9
        self._max_age = round((settings.max_age or arm.control_period) * 1e9)
        self._max_gap = round(settings.max_gap * 1e9)
        seconds = settings.episode_period
        if seconds < 0.0:
            borders = bool(settings.episode_topic) or not settings.goal
            seconds = 0.0 if borders else arm.task.settings.episode_period
        self._length = round(seconds / arm.control_period)
        self._scale = arm.limits.velocity
        self._checks = checks or StateChecks(arm)
        self.derivation: Derivation | None = None
        if commanded:
            self.derivation = Derivation(
                settings.command_age, settings.command_interface,
                measured=settings.action == 'measured')
        self._follows = commanded and settings.action == 'command'
        self._origin: int | None = None  # ns that the derivation's seconds count from
        self._command_time = 0
        self._state: tuple[int, Setpoint] | None = None
        self._goal = poses.from_position(settings.goal) if settings.goal else None
        self._border = self._gap = False
        self._before: _Tick | None = None
        self._last_state: tuple[int, np.ndarray] | None = None  # at the tick before
        self._episode: Episode | None = None
        self._pending: Sampled | None = None

    def sample(self, events: Iterable[Event]) -> Iterator[Sampled]:
        """Return the transitions of `events`, which are in the order of time."""
        start, number, tick = None, 0, 0
        aligned = not self._follows
        for event in events:
            if self._origin is None:
                self._origin = event.time
            if start is None and event.kind == STATE:
                start = tick = event.time
            while start is not None and tick < event.time:
                yield from self._tick(tick)
                if tick - self._state[0] > self._max_age:
                    # Nothing changes until the next event: count these ticks without resampling.
                    number += self._pass_over(int((event.time - 1 - tick) // self._period))
                number += 1
                tick = start + round(number * self._period)
            self._process(event)
            if start is not None and event.kind == COMMAND and not aligned:
                # Align the ticks with those of the commanding process, or each action would be
                # a mixture of two. The first point of a trajectory is at its next tick.
                first_point = event.value.times[0] * 1e9 if isinstance(event.value, Path) else 0.0
                start = tick = event.time + round(first_point % self._period)
                number, aligned = 0, True
        if start is not None and self._state[0] >= tick:
            yield from self._tick(tick)
        yield from self._end()

    def _pass_over(self, ticks: int) -> int:
        if ticks and self.derivation is not None:
            self.derivation.restart()
        self._refuse(OLD_STATE, ticks)
        self.ticks += ticks
        return ticks

    def _process(self, event: Event) -> None:
        if event.kind == STATE:
            if self._state is not None and event.time - self._state[0] > self._max_gap:
                self._gap = True
            self._state = event.time, event.value
        elif event.kind == COMMAND:
            if self.derivation.add((event.time - self._origin) * 1e-9, event.value):
                self._command_time = event.time
        elif event.kind == GOAL_SET:
            changed = self._goal is None or (event.value != self._goal).any()
            self._border = self._border or changed
            self._goal = event.value
        elif event.kind == EPISODE_END:
            self._border = self._border or bool(event.value)

    def _tick(self, time: int) -> Iterator[Sampled]:
        self.ticks += 1
        before, self._before = self._before, None
        try:
            now = self._resample(time)
        except Unusable as reason:
            self._refuse(str(reason))
            yield from self._end()
            return
        self._before = now
        reason = ''
        if before is None:
            reason = UNUSABLE_BEFORE
        elif self._gap:
            reason = GAP
        elif self._steps_too_far(before, now):
            reason = STEP
        elif (np.abs(now.state.command.dq[self._checks.stuck]) > STUCK_SPEED).any():
            reason = STUCK
        else:
            reason = self._beyond(now.state.command.dq)
        self._gap = False
        border, self._border = self._border, False
        if reason:
            self._refuse(reason)
            yield from self._end()
            return
        yield from self._flush()
        self._pending = self._step(before, now, border)
        if self._pending.transition.terminated or self._pending.transition.truncated:
            yield from self._end()

    def _resample(self, time: int) -> _Tick:
        """Return the messages in force at `time`; raise Unusable where one lacks."""
        state_time, state = self._state
        last, self._last_state = self._last_state, (state_time, state.position)
        derived = None, None
        if self.derivation is not None:
            derived = self.derivation.tick((time - self._origin) * 1e-9)
        if time - state_time > self._max_age:
            raise Unusable(OLD_STATE)
        self.state_ages.add((time - state_time) * 1e-9)
        if last is not None and last[0] >= state_time:
            raise Unusable(SAME_STATE)
        dq, unmeasured = state.velocity, np.isnan(state.velocity)
        if unmeasured.any():
            if last is None:
                raise Unusable('no earlier joint state to derive the velocity from')
            self.derived_dq |= unmeasured
            difference = (state.position - last[1]) / ((state_time - last[0]) * 1e-9)
            dq = np.where(unmeasured, difference, dq)
        if isinstance(derived, str):
            raise Unusable(derived)
        if self._command_time:
            self.command_ages.add((time - self._command_time) * 1e-9)
        if self._goal is None:
            raise Unusable(NO_GOAL)
        velocity = dq if derived[0] is None else derived[0]
        position = state.position if derived[1] is None else derived[1]
        command = Command(position, velocity, np.zeros_like(velocity))
        state = self._arm.state(state_time * 1e-9, state.position, dq, command, self._goal)
        return _Tick(time, state, state_time, self._command_time or time)

    def _steps_too_far(self, before: _Tick, now: _Tick) -> bool:
        passed = (now.state_time - before.state_time + TIME_SLACK * self._period) * 1e-9
        return bool((np.abs(now.state.q - before.state.q) > self._checks.speed * passed).any())

    def _beyond(self, velocity: np.ndarray) -> str:
        if (np.abs(velocity) <= self._scale * (1.0 + TOLERANCE)).all():
            return ''
        np.maximum(self.largest_refused, np.abs(velocity), out=self.largest_refused)
        return BEYOND

    def _step(self, before: _Tick, now: _Tick, border: bool) -> Sampled:
        """Return the transition from `before` to `now`, with the goal of `before`."""
        task = self._arm.task
        if self._episode is None:
            self._episode = Episode(self.episodes, task.observe(before.state))
        action = now.state.command.dq
        state = replace(now.state, goal=before.state.goal)
        terminated = task.terminated(state)
        last = border or (self._length > 0 and self._episode.steps + 1 >= self._length)
        transition = self._episode.add(action, float('nan'), NO_POLICY, Outcome(
            observation=task.observe(state),
            reward=task.reward(action / self._scale, state),
            terminated=terminated,
            truncated=last and not terminated,
            applied=action,
            stamp=state.stamp,
        ))
        return Sampled(
            transition, before.time * 1e-9, (before.time - before.state_time) * 1e-9,
            (now.time - now.state_time) * 1e-9, (now.time - now.command_time) * 1e-9)

    def _flush(self) -> Iterator[Sampled]:
        pending, self._pending = self._pending, None
        if pending is not None:
            yield pending

    def _end(self) -> Iterator[Sampled]:
        """Return the last transition of the episode, truncated unless the task terminated it."""
        if self._pending is not None and not self._pending.transition.terminated:
            self._pending = replace(
                self._pending, transition=replace(self._pending.transition, truncated=True))
        yield from self._flush()
        if self._episode is not None:
            self.episodes += 1
            self._episode = None

    def _refuse(self, reason: str, number: int = 1) -> None:
        if number:
            self.reasons[reason] = self.reasons.get(reason, 0) + number
