# SPDX-License-Identifier: Apache-2.0
"""Gymnasium registration: the arm environment for other learning libraries."""

from typing import Any, ClassVar

import gymnasium
import numpy as np

from rl_control.config.simulators import AUTO
from rl_control.environments.make import load_arm, simulate


class ArmEnv(gymnasium.Env):
    """
    Arm environment for Gymnasium, as in `gymnasium.make('rl_control/Reach-v0', robot='iiwa')`.

    `robot` and `task` name a parameter file in config/ or are the path of one. Actions are joint
    velocities in rad/s; episodes end by truncation alone. `info` has `is_success` and `error`
    (m). Every reset begins at a start pose. `simulator` names the physics engine; `auto` takes
    the first that is installed.
    """

    metadata: ClassVar = {'render_modes': ['rgb_array'], 'render_fps': 20}

    def __init__(
        self, robot: str = 'iiwa', task: str = 'reach', render_mode: str | None = None,
        simulator: str = AUTO, **task_settings: Any,
    ) -> None:
        self.render_mode = render_mode
        self._arguments = {
            'robot': robot, 'task': task, 'render_mode': render_mode, 'simulator': simulator,
            **task_settings}
        self._world = simulate(load_arm(robot, task, task_settings), engine=simulator)
        contract = self._world.contract
        self.metadata = {**self.metadata, 'render_fps': round(1.0 / contract.control_period)}
        size = len(contract.observation)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(
            np.array(contract.action_low, np.float32), np.array(contract.action_high, np.float32))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode at a new start pose with a new goal."""
        super().reset(seed=seed)
        self._world.restart_clock()  # what a task does over time begins anew, too
        self._world.restart(self.np_random)
        return self._world.reset(self.np_random).astype(np.float32), {}

    def step(
        self, action: np.ndarray,
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Request joint velocities (n,) rad/s for one control period."""
        outcome = self._world.step(np.asarray(action, dtype=float))
        info = {'is_success': outcome.success, 'error': outcome.error}
        return (outcome.observation.astype(np.float32), outcome.reward, outcome.terminated,
                outcome.truncated, info)

    def render(self) -> np.ndarray | None:
        """Return the image (h, w, 3) uint8 of the arm in render mode 'rgb_array'."""
        return self._world.render() if self.render_mode == 'rgb_array' else None

    def close(self) -> None:
        """Release the simulator."""
        self._world.close()

    def __getstate__(self) -> dict[str, Any]:
        return {'arguments': self._arguments, 'spec': self.spec, 'world': self._world.snapshot(),
                'random': self._np_random, 'seed': self._np_random_seed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become a world of its own in the state of another: for `deepcopy` and processes."""
        self.__init__(**state['arguments'])
        self.spec = state['spec']
        self._np_random, self._np_random_seed = state['random'], state['seed']
        self._world.restore(state['world'])
