# SPDX-License-Identifier: Apache-2.0
"""The policy node: drives the arm by a policy, within limits, at a fixed rate."""

from collections.abc import Collection
import math
import time

from rclpy.executors import Executor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from rl_control.common.errors import InvalidInput
from rl_control.config.nodes import PolicyNodeSettings
from rl_control.control.interlocks import BoolInterlock, SubscriberInterlock
from rl_control.control.policy_controller import Margins, PolicyController
from rl_control.control.policy_switch import PolicySwitch
from rl_control.control.realtime_loop import RealtimeLoop, SimTimeLoop
from rl_control.control.shadow_controller import ShadowController
from rl_control.nodes.arm_parameters import declare_arm
from rl_control.nodes.control_diagnostics import ControlDiagnostics
from rl_control.policies.onnx_policy import OnnxPolicy, load
from rl_control.ros import codec, qos
from rl_control.ros.arm_topics import ArmTopics
from rl_control.ros.interlock_topics import BoolInterlockTopic
from rl_control.ros.node_main import every, run
from rl_control.ros.parameters import declare, watch

POLL_PERIOD = 0.05  # s between looks at the estop and at what the loop says
BRAKING = 1.5  # s that an arm has to come to rest: limits.stop takes a third of it

Result = TransitionCallbackReturn


