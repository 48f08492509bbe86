# SPDX-License-Identifier: Apache-2.0
"""Preflight checks: validate a policy against a robot and task before the arm moves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
import resource
import time

import numpy as np

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.config.files import parameter_file, read_parameter_file
from rl_control.config.nodes import PolicyNodeSettings
from rl_control.control.policy_controller import Margins, PolicyController
from rl_control.control.realtime_loop import PRIORITY
from rl_control.control.watchdog import stale_age
from rl_control.environments.arm_model import Arm
from rl_control.environments.make import load_arm
from rl_control.policies.onnx_policy import OnnxPolicy, load

OK, WARNING, REFUSED = 'ok', 'warning', 'refused'
TIMED_TICKS = 200  # ticks of the loop that are timed, without an arm
TICK_LIMIT = 0.5  # of the control period: the longest time of a tick
POSES = 100  # poses that are checked for collisions
REST_LIMIT = 0.3  # s from the last command until the arm should rest


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `level` is OK, WARNING or REFUSED."""

    what: str
    level: str
    text: str


def check(policy: Path | str, robot: str = '', task: str = '') -> list[Finding]:
    """
    Return the findings about a policy file for a robot and a task (names or paths of files).

    An empty `robot` or `task` means the one named in the policy. Settings below `policy:` in the
    robot's file, such as `collision_distance`, apply as they do in the node. Bad input is a
    finding, not an exception; checks that depend on a refused item are left out. Takes about a
    second, needs no ROS and moves nothing.
    """
    findings: list[Finding] = []
    loaded = _attempt(findings, 'policy', lambda: load(policy), _describe_policy)
    if loaded is not None:
        robot, task = robot or loaded.contract.robot, task or loaded.contract.task
    arm = margins = None
    if robot:
        arm = _attempt(findings, 'robot', lambda: load_arm(robot, task or 'reach'), _describe_arm)
    if arm is not None:
        findings.append(_rest_time(arm))
        margins = _attempt(findings, 'margins', lambda: _margins(arm, robot),
                           partial(_describe_margins, arm))
    if margins is not None and margins.collision_distance:
        findings += _distance(arm, margins.collision_distance)
    if loaded is None or margins is None:
        return findings

    def compare() -> OnnxPolicy:
        arm.contract().require_equal(loaded.contract, f'robot {robot}', f'policy {policy}')
        return loaded

    if _attempt(findings, 'contract', compare, lambda _: f'the same, {loaded.contract.hash[:12]}'):
        findings.append(_timing(arm, loaded, margins))
    findings.append(_priority())
    return findings


def check_controller(
    facts: Mapping[str, object], joint_names: Sequence[str], control_period: float
) -> Iterator[Finding]:
    """
    Yield the findings about a running controller.

    `facts` are `state`, `joints`, `command_interfaces`, `update_rate` Hz and
    `interpolate_from_desired_state`, as `ros.controller_info.controller_facts` returns them; an
    unknown one is None.
    """
    state = facts.get('state')
    yield Finding('controller state', OK if state == 'active' else REFUSED,
                  f'the controller is {state or "not running"}'
                  + ('' if state == 'active' else '; load and activate it'))
    joints = list(facts.get('joints') or [])
    missing = [name for name in joint_names if name not in joints]
    extra = [name for name in joints if name not in joint_names]
    if missing or extra:
        yield Finding('controller joints', REFUSED,
                      f'the controller lacks [{", ".join(missing)}] and has '
                      f'[{", ".join(extra)}] too many; give it the joints of the robot file')
    elif joints != list(joint_names):
        yield Finding('controller joints', WARNING, 'the same in another order: fine for '
                      'trajectories, which go by name, not for forward commands')
    else:
        yield Finding('controller joints', OK, 'the same in the same order')
    rate = facts.get('update_rate')
    if not isinstance(rate, (int, float)) or rate <= 0:
        yield Finding('update rate', WARNING, 'not known: no controller_manager answered')
    else:
        enough = rate * control_period >= 1.0
        yield Finding('update rate', OK if enough else REFUSED, f'{rate} Hz for a policy of '
                      f'{1.0 / control_period:g} Hz' + ('' if enough else '; it must be higher'))
    if facts.get('interpolate_from_desired_state') is False:
        yield Finding('interpolation', WARNING,
                      'interpolate_from_desired_state is false: each trajectory begins at the '
                      'measured state and the motion will be rough; set it to true')


def _attempt(findings: list[Finding], what: str, make: Callable, describe: Callable):
    """Call `make` and add a finding; return its result, None if it was refused."""
    try:
        made = make()
    except InvalidInput as refused:
        findings.append(Finding(what, REFUSED, str(refused)))
        return None
    findings.append(Finding(what, OK, describe(made)))
    return made


