# SPDX-License-Identifier: Apache-2.0
"""Which policy an arm runs: only newer ones of the same run, and the way back."""

from rl_control.errors import Refused
from rl_control.policy import OnnxPolicy
from rl_control.types import Contract


class Succession:
    """The policy in force, and the one before it."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._newest: OnnxPolicy | None = None
        self._previous: OnnxPolicy | None = None
        self.current: OnnxPolicy | None = None

    def take(self, policy: OnnxPolicy, name: str) -> OnnxPolicy:
        """Put `policy` in force; raise Refused, calling it `name`, and keep the old one else."""
        self._contract.require_equal(policy.contract, 'this arm', name)
        newest = self._newest
        if newest is not None and policy.run != newest.run:
            raise Refused(f'{name} is of run {policy.run} but the arm runs {newest.run}; '
                          'clean the node up and configure it to change the run')
        if newest is not None and policy.version <= newest.version:
            raise Refused(f'{name} has version {policy.version}, not greater than '
                          f'{newest.version}; nothing is to be done')
        self._newest = policy
        self._previous, self.current = self.current, policy
        return policy

    def rollback(self) -> OnnxPolicy:
        """Put the policy before the present one in force; raise Refused if there is none."""
        if self._previous is None:
            raise Refused('there is no policy before this one; nothing was changed')
        self.current, self._previous = self._previous, None
        return self.current
