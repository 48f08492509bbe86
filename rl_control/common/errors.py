# SPDX-License-Identifier: Apache-2.0
"""Exceptions: invalid input, unavailable resources and non-finite numbers."""


class InvalidInput(ValueError):
    """
    Input is rejected: one sentence that names the thing, the value and the remedy.

    Commands print the sentence and exit with 2; nodes log it and keep their present state. Lone
    surrogates in quoted text are escaped with backslashes, since neither a log nor a message can
    encode them.
    """

    status = 2  # exit status of a node's process

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence.encode(errors='backslashreplace').decode())


class Unavailable(InvalidInput):
    """
    A resource of the system is missing for now: a full disk, a directory that is not writable.

    A node that had the resource when its graph started is restarted until it is available again.
    """

    status = 75  # EX_TEMPFAIL of sysexits.h


class EnvironmentFault(InvalidInput):
    """
    A foreign environment raised an exception or returned an invalid result.

    The episode is void; the next one may be valid.
    """


class NonFinite(ArithmeticError):
    """
    An observation, an action, a request or a command has NaN or infinity in it.

    None of it may be sent; the controller of an arm brings the arm to rest instead.
    """
