# SPDX-License-Identifier: Apache-2.0
"""Policy node: run a policy on the arm within limits, at a fixed rate."""

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
from rl_control.ros.goal_topic import subscribe_goal
from rl_control.ros.interlock_topics import BoolInterlockTopic
from rl_control.ros.node_main import every, run
from rl_control.ros.parameters import declare, watch

POLL_PERIOD = 0.05  # s between updates of interlocks and diagnostics
BRAKE_TIMEOUT = 1.5  # s for the arm to come to rest; limits.stop needs a third of it

Result = TransitionCallbackReturn


class Policy(LifecycleNode):
    """
    Lifecycle node: configure loads and validates, activate commands, deactivate stops the arm.

    The loop's thread reads joint states and interlocks, and publishes commands. The executor
    receives goals, policies and service calls, and passes each on by one assignment.
    """

    def __init__(self) -> None:
        super().__init__('policy')
        self._settings = declare(self, 'policy', PolicyNodeSettings)
        self._arm = declare_arm(self)
        self._simulated_time = self.get_parameter('use_sim_time').value
        self._policy_switch = PolicySwitch(self._arm.contract())
        self._interlocks = (
            BoolInterlock('estop', True, 'the estop is pressed', self._settings.estop_heartbeat),
            BoolInterlock('robot_ready', False, 'the robot is not ready (protective stop)'))
        self._command_subscriber = SubscriberInterlock('joint_trajectory')
        self._controller = self._make_controller()
        self._estop, self._ready = topics = [
            BoolInterlockTopic(self, interlock) for interlock in self._interlocks
        ]
        self._loop: RealtimeLoop | None = None
        self._refusal: InvalidInput | None = None
        self._topics = ArmTopics(
            self, self._arm.settings.joint_names, self._arm.control_period, topics,
            '~/joint_trajectory' if self._settings.shadow else 'joint_trajectory')
        self._difference_publisher = None
        if self._settings.shadow:
            self._difference_publisher = self.create_publisher(
                codec.Number, 'metrics/shadow_difference', qos.METRICS)
        self._diagnostics = ControlDiagnostics(self)
        subscribe_goal(self, self._on_goal)
        self._policy_subscription = None
        self.create_service(codec.Trigger, '~/resume', self._on_resume)
        self.create_service(codec.Trigger, '~/rollback', self._on_rollback)
        every(self, POLL_PERIOD, self._update)
        watch(self, 'policy', self._settings, self._apply_settings)
        self._autostart = self._settings.autostart
        if self._autostart:
            self.trigger_configure()
            if self._refusal is not None:
                raise self._refusal

    def on_configure(self, state: LifecycleState) -> Result:
        """Load and validate the policy; after a refusal the node stays unconfigured."""
        self._policy_switch = PolicySwitch(self._arm.contract())
        self._refusal = None
        if not self._settings.policy:
            self._policy_subscription = self.create_subscription(
                codec.Policy, 'policy/best', self._on_policy, qos.POLICY)
            return Result.SUCCESS
        try:
            # Loading runs the test vectors, which also warm the runtime up.
            self._apply_policy(load(self._settings.policy), f'policy {self._settings.policy}')
        except InvalidInput as refused:
            self._refusal = refused
            self.get_logger().error(str(refused))
            return Result.FAILURE
        return Result.SUCCESS

    def on_activate(self, state: LifecycleState) -> Result:
        """Start the loop; it sends commands once joint states and a goal are there."""
        self._autostart = False
        if self._settings.estop_required and not self._estop.update_publishers():
            self.get_logger().error(
                'not activated: the topic estop has no publisher, and estop_required is set')
            return Result.FAILURE
        goal = self._controller.goal
        self._controller = self._make_controller()
        self._controller.goal, self._controller.policy = goal, self._policy_switch.current
        self._loop = self._make_loop()
        self._loop.start()
        return Result.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> Result:
        """Bring the arm to rest, then stop commanding."""
        self._bring_to_rest('deactivated')
        return Result.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> Result:
        """Drop the policy."""
        self._controller.policy = None
        if self._policy_subscription is not None:
            self.destroy_subscription(self._policy_subscription)
            self._policy_subscription = None
        return Result.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> Result:
        """Bring the arm to rest."""
        self._bring_to_rest('shut down')
        return Result.SUCCESS

    def on_error(self, state: LifecycleState) -> Result:
        """Bring the arm to rest; the node can be configured again."""
        self._bring_to_rest('a transition failed')
        return Result.SUCCESS

    def done(self) -> bool:
        """Return False; re-raise an exception of the loop's thread."""
        if self._loop is not None:
            self._loop.check()
        return False

    def close(self, executor: Executor) -> None:
        """Bring the arm to rest by the shortest stop; a second signal changes nothing."""
        self._bring_to_rest('shutting down')
        self._diagnostics.publish(self._controller, self._loop, self._topics.latency)

    def _make_controller(self) -> PolicyController:
        settings = self._settings
        margins = Margins.of(settings, settings.blend_period)
        controller = ShadowController(self._arm, margins) if settings.shadow else PolicyController(
            self._arm, margins, (*self._interlocks, self._command_subscriber))
        if self._simulated_time:
            controller.watchdog.delay_limit = math.inf  # a simulated clock may run at any rate
        controller.speed = settings.speed
        return controller

    def _apply_settings(self, settings: PolicyNodeSettings) -> None:
        self._settings, self._controller.speed = settings, settings.speed

    def _make_loop(self) -> RealtimeLoop:
        """Return a loop on the steady clock, or on /clock with use_sim_time."""
        period, log_warning = self._arm.control_period, self.get_logger().warning
        if self._simulated_time:
            return SimTimeLoop(period, self._tick, self._poll, self._now, 'control')
        return RealtimeLoop(period, self._tick, 'control', self._settings.real_time, log_warning)

    def _now(self) -> float:
        """Return the time in s of the loop's clock."""
        return (self.get_clock().now().nanoseconds * 1e-9 if self._simulated_time
                else time.monotonic())

    def _poll(self) -> None:
        """Check the arm and its interlocks while the clock brings no tick."""
        self._topics.update(self._controller)
        self._controller.check(time.monotonic())

    def _bring_to_rest(self, reason: str) -> None:
        if self._loop is None:
            return
        self._controller.fault(reason)
        deadline = time.monotonic() + BRAKE_TIMEOUT
        while not self._controller.resting and time.monotonic() < deadline:
            time.sleep(0.01)
        self._loop.stop()
        self._loop = None

    def _tick(self, due: float) -> float:
        """Read the arm, publish the next plan, and return by how much to delay the next tick."""
        controller = self._controller
        self._topics.update(controller)
        plan = controller.tick(self._now(), due, time.monotonic())
        if plan is not None:
            self._topics.send(plan)
            if self._difference_publisher is not None:
                self._difference_publisher.publish(codec.number(controller.difference))
        return 0.0 if self._simulated_time else self._topics.phase_shift(due, plan is None)

    def _apply_policy(
        self, policy: OnnxPolicy, name: str, withdrawn: Collection[int] = (),
    ) -> None:
        self._controller.policy = self._policy_switch.apply(policy, name, withdrawn)
        self.get_logger().info(f'runs version {policy.version} of {policy.run}')

    def _on_policy(self, message: codec.Policy) -> None:
        try:
            data, _, version = codec.decode_policy(message)
            self._apply_policy(OnnxPolicy(data), f'policy/best version {version}',
                       codec.read_withdrawn(message))
        except InvalidInput as refused:
            self.get_logger().error(f'policy rejected: {refused}')

    def _on_goal(self, message: codec.Goal) -> None:
        try:
            self._controller.goal = codec.read_goal(message, self._arm.frames)
        except InvalidInput as refused:
            self._controller.goal_refusal = str(refused)
            self.get_logger().error(f'goal rejected: {refused}', throttle_duration_sec=1.0)

    def _on_resume(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response
    ) -> codec.Trigger.Response:
        response.message = (
            'the node is not active, so there is no stop to resume from; activate it'
            if self._loop is None else self._controller.resume(time.monotonic()))
        response.success = not response.message
        return response

    def _on_rollback(
        self, request: codec.Trigger.Request, response: codec.Trigger.Response
    ) -> codec.Trigger.Response:
        try:
            policy = self._policy_switch.rollback()
            self._controller.policy = policy
            response.success, response.message = True, f'runs version {policy.version}'
        except InvalidInput as refused:
            response.message = str(refused)
        return response

    def _update(self) -> None:
        """Update the interlocks, activate when ready, and publish diagnostics."""
        publishers, _ = self._estop.update_publishers(), self._ready.update_publishers()
        self._command_subscriber.present = self._topics.connected
        required = self._settings.estop_required
        if self._loop is None:
            self._topics.update(self._controller)
            if self._autostart and (publishers or not required):
                self.trigger_activate()
        elif required and not publishers:
            self._controller.fault('the topic estop has no publisher any more')
        self._diagnostics.update(self._controller, self._loop, self._topics.latency)


def main() -> int:
    """Run the policy node."""
    return run(Policy)


if __name__ == '__main__':
    raise SystemExit(main())
