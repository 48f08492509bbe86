# SPDX-License-Identifier: Apache-2.0
"""
Run identity: all starts of a learner with one directory `out` are one run.

A restarted learner has the same run name, so that its versions continue to grow for broadcaster
and collectors, and no transition is lost.
"""

from pathlib import Path
import uuid

from rl_control.common.errors import InvalidInput, Unavailable
from rl_control.common.files import read_json, write_json
from rl_control.common.types import Contract

FILE = 'run.json'


def run_of(out: Path, name: str, algorithm: str, contract: Contract) -> str:
    """
    Return the run of the directory `out`, or begin one named after `name`.

    Raise InvalidInput when `out` has a run of another algorithm or contract, and Unavailable when
    its file cannot be read or written.
    """
    path = out / FILE
    try:
        if not path.exists():
            run = f'{name}-{uuid.uuid4().hex[:12]}'
            write_json(path, {'run': run, 'algorithm': algorithm, 'contract': contract.to_json()})
            return run
        begun = read_json(path)
        run, its_algorithm = str(begun['run']), str(begun['algorithm'])
        its_contract = Contract.from_json(begun['contract'])
    except OSError as error:
        raise Unavailable(
            f'run {path} cannot be used ({error.strerror}); name another out') from error
    except (ValueError, KeyError, TypeError) as error:  # InvalidInput is one
        raise InvalidInput(
            f'run {path} cannot be read ({type(error).__name__}: {error}); name another out'
        ) from error
    if its_algorithm != algorithm:
        raise InvalidInput(
            f'run {path} learns {its_algorithm} but {algorithm} is set; set that, or name '
            'another out')
    contract.require_equal(its_contract, 'this learner', f'the run in {path}')
    return run
