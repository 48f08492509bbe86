# SPDX-License-Identifier: Apache-2.0
"""Settings of the nodes."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting
from rl_control.config.motion import MotionSettings


@dataclass(frozen=True)
class CollectorSettings(Settings):
    """One collector: what it acts in, what it publishes, when it evaluates."""

    environment: str = setting(
        '', 'id of a Gymnasium environment to act in; empty for the arm of robot.*')
    robot: str = setting(
        'simulated', 'what the arm of robot.* is: simulated in this process, or reached over ROS '
        'topics by the settings hardware.*', choices=('simulated', 'ros'))
    out: str = setting('', 'directory for what the learner has not acknowledged yet; empty: none')
    seed: int = setting(0, 'seed of starts, goals and exploration', low=0, high=2**31 - 1)
    flush_period: float = setting(
        0.1, 'longest wait before transitions are published', unit='s', low=0.001, high=10.0)
    exploration: float = setting(
        1.0, "factor of the policy's exploration noise", low=0.0, high=10.0, live=True)
    evaluate: bool = setting(False, 'evaluate the newest policy at intervals')
    evaluation_period: float = setting(
        15.0, 'time between the starts of two evaluations', unit='s', low=0.0, high=86400.0,
        live=True)
    evaluation_episodes: int = setting(
        50, 'episodes of one evaluation, all with one version', low=1, high=100_000)
    confirmation_episodes: int = setting(
        100, 'episodes on fresh goals that a version runs after success_target is met', low=0,
        high=100_000)
    success_target: float = setting(
        0.96, 'share of successes in an evaluation that asks for a confirmation', low=0.0,
        high=1.0)


@dataclass(frozen=True)
class LearnerSettings(Settings):
    """The learner: what it learns with, where it keeps things, how often it tells."""

    algorithm: str = setting('sac', 'name of the algorithm')
    environment: str = setting(
        '', 'id of the Gymnasium environment the collectors act in; empty for the arm of robot.*')
    out: str = setting('runs/latest', 'directory of the journal and the checkpoints')
    offline: str = setting(
        '', 'dataset that a half of each batch is drawn from; empty: none')
    start: str = setting(
        '', 'directory of a training offline, whose policy, critics and data are gone on from; '
        'empty: none')
    threads: int = setting(
        0, 'threads of torch; 0 takes cores less busy processes', low=0, high=256)
    busy_processes: int = setting(
        2, 'processes beside the learner that keep a core busy', low=0, high=256)
    tensorboard: bool = setting(
        False, 'write the metrics as event files of TensorBoard, too')
    learning_rate_factor: float = setting(
        1.0, 'factor of every learning rate; other than 1 the updates are not the compiled ones',
        low=0.0, high=100.0, live=True)
    paused: bool = setting(
        False, 'make no updates, so that simulators come to wait for credit', live=True)
    publish_period: float = setting(
        0.5, 'time between two candidate policies', unit='s', low=0.01, high=3600.0, live=True)
    checkpoint_period: float = setting(
        10.0, 'time between two checkpoints: what a learner that was killed makes again at most',
        unit='s', low=1.0, high=86400.0, live=True)
    journal_period: float = setting(
        0.05, 'time between two flushes of the journal, each followed by acknowledgements',
        unit='s', low=0.005, high=1.0)
    headroom: int = setting(
        256, 'transitions that collectors may be ahead of the updates they pay for', low=1,
        high=1_000_000)


@dataclass(frozen=True)
class BroadcasterSettings(Settings):
    """The broadcaster: which versions it keeps and when it calls one the best."""

    out: str = setting('runs/latest', 'directory of the versions')
    keep: int = setting(10, 'versions kept on disk, besides the best', low=1, high=100_000)
    evaluation_episodes: int = setting(
        50, 'evaluation episodes of one version that make it comparable', low=1, high=100_000)
    confirmation_episodes: int = setting(
        100, 'episodes of confirmation that end the evaluation of a version', low=0,
        high=100_000)


@dataclass(frozen=True)
class MonitorSettings(Settings):
    """The monitor: when a training ends, and where its figures go."""

    out: str = setting('runs/latest', 'directory of the figures')
    time_limit: float = setting(
        600.0, 'longest training; 0 for none', unit='s', low=0.0, high=1e7)
    stop_when_confirmed: bool = setting(
        True, 'end the training once a version was confirmed')
    evaluation_episodes: int = setting(
        50, 'episodes that make an evaluation complete', low=1, high=100_000)
    confirmation_episodes: int = setting(
        100, 'episodes that make a confirmation complete', low=1, high=100_000)
    status_period: float = setting(
        5.0, 'time between two plain status lines', unit='s', low=0.1, high=3600.0)


@dataclass(frozen=True)
class PolicyNodeSettings(MotionSettings):
    """The policy node: which policy, how it takes over, how fast it moves the arm."""

    policy: str = setting('', 'path of the ONNX policy; empty takes the topic policy/best')
    autostart: bool = setting(True, 'configure and activate at start')
    shadow: bool = setting(
        False, 'command nothing; publish what would be done and how far it is from what is done')
    speed: float = setting(
        1.0, 'share of each velocity limit that the policy may ask for', low=0.01, high=1.0,
        live=True)
    blend_period: float = setting(
        0.5, 'time in which a new policy takes over from the one before', unit='s', low=0.0,
        high=60.0)


@dataclass(frozen=True)
class SimulatorSettings(Settings):
    """The simulator node: PyBullet as if it were hardware."""

    state_rate: float = setting(
        120.0, 'rate of joint_states', unit='Hz', low=1.0, high=1000.0)
    controller: str = setting(
        'trajectory', 'controller of ros2_control to imitate',
        choices=('trajectory', 'forward_position', 'forward_velocity'))
    real_time: bool = setting(
        True, 'ask the system for real-time priority, as hardware has it')


@dataclass(frozen=True)
class GateSettings(Settings):
    """
    The command gate: from trajectories to what forward-command controllers take.

    Effort is no choice: the trajectory controller of ros2_control has the gains for it.
    """

    interface: str = setting(
        'velocity', 'what the forward-command controller takes', choices=('position', 'velocity'))
    rate: float = setting(250.0, 'rate of the commands', unit='Hz', low=10.0, high=1000.0)
    position_gain: float = setting(
        2.0, 'velocity added per distance from the desired position', unit='1/s', low=0.0,
        high=100.0)
    stale_period: float = setting(
        0.1, 'age of joint_states at which the gate ignores them', unit='s', low=0.001, high=10.0)
    real_time: bool = setting(
        True, 'ask the system for real-time priority and locked memory')


@dataclass(frozen=True)
class SceneSettings(Settings):
    """The scene: what is drawn of an arm at its topics."""

    rate: float = setting(10.0, 'rate of the markers', unit='Hz', low=0.1, high=100.0)
    path_period: float = setting(
        10.0, "how long the end effector's path is drawn", unit='s', low=0.1, high=600.0)


@dataclass(frozen=True)
class WatcherSettings(Settings):
    """The watcher: how the live graph is shown in a terminal."""

    time_limit: float = setting(0.0, 'longest watching; 0 for none', unit='s', low=0.0, high=1e7)
    status_period: float = setting(
        2.0, 'time between two plain lines, where there is no terminal', unit='s', low=0.1,
        high=3600.0)


@dataclass(frozen=True)
class EvaluatorSettings(Settings):
    """The evaluator: gives the arm goals over topics and scores what it does."""

    goals: int = setting(40, 'how many goals', low=1, high=100_000)
    seed: int = setting(1000, 'seed of the goals', low=0, high=2**31 - 1)
    out: str = setting('', 'file for the figures, JSON; empty: none')


@dataclass(frozen=True)
class RecorderSettings(Settings):
    """The recorder: what of the topics goes into the bag, and how often."""

    out: str = setting('runs/latest/recording', 'directory of the bag')
    exclude: tuple[str, ...] = setting(
        ('policy/candidate', 'parameter_events'), 'topics, or their ends, that are not recorded; '
        'candidates come again as policy/latest')
    period: float = setting(
        0.05, 'time between two flushes: what is lost at most when it is killed', unit='s',
        low=0.005, high=1.0)
