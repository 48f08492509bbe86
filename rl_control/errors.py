# SPDX-License-Identifier: Apache-2.0
"""The one exception for input that is not acceptable."""


class Refused(ValueError):
    """
    Say why input is not taken: one sentence that names the thing, the value and the mend.

    Commands print the sentence and exit with 2; nodes log it and keep what they had. What it
    quotes may come from anywhere: halves of surrogate pairs, which neither a log nor a message
    takes, stand in it as backslashes.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence.encode(errors='backslashreplace').decode())
