# SPDX-License-Identifier: Apache-2.0
"""Policy switch: accept newer versions of one run, roll back, and blend the actions."""

from collections.abc import Collection

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.policies.onnx_policy import OnnxPolicy


class PolicySwitch:
    """The policy in use and the one before it, for rollback."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._newest: OnnxPolicy | None = None
        self._previous: OnnxPolicy | None = None
        self.current: OnnxPolicy | None = None

    def apply(
        self, policy: OnnxPolicy, name: str, withdrawn: Collection[int] = (),
    ) -> OnnxPolicy:
        """
        Use `policy`, called `name` in errors; raise InvalidInput and keep the old one if unfit.

        An older version is accepted when the current one is among the `withdrawn` versions.
        """
        self._contract.require_equal(policy.contract, 'this arm', name)
        newest = self._newest
        if newest is not None and policy.run != newest.run:
            raise InvalidInput(f'{name} is of run {policy.run} but the arm runs {newest.run}; '
                          'clean the node up and configure it to change the run')
        if policy.version in withdrawn:
            raise InvalidInput(f'{name} has version {policy.version}, which is withdrawn')
        replaces_withdrawn = newest is not None and newest.version in withdrawn
        if newest is not None and policy.version <= newest.version and not replaces_withdrawn:
            raise InvalidInput(f'{name} has version {policy.version}, not greater than '
                          f'{newest.version}, which stays in use')
        self._newest = policy
        self._previous, self.current = None if replaces_withdrawn else self.current, policy
        return policy

    def rollback(self) -> OnnxPolicy:
        """Return to the previous policy; raise InvalidInput if there is none."""
        if self._previous is None:
            raise InvalidInput('there is no policy before this one; the arm keeps it')
        self.current, self._previous = self._previous, None
        return self.current


class Blend:
    """Blend from one policy to the next over `period` s by a weighted mean of both actions."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._new: OnnxPolicy | None = None
        self._old: OnnxPolicy | None = None
        self._since = 0.0

    def act(self, policy: OnnxPolicy, observation: np.ndarray, now: float) -> np.ndarray:
        """Return the blended action (a,) at `now` s; after `period` s that of `policy` alone."""
        if policy is not self._new:
            self._old, self._new, self._since = self._new, policy, now
        action, _ = policy.act(observation)
        weight = (now - self._since) / self._period if self._period else 1.0
        if self._old is None or weight >= 1.0:
            self._old = None
            return action
        return weight * action + (1.0 - weight) * self._old.act(observation)[0]

    def reset(self) -> None:
        """Use the next policy without blending: the arm rests."""
        self._new = self._old = None
