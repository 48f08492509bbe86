# SPDX-License-Identifier: Apache-2.0
"""The exceptions: bad input, what is not to be had now, and numbers that may not be sent."""


class InvalidInput(ValueError):
    """
    Say why input is not taken: one sentence that names the thing, the value and the mend.

    Commands print the sentence and exit with 2; nodes log it and keep what they had. What it
    quotes may come from anywhere: halves of surrogate pairs, which neither a log nor a message
    takes, stand in it as backslashes.
    """

    status = 2  # that a node's process exits with

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence.encode(errors='backslashreplace').decode())


class Unavailable(InvalidInput):
    """
    Say why the system does not give what is needed: a full disk, a directory not to be written.

    A node that had it when its graph began is started again until it has it once more.
    """

    status = 75  # EX_TEMPFAIL of sysexits.h


class NonFinite(ArithmeticError):
    """
    Say what has NaN or infinity in it: an observation, an action, a request or a command.

    Nothing of it may be sent: who moves an arm brings it to rest.
    """
