# SPDX-License-Identifier: Apache-2.0
"""
Check the limiter's limits over 100,000 random sequences, and time it.

Each sequence is one joint with random limits, a random start from which it can stop, and one kind
of adversarial requests at periods between 1 ms and 100 ms. Prints the largest excess of each limit
(at samples, between them, and of the stop from each) and exits with 1 if any is above 1e-9.
"""

import argparse
from itertools import pairwise
import sys
import time
import timeit
from unittest import mock

import numpy as np

from rl_control.common.types import Command
from rl_control.robots import limits as module
from rl_control.robots.limits import Limits, limit

ALLOWED = 1e-9
KINDS = 6
NAMES = ('position', 'velocity', 'acceleration', 'jerk', 'position between samples',
         'velocity between samples', 'acceleration between samples', 'position of the stop',
         'not one continuous motion')


def draw_limits(rng: np.random.Generator, count: int) -> Limits:
    """Return limits of `count` joints, from slow and stiff to fast and soft."""
    def spread(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), count))
    low = rng.uniform(-3.0, 3.0, count)
    return Limits(low, low + spread(1e-3, 6.0), spread(0.05, 5.0), spread(0.1, 50.0),
                  spread(1.0, 5000.0))


def draw_start(rng: np.random.Generator, limits: Limits) -> Command:
    """Return a moving start whose whole stop is inside the limits, or one at rest."""
    count = len(limits.jerk)
    q = rng.uniform(limits.position_low, limits.position_high)
    start = Command(q, rng.uniform(-1.0, 1.0, count) * limits.velocity,
                    rng.uniform(-1.0, 1.0, count) * limits.acceleration)
    low, high = _stop_span(start, limits)
    turned = start.dq + start.ddq * np.abs(start.ddq) / (2.0 * limits.jerk)
    fair = ((limits.position_low <= low) & (high <= limits.position_high)
            & (np.abs(turned) <= limits.velocity))
    return Command(q, np.where(fair, start.dq, 0.0), np.where(fair, start.ddq, 0.0))


def draw_request(
    rng: np.random.Generator, kind: np.ndarray, at: Command, before: np.ndarray, limits: Limits,
) -> np.ndarray:
    """Return the next request (n,) of each joint's kind."""
    count = len(kind)
    middle = 0.5 * (limits.position_low + limits.position_high)
    choices = np.stack([
        rng.uniform(-2.0, 2.0, count) * limits.velocity,
        rng.choice([-1.0, 1.0], count) * limits.velocity,
        np.sign(at.q - middle) * 1e300,  # always towards the nearer limit
        np.where(rng.random(count) < 0.1, rng.normal(size=count) * limits.velocity, before),
        rng.choice([0.0, -0.0, 1e-300, -1e-12, 1e-7, -1e9], count),
        np.where(at.dq > 0.0, -1.0, 1.0) * rng.exponential(1.0, count) * limits.velocity,
    ])
    return choices[kind, np.arange(count)]


def worst(seed: int, count: int, steps: int, between: int = 4) -> np.ndarray:
    """Return the largest excess of each of NAMES over `count` sequences of `steps` commands."""
    rng = np.random.default_rng(seed)
    limits = draw_limits(rng, count)
    kind = rng.integers(0, KINDS, count)
    command, request = draw_start(rng, limits), np.zeros(count)
    excess = np.full(len(NAMES), -np.inf)
    rule = rng.integers(0, 3)  # periods that change, that hardly do, and one that stays
    period = rng.uniform(1e-3, 0.1)
    toward, ways = module._toward, {}

    def remembering(*arguments: float) -> tuple[float, float, float]:
        ways[toward(*arguments)] = arguments
        return toward(*arguments)

    for _ in range(steps):
        dt = (np.exp(rng.uniform(np.log(1e-3), np.log(0.1))) if rule == 0 else
              np.clip(period * rng.uniform(0.9, 1.1), 1e-3, 0.1) if rule == 1 else period)
        request = draw_request(rng, kind, command, request, limits)
        ways.clear()
        with mock.patch.object(module, '_toward', remembering):
            after = limit(request, command, dt, limits)
        found = [*_of(after, limits), np.abs(after.ddq - command.ddq) - limits.jerk * dt]
        # The way that was taken, sampled between the two commands.
        joints = zip(after.q.tolist(), after.dq.tolist(), after.ddq.tolist(), strict=True)
        taken = [ways[joint] for joint in joints]
        way = [command] + [
            Command(*np.array([toward(*one[:4], part * dt, *one[5:]) for one in taken]).T)
            for part in np.linspace(0.0, 1.0, between + 1)[1:-1]] + [after]
        found += [np.max(part, axis=0) for part in zip(*(_of(at, limits) for at in way),
                                                       strict=True)]
        low, high = _stop_span(after, limits)
        found.append(np.maximum(limits.position_low - low, high - limits.position_high))
        found.append(np.max([_torn(first, second, dt / between, limits)
                             for first, second in pairwise(way)], axis=0))
        excess = np.maximum(excess, [np.max(part) for part in found])
        command = after
    return excess