class Policy(LifecycleNode):
    """
    A lifecycle node: configure loads and checks, activate commands, deactivate brings to rest.

    The loop's thread takes joint states and estop, drives, and publishes; the executor brings
    goals, policies and services, each handed over by one assignment.
    """

    def __init__(self) -> None:
        super().__init__('policy')
        self._settings = declare(self, 'policy', PolicyNodeSettings)
        self._arm = declare_arm(self)
        self._simulated_time = self.get_parameter('use_sim_time').value
        self._succession = PolicySwitch(self._arm.contract())
        self._flags = (
            BoolInterlock('estop', True, 'the estop is pressed', self._settings.estop_heartbeat),
            BoolInterlock('robot_ready', False, 'the robot is not ready (protective stop)'))
        self._taker = SubscriberInterlock('joint_trajectory')
        self._driving = self._fresh_driving()
        self._estop, self._ready = topics = [
            BoolInterlockTopic(self, flag) for flag in self._flags
        ]
        self._loop: RealtimeLoop | None = None
        self._refusal: InvalidInput | None = None
        self._topics = ArmTopics(
            self, self._arm.settings.joint_names, self._arm.control_period, topics,
            '~/joint_trajectory' if self._settings.shadow else 'joint_trajectory')
        self._difference = None
        if self._settings.shadow:
            self._difference = self.create_publisher(
                codec.Number, 'metrics/shadow_difference', qos.METRICS)
        self._report = ControlDiagnostics(self)
        self.create_subscription(codec.Goal, 'goal', self._on_goal, qos.GOAL)
        self._subscription = None
        self.create_service(codec.Trigger, '~/resume', self._on_resume)
        self.create_service(codec.Trigger, '~/rollback', self._on_rollback)
        every(self, POLL_PERIOD, self._look)
        watch(self, 'policy', self._settings, self._adopt)
        self._autostart = self._settings.autostart
        if self._autostart:
            self.trigger_configure()
            if self._refusal is not None:
                raise self._refusal

    def on_configure(self, state: LifecycleState) -> Result:
        """Load the policy and check it; a refused one leaves the node as it was."""
        self._succession = PolicySwitch(self._arm.contract())
        self._refusal = None
        if not self._settings.policy:
            self._subscription = self.create_subscription(
                codec.Policy, 'policy/best', self._on_policy, qos.POLICY)
            return Result.SUCCESS
        try:
            # Loading runs the test vectors, which is the warm-up as well.
            self._take(load(self._settings.policy), f'policy {self._settings.policy}')
        except InvalidInput as refused:
            self._refusal = refused
            self.get_logger().error(str(refused))
            return Result.FAILURE
        return Result.SUCCESS

    def on_activate(self, state: LifecycleState) -> Result:
        """Begin to command, as soon as joint states and a goal are there."""
        self._autostart = False
        if self._settings.estop_required and not self._estop.look():
            self.get_logger().error(
                'not activated: nobody publishes the topic estop, and estop_required is set')
            return Result.FAILURE
        goal = self._driving.goal
        self._driving = self._fresh_driving()
        self._driving.goal, self._driving.policy = goal, self._succession.current
        self._loop = self._fresh_loop()
        self._loop.start()
        return Result.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> Result:
        """Bring the arm to rest, then stop commanding."""
        self._rest('deactivated')
        return Result.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> Result:
        """Forget the policy."""
        self._driving.policy = None
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        return Result.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> Result:
        """Bring the arm to rest."""
        self._rest('shut down')
        return Result.SUCCESS

    def on_error(self, state: LifecycleState) -> Result:
        """Hold: bring the arm to rest and wait to be configured again."""
        self._rest('a transition failed')
        return Result.SUCCESS

    def done(self) -> bool:
        """Never, but for an error of the loop, which is raised here."""
        if self._loop is not None:
            self._loop.check()
        return False

    def close(self, executor: Executor) -> None:
        """Bring the arm to rest; a second signal changes nothing, the way is the shortest."""
        self._rest('told to end')
        self._report.publish(self._driving, self._loop, self._topics.latency)

    def _fresh_driving(self) -> PolicyController:
        settings = self._settings
        margins = Margins.of(settings, settings.blend_period)
        driving = ShadowController(self._arm, margins) if settings.shadow else PolicyController(
            self._arm, margins, (*self._flags, self._taker))
        if self._simulated_time:
            driving.watchdog.delay_limit = math.inf  # a simulated clock goes at any pace
        driving.speed = settings.speed
        return driving

    def _adopt(self, settings: PolicyNodeSettings) -> None:
        self._settings, self._driving.speed = settings, settings.speed

    def _fresh_loop(self) -> RealtimeLoop:
        """Return what ticks on the steady clock, or on /clock with use_sim_time."""
        period, notice = self._arm.control_period, self.get_logger().warning
        if self._simulated_time:
            return SimTimeLoop(period, self._tick, self._watch, self._now, 'control')
        return RealtimeLoop(period, self._tick, 'control', self._settings.real_time, notice)

    def _now(self) -> float:
        """Return the time that ticks are of in s."""
        return (self.get_clock().now().nanoseconds * 1e-9 if self._simulated_time
                else time.monotonic())

    def _watch(self) -> None:
        """Hear the arm and its guards while the clock brings no tick."""
        self._topics.take(self._driving)
        self._driving.look(time.monotonic())

    def _rest(self, why: str) -> None:
        if self._loop is None:
            return
        self._driving.fault(why)
        deadline = time.monotonic() + BRAKING
        while not self._driving.resting and time.monotonic() < deadline:
            time.sleep(0.01)
        self._loop.stop()
        self._loop = None

    def _tick(self, due: float) -> float:
        """Take what the arm says, and answer it; say when to look again; on the loop's thread."""
        driving = self._driving
        self._topics.take(driving)
        plan = driving.tick(self._now(), due, time.monotonic())
        if plan is not None:
            self._topics.send(plan)
            if self._difference is not None:
                self._difference.publish(codec.number(driving.difference))
        return 0.0 if self._simulated_time else self._topics.shift(due, plan is None)

    def _take(
        self, policy: OnnxPolicy, name: str, withdrawn: Collection[int] = (),
    ) -> None:
        self._driving.policy = self._succession.take(policy, name, withdrawn)
        self.get_logger().info(f'runs version {policy.version} of {policy.run}')

    def _on_policy(self, message: codec.Policy) -> None:
        try:
            data, _, version = codec.decode_policy(message)
            self._take(OnnxPolicy(data), f'policy/best version {version}',
                       codec.read_withdrawn(message))
        except InvalidInput as refused:
            self.get_logger().error(f'policy not taken: {refused}')

    def _on_goal(self, message: codec.Goal) -> None:
        try:
            self._driving.goal = codec.read_goal(message)
        except InvalidInput as refused:
            self.get_logger().error(f'goal not taken: {refused}')

    def _on_resume(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response
    ) -> codec.Trigger.Response:
        response.message = self._driving.resume(time.monotonic())
        response.success = not response.message
        return response

    def _on_rollback(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response
    ) -> codec.Trigger.Response:
        try:
            policy = self._succession.rollback()
            self._driving.policy = policy
            response.success, response.message = True, f'runs version {policy.version}'
        except InvalidInput as refused:
            response.message = str(refused)
        return response

    def _look(self) -> None:
        """See that the estop is there, activate when it can be, and let the report look."""
        present, _ = self._estop.look(), self._ready.look()
        self._taker.present = self._topics.taken
        required = self._settings.estop_required
        if self._loop is None:
            self._topics.take(self._driving)
            if self._autostart and (present or not required):
                self.trigger_activate()
        elif required and not present:
            self._driving.fault('nobody publishes the topic estop any more')
        self._report.look(self._driving, self._loop, self._topics.latency)


def main() -> int:
    """Run the policy node."""
    return run(Policy)


if __name__ == '__main__':
    raise SystemExit(main())
