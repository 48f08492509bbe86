# SPDX-License-Identifier: Apache-2.0
"""
Reception of transitions over a topic, without the journal, beside bare messages.

One process publishes as fast as it can, another one receives: ours decodes the tables, checks
their origin and accepts each row once, as the learner does; the bare one counts the numbers that
rclpy delivers. Both spin rclpy's default executor. Messages that arrive too fast are dropped, as
they would be sent again; only received ones count.
"""

import array
import contextlib
from functools import partial
import json
import sys
import time

import numpy as np

from benchmarks.parts.comparison import OURS, Comparison, Contender, Figures, Goal, Scale, compare
from benchmarks.parts.fixtures import contract
from benchmarks.parts.free_environment import ACTION, OBSERVATION
from benchmarks.parts.subprocesses import run_module, start

ROWS = 64  # transitions a message
BARE = f'bare messages of {ROWS}, default executor'
TIMEOUT = 30.0  # s until the first message


def compare_reception(scale: Scale, rounds: int) -> Comparison:
    """Return the rate of received transitions."""
    seconds = scale.size(5, 1)
    return compare(
        f'transport: transitions received, without the journal, {ROWS} a message',
        'transitions/s', [
            Contender(OURS, lambda: partial(_heard, True, seconds)),
            Contender(BARE, lambda: partial(_heard, False, seconds)),
        ], rounds, [Goal('rate', at_least=1.0, of=BARE)], more=True)


def _heard(ours: bool, seconds: float) -> Figures:
    with start(__name__, 'send', ours) as sending:
        try:
            return run_module(__name__, 'hear', ours, seconds)
        finally:
            sending.kill()


def send(ours: bool) -> None:
    """Publish messages of ROWS transitions as fast as possible, until killed."""
    import rclpy
    from rclpy.impl.implementation_singleton import rclpy_implementation

    from rl_control.ros import codec, qos

    made = contract(OBSERVATION, ACTION)
    columns = codec.transition_columns(made)
    rows = np.random.default_rng(0).normal(size=(ROWS, len(columns)))
    rclpy.init(args=[])
    publisher = rclpy.create_node('sender').create_publisher(
        codec.Transitions, 'transitions', qos.TRANSITIONS)
    first = 0
    while True:
        if ours:
            origin = codec.Origin('bench', 'bench-1', made.hash, first, first)
            message = codec.encode_table(codec.Table(columns, rows, origin.to_header()))
        else:
            message = codec.Transitions(data=array.array('d', rows.tobytes()))
        if publisher.get_subscription_count():
            # The middleware may time out.
            with contextlib.suppress(rclpy_implementation.RCLError):
                publisher.publish(message)
            first += ROWS


def hear(ours: bool, seconds: float) -> Figures:
    """Return the rate of received transitions from the first message on."""
    import rclpy

    from rl_control.ros import codec, qos
    from rl_control.ros.drained_subscription import subscribe_drained
    from rl_control.transport.inbox import Inbox

    made, inbox, heard = contract(OBSERVATION, ACTION), Inbox(), 0
    columns, contract_hash = codec.transition_columns(made), made.hash

    def on_tables(messages: list[bytes]) -> None:
        nonlocal heard
        for raw in messages:
            table = codec.decode_table_cdr(raw, columns)
            origin = codec.Origin.from_header(table.header, contract_hash)
            heard += len(inbox.accept(
                origin.collector, origin.run, origin.first_sequence, table.rows, origin.oldest))

    def on_message(message: codec.Transitions) -> None:
        nonlocal heard
        heard += len(message.data) // len(columns)

    rclpy.init(args=[])
    node = rclpy.create_node('listener')
    if ours:
        subscribe_drained(
            node, codec.Transitions, 'transitions', on_tables, qos.TRANSITIONS_INPUT)
    else:
        node.create_subscription(
            codec.Transitions, 'transitions', on_message, qos.TRANSITIONS_INPUT)
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    deadline = time.monotonic() + TIMEOUT
    while not heard and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    began, before = time.monotonic(), heard
    while (passed := time.monotonic() - began) < seconds:
        executor.spin_once(timeout_sec=0.1)
    return {'rate': (heard - before) / passed}


ROLES = {'send': send, 'hear': hear}

if __name__ == '__main__':
    role, *arguments = json.loads(sys.argv[1])
    print(json.dumps(ROLES[role](*arguments)))
