# SPDX-License-Identifier: Apache-2.0
"""Node settings: one class a node."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting
from rl_control.config.motion import MotionSettings
from rl_control.config.simulators import AUTO, SIMULATORS


@dataclass(frozen=True)
class CollectorSettings(Settings):
    """Collector: its environment, its exploration, and when it evaluates."""

    environment: str = setting(
        '', 'id of a Gymnasium environment to act in; empty: the arm of robot.*')
    robot: str = setting(
        'simulated', 'arm of robot.*: simulated in this process; or ros, reached over topics, '
        'with the settings hardware.*', choices=('simulated', 'ros'))
    simulator: str = setting(
        AUTO, 'physics engine of a simulated arm; auto: the first that is installed',
        choices=SIMULATORS)
    out: str = setting(
        '', 'directory of transitions that the learner has not acknowledged; empty: none')
    seed: int = setting(0, 'seed of starts, goals and exploration', low=0, high=2**31 - 1)
    flush_period: float = setting(
        0.1, 'longest time before transitions are published', unit='s', low=0.001, high=10.0)
    exploration: float = setting(
        1.0, "factor of the policy's exploration noise", low=0.0, high=10.0, live=True)
    evaluate: bool = setting(False, 'evaluate the newest policy at intervals')
    evaluation_period: float = setting(
        15.0, 'time between the starts of two evaluations', unit='s', low=0.0, high=86400.0,
        live=True)
    evaluation_episodes: int = setting(
        50, 'episodes of one evaluation, all with one version', low=1, high=100_000)
    confirmation_episodes: int = setting(
        100, 'episodes on new goals that confirm a version that met success_target', low=0,
        high=100_000)
    success_target: float = setting(
        0.96, 'success rate of an evaluation that starts a confirmation', low=0.0,
        high=1.0)


@dataclass(frozen=True)
class LearnerSettings(Settings):
    """Learner: algorithm, directories, threads, and periods of publishing and saving."""

    algorithm: str = setting('sac', 'name of the algorithm')
    environment: str = setting(
        '', 'id of the Gymnasium environment of the collectors; empty: the arm of robot.*')
    out: str = setting('runs/latest', 'directory of the journal and the checkpoints')
    offline: str = setting(
        '', 'dataset from which half of each batch is drawn; empty: none')
    start: str = setting(
        '', 'directory of an offline training to continue with its policy, critics and data; '
        'empty: none')
    threads: int = setting(
        0, 'threads of torch; 0: cores minus busy_processes', low=0, high=256)
    busy_processes: int = setting(
        2, 'processes beside the learner that keep a core busy', low=0, high=256)
    tensorboard: bool = setting(
        False, 'also write the metrics as event files of TensorBoard')
    learning_rate_factor: float = setting(
        1.0, 'factor of every learning rate; other than 1 turns the compiled updates off',
        low=0.0, high=100.0, live=True)
    paused: bool = setting(
        False, 'make no updates; simulated collectors then wait for credit', live=True)
    publish_period: float = setting(
        0.5, 'time between two candidate policies', unit='s', low=0.01, high=3600.0, live=True)
    checkpoint_period: float = setting(
        10.0, 'time between two checkpoints: a killed learner repeats no more than that',
        unit='s', low=1.0, high=86400.0, live=True)
    journal_period: float = setting(
        0.05, 'time between two flushes of the journal, each followed by acknowledgements',
        unit='s', low=0.005, high=1.0)
    headroom: int = setting(
        256, 'transitions that collectors may be ahead of the updates for them', low=1,
        high=1_000_000)


@dataclass(frozen=True)
class BroadcasterSettings(Settings):
    """Broadcaster: versions to keep, and evaluations that choose the best."""

    out: str = setting('runs/latest', 'directory of the versions')
    keep: int = setting(10, 'versions kept on disk, besides the best', low=1, high=100_000)
    evaluation_episodes: int = setting(
        50, 'evaluation episodes before a version is compared with the best', low=1, high=100_000)
    confirmation_episodes: int = setting(
        100, 'confirmation episodes that end the evaluation of a version', low=0,
        high=100_000)


@dataclass(frozen=True)
class MonitorSettings(Settings):
    """Monitor: when a training ends, and where its figures are written."""

    out: str = setting('runs/latest', 'directory of the figures')
    time_limit: float = setting(
        600.0, 'longest training; 0: no limit', unit='s', low=0.0, high=1e7)
    stop_when_confirmed: bool = setting(
        True, 'end the training once a version is confirmed')
    evaluation_episodes: int = setting(
        50, 'episodes of a complete evaluation', low=1, high=100_000)
    confirmation_episodes: int = setting(
        100, 'episodes of a complete confirmation', low=1, high=100_000)
    status_period: float = setting(
        5.0, 'time between two plain status lines', unit='s', low=0.1, high=3600.0)


@dataclass(frozen=True)
class PolicyNodeSettings(MotionSettings):
    """Policy node: which policy, how it takes over, how fast it moves the arm."""

    policy: str = setting('', 'path of the ONNX policy; empty: the topic policy/best')
    autostart: bool = setting(True, 'configure and activate at start')
    shadow: bool = setting(
        False, 'publish the commands as a shadow and their distance from the real ones; command '
        'nothing')
    speed: float = setting(
        1.0, 'share of each velocity limit that the policy may request', low=0.01, high=1.0,
        live=True)
    blend_period: float = setting(
        0.5, 'time in which a new policy is blended in', unit='s', low=0.0,
        high=60.0)


@dataclass(frozen=True)
class SimulatorSettings(Settings):
    """Simulator node: a physics engine behind the topics of a real arm."""

    state_rate: float = setting(
        120.0, 'rate of joint_states', unit='Hz', low=1.0, high=1000.0)
    controller: str = setting(
        'trajectory', 'controller of ros2_control to emulate',
        choices=('trajectory', 'forward_position', 'forward_velocity'))
    engine: str = setting(
        AUTO, 'physics engine; auto: the first that is installed', choices=SIMULATORS)
    real_time: bool = setting(
        True, 'request real-time priority from the system')


@dataclass(frozen=True)
class GateSettings(Settings):
    """
    Command gate: sample trajectories for a forward-command controller.

    There is no effort interface: it needs gains, which the trajectory controller of ros2_control
    has.
    """

    interface: str = setting(
        'velocity', 'command interface of the forward-command controller',
        choices=('position', 'velocity'))
    rate: float = setting(250.0, 'rate of the commands', unit='Hz', low=10.0, high=1000.0)
    position_gain: float = setting(
        2.0, 'feedback gain: velocity per position error', unit='1/s', low=0.0,
        high=100.0)
    stale_period: float = setting(
        0.1, 'age of joint_states at which the gate ignores them', unit='s', low=0.001, high=10.0)
    real_time: bool = setting(
        True, 'request real-time priority and locked memory from the system')


@dataclass(frozen=True)
class SceneSettings(Settings):
    """Scene node: markers of an arm for RViz and Foxglove."""

    rate: float = setting(10.0, 'rate of the markers', unit='Hz', low=0.1, high=100.0)
    path_period: float = setting(
        10.0, "duration of the end effector's drawn path", unit='s', low=0.1, high=600.0)


@dataclass(frozen=True)
class WatcherSettings(Settings):
    """Watcher: show the live graph in a terminal."""

    time_limit: float = setting(
        0.0, 'end after this time; 0: no limit', unit='s', low=0.0, high=1e7)
    status_period: float = setting(
        2.0, 'time between two plain status lines without a terminal', unit='s', low=0.1,
        high=3600.0)


@dataclass(frozen=True)
class EvaluatorSettings(Settings):
    """Evaluator: publish goals for an arm and score its motion."""

    goals: int = setting(40, 'number of goals', low=1, high=100_000)
    seed: int = setting(1000, 'seed of the goals', low=0, high=2**31 - 1)
    out: str = setting('', 'JSON file for the figures; empty: none')


@dataclass(frozen=True)
class RecorderSettings(Settings):
    """Recorder: which topics are recorded, and how often the bag is flushed."""

    out: str = setting('runs/latest/recording', 'directory of the bag')
    exclude: tuple[str, ...] = setting(
        ('policy/candidate', 'parameter_events'), 'topics, or their last parts, that are not '
        'recorded; candidates are recorded as policy/latest')
    period: float = setting(
        0.05, 'time between two flushes: the most that is lost when it is killed', unit='s',
        low=0.005, high=1.0)
