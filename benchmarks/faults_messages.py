# SPDX-License-Identifier: Apache-2.0
"""
Fuzz every decoder with damaged and forged messages, as bytes from the wire.

A valid message of each kind is damaged: bits, bytes and pieces of its serialisation, or values of
its header and data. It is decoded as a node does, and accepted messages are used: acknowledged,
counted, logged. Anything but a value or InvalidInput is an error, of which the first of each sort
is printed. Exits with 1 for an error, or if memory grew by more than 64 MiB. Ctrl-C ends it early
with the figures so far.
"""

import argparse
import array
from collections import Counter
from collections.abc import Callable, Iterator
import contextlib
import json
import os
from pathlib import Path
import sys
import time
from typing import Any

from faults_policy_bytes import make_policy, mutated
import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.control.policy_switch import PolicySwitch
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.ros import codec
from rl_control.transport.inbox import Inbox
from rl_control.transport.transition_rows import validate_rows

ALLOWED = 64 * 2**20  # bytes of growth
ODD = ['\ud800', 'a\0b', '', 'a' * 300, '\U0001f600' * 250, '\x1b[2J', -1, 2**52, 2**53 - 1,
       2**63 - 1, 10**400, 1.5, None, [], ['\ud800'], {}, True, [[]]]
NUMBERS = [np.nan, np.inf, -np.inf, 1e308, -1e308, 2.0**53, -1.0, 0.5]
JOINTS = ('a', 'b')
NOWHERE = os.open(os.devnull, os.O_WRONLY)


def own_memory() -> int:
    """Return the anonymous memory of this process in bytes."""
    text = Path('/proc/self/status').read_text(encoding='ascii')
    return int(text.split('RssAnon:')[1].split()[0]) * 1024


class Kind:
    """One kind of message: a valid one, and a node's use of it, or of its bytes if raw."""

    def __init__(
        self, message: object, use: Callable[[Any], object], *, of_raw: bool = False,
    ) -> None:
        self.message, self.use, self.of_raw = message, use, of_raw
        self.raw = serialize_message(message)

    def drawn(self, rng: np.random.Generator) -> bytes:
        """Return a damaged message, serialized."""
        if rng.random() < 0.5:
            return mutated(self.raw, int(rng.integers(2**31)))
        message = deserialize_message(self.raw, type(self.message))
        dims = getattr(getattr(message, 'layout', None), 'dim', [])
        if dims and rng.random() < 0.7:
            header = json.loads(dims[0].label)
            header[str(rng.choice(list(header)))] = ODD[rng.integers(len(ODD))]
            dims[0].label = json.dumps(header)
        else:
            number = NUMBERS[rng.integers(len(NUMBERS))]
            for name in ('data', 'position', 'velocity'):
                values = getattr(message, name, None)
                if isinstance(values, float):
                    message.data = number
                elif isinstance(values, array.array) and values.typecode == 'd':
                    values[int(rng.integers(len(values)))] = number
        return serialize_message(message)


