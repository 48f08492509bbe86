# SPDX-License-Identifier: Apache-2.0
"""Agent as a policy: act with the newest weights of an agent in this process, without ONNX."""

import numpy as np
import torch

from rl_control.learning.algorithms.agent import Agent


class AgentPolicy:
    """The newest version of an agent's policy, used as an OnnxPolicy is."""

    run = ''

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.noise_size = agent.policy.noise_size
        self.noise_correlation = agent.policy.noise_correlation

    @property
    def version(self) -> int:
        """Return the number of updates made."""
        return self._agent.updates

    @torch.no_grad()
    def act(
        self, observation: np.ndarray, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        """
        Return action (a,) in SI units and its log_prob, NaN where the policy has none.

        `observation` (o,) in SI units; `noise` (noise_size,), zeros for None.
        """
        noise = np.zeros(self.noise_size) if noise is None else noise
        result = self._agent.policy(*(
            torch.from_numpy(values.astype(np.float32))[None] for values in (observation, noise)))
        if isinstance(result, tuple):
            return result[0][0].numpy(), float(result[1])
        return result[0].numpy(), float('nan')
