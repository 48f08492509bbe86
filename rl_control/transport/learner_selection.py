# SPDX-License-Identifier: Apache-2.0
"""Learner selection: accept the acknowledgements of one learner run when several publish."""

RUN_TIMEOUT = 120.0  # s in which a killed learner restarts and reads its journal


class LearnerSelection:
    """
    Select the first learner run that acknowledges, until it sends nothing for `timeout` s.

    While a policy of that run acts, the timeout is RUN_TIMEOUT, because the broadcaster keeps
    serving that run alone. If two learners acknowledged by turns, the outbox would drop rows that
    only one of them has. All times are of time.monotonic().
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.run = ''
        self.acknowledged_at = 0.0  # when the selected run last acknowledged

    def accept(self, run: str, now: float, acting: str = '') -> bool:
        """
        Return True if an acknowledgement of `run` counts, and note its time.

        `acting` is the run of the policy in use, '' for none.
        """
        timeout = RUN_TIMEOUT if acting == self.run else self.timeout
        if run != self.run and self.run and now - self.acknowledged_at < timeout:
            return False
        self.run, self.acknowledged_at = run, now
        return True

    def accepts_policy(self, run: str) -> bool:
        """Return True if `run` is the selected one, or none is selected yet."""
        return run == self.run or not self.run