def _describe_policy(policy: OnnxPolicy) -> str:
    return (f'{policy.algorithm} version {policy.version}, digest and test vectors match, '
            f'every {policy.contract.control_period:g} s')


def _describe_arm(arm: Arm) -> str:
    settings = arm.settings
    return f'{settings.name}: {len(settings.joint_names)} joints, {settings.end_effector}'


def _rest_time(arm: Arm) -> Finding:
    """Return the finding on the slowest joint's stop from full speed, v/a + a/j in s."""
    limits = arm.limits
    peak = np.minimum(limits.acceleration, np.sqrt(limits.velocity * limits.jerk))
    times = arm.control_period + limits.velocity / peak + peak / limits.jerk
    slowest = int(np.argmax(times))
    text = (f'{times[slowest]:.3f} s after its last command at full speed joint '
            f'{arm.settings.joint_names[slowest]} rests')
    if times[slowest] <= REST_LIMIT:
        return Finding('time to rest', OK, text)
    return Finding('time to rest', WARNING, f'{text}, more than {REST_LIMIT} s; lower '
                   'velocity_limit or raise acceleration_limit')


def _margins(arm: Arm, robot: str) -> Margins:
    """Return the margins in the robot's file; raise InvalidInput if no controller accepts them."""
    settings = PolicyNodeSettings.from_mapping(
        read_parameter_file(parameter_file('robots', robot), 'policy'))
    margins = Margins.of(settings, settings.blend_period)
    PolicyController(arm, margins)
    return margins


def _describe_margins(arm: Arm, margins: Margins) -> str:
    distance = margins.collision_distance
    stale = stale_age(margins.stale_period, arm.control_period)
    return (f'stale after {stale:g} s, tracking within '
            f'{_tracking(arm, margins)}, ' + ('a box, ' if margins.workspace_low else 'no box, ')
            + (f'{distance:g} m kept' if distance else 'no distance kept')
            + ' from itself and the table')


def _tracking(arm: Arm, margins: Margins) -> str:
    values = {'rad': margins.tracking_limit, 'm': margins.slide_tracking_limit}
    return ' and '.join(f'{values[unit]:g} {unit}' for unit in values if unit in arm.units)


def _distance(arm: Arm, distance: float) -> Iterator[Finding]:
    """Yield the links nearer than `distance` m at home, and the share of start poses with any."""
    from rl_control.control.collision import CollisionMargins  # imports PyBullet

    clearance = CollisionMargins(arm, distance)
    if clearance.excluded:
        yield Finding('collision distance', WARNING, f'nearer than {distance:g} m at home, and '
                      f'therefore not checked: {", ".join(clearance.excluded)}')
    rng = np.random.default_rng(0)
    found = [clearance.nearest(arm.draw_start(rng)) for _ in range(POSES)]
    near = [pair for nearest, pair in found if nearest < distance]
    if near:
        yield Finding('start poses', WARNING, f'{len(near)} of {POSES} start poses are nearer '
                      f'than {distance:g} m ({", ".join(sorted(set(near)))}); lower start_range '
                      'or move home')
    else:
        yield Finding('start poses', OK, f'{POSES} of {POSES} keep {distance:g} m')


def _timing(arm: Arm, policy: OnnxPolicy, margins: Margins) -> Finding:
    controller = PolicyController(arm, replace(margins, stale_period=10.0))
    controller.policy, controller.goal = policy, poses.from_matrix(arm.kinematics.pose(arm.home))
    taken, period = np.zeros(TIMED_TICKS), arm.control_period
    for tick in range(TIMED_TICKS):
        now = tick * period
        controller.receive(now, now, arm.home, np.zeros_like(arm.home))
        began = time.perf_counter()
        controller.tick(now, now)
        taken[tick] = time.perf_counter() - began
    p99 = float(np.percentile(taken, 99.0))
    text = f'a tick takes {1e3 * p99:.2f} ms (p99) of {1e3 * period:g} ms'
    if p99 <= TICK_LIMIT * period:
        return Finding('timing', OK, text)
    return Finding('timing', REFUSED, f'{text}, more than {TICK_LIMIT:.0%}; use a faster '
                   'machine, a smaller network or a lower control rate')


def _priority() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    with open('/proc/self/status') as status:
        capable = next(int(line.split()[1], 16) for line in status if line.startswith('CapEff'))
    if soft >= PRIORITY or capable & 1 << 23:  # CAP_SYS_NICE, capability(7)
        return Finding('real-time priority', OK, f'allowed up to {max(soft, PRIORITY)}')
    return Finding('real-time priority', WARNING, f'not allowed; put rtprio {PRIORITY} and '
                   'memlock unlimited for this user in /etc/security/limits.conf')
