# SPDX-License-Identifier: Apache-2.0
"""The one exception for input that is not acceptable."""


class Refused(ValueError):
    """
    Say why input is not taken: one sentence that names the thing, the value and the mend.

    Commands print the sentence and exit with 2; nodes log it and keep what they had.
    """
