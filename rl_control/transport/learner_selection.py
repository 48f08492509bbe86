# SPDX-License-Identifier: Apache-2.0
"""Which learner a collector follows, should two of them speak."""

RUN_TIMEOUT = 120.0  # s; a learner that was killed is back by then, with its history


class LearnerSelection:
    """
    Follows the first learner run that acknowledges, until that says nothing for `silence` s.

    Where a policy of that run acts the broadcaster goes on with it alone, so that another run is
    followed after PATIENCE only. Two learners that acknowledge by turns would have rows dropped
    that only one of them has. All times are of time.monotonic().
    """

    def __init__(self, silence: float) -> None:
        self.silence = silence
        self.run = ''
        self.heard = 0.0  # when the followed run last acknowledged

    def follows(self, run: str, now: float, acting: str = '') -> bool:
        """
        Say whether an acknowledgement of `run` counts, and remember that it was heard.

        `acting` is the run whose policy acts, '' for none.
        """
        patience = RUN_TIMEOUT if acting == self.run else self.silence
        if run != self.run and self.run and now - self.heard < patience:
            return False
        self.run, self.heard = run, now
        return True

    def may_act(self, run: str) -> bool:
        """Say whether a policy of `run` may be taken: the followed one, any before that."""
        return run == self.run or not self.run
