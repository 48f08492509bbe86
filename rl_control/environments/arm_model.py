# SPDX-License-Identifier: Apache-2.0
"""Arm model: a robot's description with its task, for simulator, policy node and bags."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from rl_control.common import poses
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Column, Command, Contract, State
from rl_control.config.robot import RobotSettings
from rl_control.config.task import TaskSettings
from rl_control.environments.tasks import Task, make_task
from rl_control.robots.held_joints import held_positions
from rl_control.robots.kinematics import Kinematics, urdf_path
from rl_control.robots.limits import Limits


@dataclass(frozen=True)
class Arm:
    """A robot's kinematics, limits and task, without the robot: no simulator, no ROS."""

    settings: RobotSettings
    task: Task
    kinematics: Kinematics
    limits: Limits
    home: np.ndarray
    held: Mapping[str, float]

    @classmethod
    def make(cls, robot: RobotSettings, task: TaskSettings) -> 'Arm':
        """Load the URDF; raise InvalidInput if the settings contradict it."""
        if len(robot.home) not in (0, len(robot.joint_names)):
            raise InvalidInput(
                f'robot {robot.name} has {len(robot.joint_names)} joints but '
                f'{len(robot.home)} home positions; give one per joint'
            )
        if len(robot.held_positions) != len(robot.held_joints):
            raise InvalidInput(
                f'robot {robot.name} has {len(robot.held_joints)} held joints but '
                f'{len(robot.held_positions)} held positions; give one per joint')
        urdf = urdf_path(robot.urdf)
        held = held_positions(
            urdf, robot.joint_names,
            dict(zip(robot.held_joints, robot.held_positions, strict=True)))
        kinematics = Kinematics(urdf, robot.joint_names, robot.end_effector, held)
        for name in kinematics.undriven:
            if name not in robot.held_joints:
                raise InvalidInput(
                    f'joint {name!r} of {urdf} moves {robot.end_effector} but is not driven; add '
                    'it to robot.joint_names, or to robot.held_joints with its position (a joint '
                    'that mimics a driven one cannot be held: choose an end_effector before it)')
        limits = Limits.of(robot, kinematics)
        home = np.array(robot.home or np.zeros(len(robot.joint_names)))
        return cls(robot, make_task(task, home), kinematics, limits, home, held)

    def with_task(self, task: TaskSettings) -> 'Arm':
        """Return this arm with another task; the URDF is not loaded again."""
        return replace(self, task=make_task(task, self.home))

    @property
    def control_period(self) -> float:
        """Return the control period in s."""
        return 1.0 / self.settings.control_rate

    @property
    def frames(self) -> tuple[str, ...]:
        """Return the names of the base frame: the root link's, then the configured aliases."""
        kinematics = self.kinematics
        return (kinematics.root_link,
                *(name for name in self.settings.frame_aliases if name not in kinematics.links))

    @property
    def units(self) -> tuple[str, ...]:
        """Return the unit of each driven joint's position: 'm' if it is prismatic, else 'rad'."""
        return tuple('m' if slides else 'rad' for slides in self.kinematics.prismatic)

    def contract(self) -> Contract:
        """Return the contract of policies for this arm and task; actions are joint velocities."""
        joint_names = self.settings.joint_names
        bounds = self.limits.velocity
        return Contract(
            robot=self.settings.name,
            task=self.task.settings.name,
            joint_names=joint_names,
            observation=self._in_joint_units(self.task.columns(joint_names)),
            action=self._in_joint_units(Column(f'{name}.dq', 'rad/s') for name in joint_names),
            action_low=tuple(-bounds),
            action_high=tuple(bounds),
            command_interface=self.settings.command_interface,
            control_period=self.control_period,
        )

    def _in_joint_units(self, columns: Iterable[Column]) -> tuple[Column, ...]:
        """Return the columns, with those of prismatic joints in m for rad."""
        units = dict(zip(self.settings.joint_names, self.units, strict=True))
        return tuple(
            replace(column, unit=column.unit.replace('rad', 'm'))
            if units.get(column.name.rpartition('.')[0]) == 'm' else column for column in columns)

    def state(
        self, stamp: float, q: np.ndarray, dq: np.ndarray, command: Command, goal: np.ndarray,
    ) -> State:
        """Return the state, with the end effector's pose by forward kinematics of `q`."""
        return State(stamp, q, dq, self.kinematics.pose(q), command, goal)

    def draw_goal(self, rng: np.random.Generator) -> np.ndarray:
        """
        Return a reachable goal (7,).

        It is the end effector's pose at a joint position drawn uniformly within the goal ranges of
        home, at least `goal_height` above the base.
        """
        settings = self.task.settings
        low, high = self._around_home(settings.goal_range, settings.slide_goal_range)
        for _ in range(1000):
            pose = self.kinematics.pose(rng.uniform(low, high))
            if pose[2, 3] >= self.task.settings.goal_height:
                return poses.from_matrix(pose)
        raise InvalidInput(
            f'no goal of 1000 drawn is higher than task.goal_height '
            f'{self.task.settings.goal_height} m; lower it or widen task.goal_range'
        )

    def draw_start(self, rng: np.random.Generator) -> np.ndarray:
        """Return a joint position (n,) drawn uniformly within the start ranges of home."""
        settings = self.task.settings
        return rng.uniform(*self._around_home(settings.start_range, settings.slide_start_range))

    def by_unit(self, rad: float, m: float) -> np.ndarray:
        """Return `m` for each prismatic joint and `rad` for each other (n,)."""
        return np.where(self.kinematics.prismatic, m, rad)

    def _around_home(self, rad: float, m: float) -> tuple[np.ndarray, np.ndarray]:
        reach = self.by_unit(rad, m)
        low = np.maximum(self.home - reach, self.limits.position_low)
        high = np.minimum(self.home + reach, self.limits.position_high)
        return low, high