def _stop_span(at: Command, limits: Limits) -> np.ndarray:
    """Return the least and greatest positions (2, n) of the stop, as test_limits.py checks."""
    state = at.q.tolist(), at.dq.tolist(), at.ddq.tolist()
    return np.array(list(map(module._span, *state, *limits.columns[3:]))).T


def _of(at: Command, limits: Limits) -> list[np.ndarray]:
    return [np.maximum(limits.position_low - at.q, at.q - limits.position_high),
            np.abs(at.dq) - limits.velocity, np.abs(at.ddq) - limits.acceleration]


def _torn(first: Command, second: Command, dt: float, limits: Limits) -> np.ndarray:
    """Return how far `second` is beyond the reach of limited jerk from `first`."""
    dq = first.dq + dt * first.ddq
    q = first.q + dt * (first.dq + dt * first.ddq / 2.0)
    return np.max([np.abs(second.ddq - first.ddq) - limits.jerk * dt,
                   np.abs(second.dq - dq) - limits.jerk * dt**2 / 2.0,
                   np.abs(second.q - q) - limits.jerk * dt**3 / 6.0], axis=0)


def time_one(joints: int = 7) -> dict[str, float]:
    """Return the time in us of one call, far from the position limits and pushed onto them."""
    wide, dt = [np.full(joints, value) for value in (-2.9, 2.9, 1.5, 10.0, 200.0)], 0.05
    limits, rng = Limits(*wide), np.random.default_rng(0)
    requests = rng.uniform(-1.5, 1.5, (200, joints))
    command = Command.at_rest(np.zeros(joints))
    ordinary = [command := limit(request, command, dt, limits) for request in requests]
    pushed = Command.at_rest(np.zeros(joints))
    for _ in range(60):
        pushed = limit(np.full(joints, 1.5), pushed, dt, limits)
    calls = {
        'ordinary': lambda: [limit(request, at, dt, limits)
                             for request, at in zip(requests, ordinary, strict=True)],
        'all joints pushed onto a limit': lambda: [
            limit(limits.velocity, pushed, dt, limits) for _ in requests],
    }
    return {name: min(timeit.repeat(call, number=1, repeat=20)) / len(requests) * 1e6
            for name, call in calls.items()}


def main() -> int:
    """Run the sequences, print the figures, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--sequences', type=int, default=100_000, help='how many, in hundreds')
    parser.add_argument('--steps', type=int, default=50, help='commands in each')
    parser.add_argument('--seed', type=int, default=0, help='of the first hundred')
    arguments = parser.parse_args()
    for name, duration in time_one().items():
        print(f'one call of 7 joints, {name}: {duration:.1f} us')
    batches, start = max(1, arguments.sequences // 100), time.monotonic()
    excess, violations = np.full(len(NAMES), -np.inf), 0
    for batch in range(batches):
        found = worst(arguments.seed + batch, 100, arguments.steps)
        violations += int((found > ALLOWED).sum())
        excess = np.maximum(excess, found)
        if sys.stderr.isatty():
            print(f'\r{100 * (batch + 1)} sequences', end='', file=sys.stderr)
    print(f'{100 * batches} sequences of {arguments.steps} commands in '
          f'{time.monotonic() - start:.0f} s: {violations} violations beyond {ALLOWED}')
    for name, value in zip(NAMES, excess, strict=True):
        print(f'  largest excess, {name}: {value:.2e}')
    return int(violations > 0)


if __name__ == '__main__':
    sys.exit(main())
