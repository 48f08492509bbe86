# SPDX-License-Identifier: Apache-2.0
"""Which policy an arm runs: only newer ones of the same run, and the way from one to the next."""

from collections.abc import Collection

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.policies.onnx_policy import OnnxPolicy


class PolicySwitch:
    """The policy in force, and the one before it."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._newest: OnnxPolicy | None = None
        self._previous: OnnxPolicy | None = None
        self.current: OnnxPolicy | None = None

    def take(
        self, policy: OnnxPolicy, name: str, withdrawn: Collection[int] = (),
    ) -> OnnxPolicy:
        """
        Put `policy` in force; raise InvalidInput, calling it `name`, and keep the old one else.

        An older one is taken when the present one is among the `withdrawn` versions.
        """
        self._contract.require_equal(policy.contract, 'this arm', name)
        newest = self._newest
        if newest is not None and policy.run != newest.run:
            raise InvalidInput(f'{name} is of run {policy.run} but the arm runs {newest.run}; '
                          'clean the node up and configure it to change the run')
        if policy.version in withdrawn:
            raise InvalidInput(f'{name} has version {policy.version}, which is withdrawn')
        leaving = newest is not None and newest.version in withdrawn
        if newest is not None and policy.version <= newest.version and not leaving:
            raise InvalidInput(f'{name} has version {policy.version}, not greater than '
                          f'{newest.version}; nothing is to be done')
        self._newest = policy
        self._previous, self.current = None if leaving else self.current, policy
        return policy

    def rollback(self) -> OnnxPolicy:
        """Put the policy before the present one in force; raise InvalidInput if there is none."""
        if self._previous is None:
            raise InvalidInput('there is no policy before this one; nothing was changed')
        self.current, self._previous = self._previous, None
        return self.current


class Blend:
    """Passes from one policy to the next over `period` s, the action a mean of both."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._new: OnnxPolicy | None = None
        self._old: OnnxPolicy | None = None
        self._since = 0.0

    def act(self, policy: OnnxPolicy, observation: np.ndarray, now: float) -> np.ndarray:
        """Return the action (a,) at `now` s, towards that of `policy` alone."""
        if policy is not self._new:
            self._old, self._new, self._since = self._new, policy, now
        action, _ = policy.act(observation)
        share = (now - self._since) / self._period if self._period else 1.0
        if self._old is None or share >= 1.0:
            self._old = None
            return action
        return share * action + (1.0 - share) * self._old.act(observation)[0]

    def reset(self) -> None:
        """Begin with the next policy at once: the arm rests."""
        self._new = self._old = None