def kinds(policy: bytes) -> dict[str, Kind]:
    """Return the kinds of messages by topic."""
    opened = OnnxPolicy(policy)
    contract: Contract = opened.contract
    columns = codec.transition_columns(contract)
    origin = codec.Origin('c', 'c-1', contract.hash).to_header()
    reader = codec.JointReader(JOINTS)

    def transitions(raw: bytes) -> None:
        table = codec.decode_table_cdr(raw, columns)
        of = codec.Origin.from_header(table.header, contract.hash)
        inbox = Inbox()
        fresh = inbox.accept(of.collector, of.run, of.first_sequence, table.rows, of.oldest)
        validate_rows(fresh, contract)
        codec.read_acknowledge(codec.decode_table(codec.encode_table(
            codec.acknowledge_table(*inbox.acknowledge_all(1000), 'l'))))

    def acknowledgements(message: codec.Acknowledge) -> None:
        learner, _ = codec.read_acknowledge(codec.decode_table(message))
        serialize_message(codec.diagnostics('x', codec.OK, learner, {}))

    def episodes(message: codec.Episodes) -> None:
        table = codec.decode_table(message, codec.EPISODE_COLUMNS)
        codec.Origin.from_header(table.header)
        for row in table.rows:
            codec.EpisodeRow.from_row(row)

    def policies(message: codec.Policy) -> None:
        data, _, version = codec.decode_policy(message)
        PolicySwitch(contract).take(
            OnnxPolicy(data), f'version {version}', codec.read_withdrawn(message))

    def statuses(message: codec.Diagnostics) -> None:
        for _name, values in codec.read_diagnostics(message):
            int(codec.read_value(values, 'version', -1.0))

    rows = np.zeros((3, len(columns)))
    return {
        'transitions': Kind(codec.encode_table(codec.Table(columns, rows, origin)), transitions,
                            of_raw=True),
        'transitions/ack': Kind(codec.encode_table(
            codec.acknowledge_table(['c-1'], np.ones((1, 2)), 'l')), acknowledgements),
        'episodes': Kind(codec.encode_table(codec.Table(
            codec.EPISODE_COLUMNS, np.zeros((2, len(codec.EPISODE_COLUMNS))), origin)), episodes),
        'policy': Kind(codec.encode_policy(policy, 'run-1', 1, [7]), policies),
        '/diagnostics': Kind(codec.diagnostics(
            'x: collecting', codec.OK, 'm', {'version': 5}), statuses),
        'joint_states': Kind(codec.joint_state(JOINTS, 1.0, np.zeros(2), np.zeros(2)),
                             reader.read_raw, of_raw=True),
        'joint_trajectory': Kind(
            deserialize_message(codec.TrajectoryWriter(JOINTS).write(
                np.array([0.1, 0.2]), np.zeros((2, 3, 2))), codec.Trajectory),
            codec.TrajectoryReader(JOINTS).read, of_raw=True),
        'forward_command': Kind(codec.forward_command(np.zeros(2)),
                                lambda message: codec.read_forward_command(message, 2)),
        'goal': Kind(codec.goal_message(np.array([0, 0, 0, 0, 0, 0, 1.0]), 'world'),
                     lambda message: codec.read_goal(message, ('world',))),
        'metrics': Kind(codec.number(1.0), lambda message: codec.read_number(message, 'it')),
    }


def outcome(kind: Kind, raw: bytes) -> str:
    """Return the outcome of one message: taken, refused, unreadable, or the error."""
    try:
        message = raw if kind.of_raw else deserialize_message(raw, type(kind.message))
    except Exception:  # rclpy's own: such bytes never reach a node
        return 'unreadable'
    try:
        kind.use(message)
    except InvalidInput as refused:
        logged = str(refused).encode(errors='replace').decode()
        return 'refused' if logged == str(refused) else f'cannot be logged: {logged}'[:200]
    except Exception as error:
        return f'{type(error).__name__}: {error}'[:200]
    return 'taken'


def judged(kind: Kind, count: int, rng: np.random.Generator, name: str) -> Iterator[str]:
    """Yield the outcomes of `count` messages, and print progress."""
    printed = 0.0
    for number in range(1, count + 1):
        with quiet():
            end = outcome(kind, kind.drawn(rng))
        yield end
        if (now := time.monotonic()) - printed > 0.5 or number == count:
            printed = now
            print(f'\r{name}: {number} of {count}  ', end='', file=sys.stderr, flush=True)
    print(file=sys.stderr)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what compiled code prints about each unreadable message."""
    kept = os.dup(2)
    try:
        os.dup2(NOWHERE, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main() -> int:
    """Damage messages, count outcomes, print them, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--messages', type=int, default=100_000, help='of each kind')
    parser.add_argument('--seed', type=int, default=0, help='of what is drawn')
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    figures: dict[str, dict] = {}
    errors = 0
    try:
        for name, kind in kinds(make_policy()).items():
            for _ in judged(kind, 100, rng, f'{name} before'):
                pass  # warm up: one-time allocations are no growth
            ends: Counter[str] = Counter()
            before = peak = own_memory()
            figures[name] = {}
            for number, end in enumerate(judged(kind, options.messages, rng, name)):
                ends[end] += 1
                if number % 100 == 0:
                    peak = max(peak, own_memory())
                figures[name] = {**ends, 'grown_mib': round((peak - before) / 2**20, 1)}
            errors += sum(count for end, count in ends.items()
                          if end not in ('taken', 'refused', 'unreadable'))
            errors += peak - before > ALLOWED
    except KeyboardInterrupt:
        print('\nended early', file=sys.stderr)
    print(json.dumps(figures, indent=2))
    print(f'{errors} errors')
    return int(errors > 0)


if __name__ == '__main__':
    sys.exit(main())
