# SPDX-License-Identifier: Apache-2.0
"""Recorded tables of transitions."""

import json

import numpy as np
from recordings import ARRAY, MS, START, table

from rl_control.common.types import Column, Contract
from rl_control.transport.transition_rows import (
    transition_columns,
)

CONTRACT = Contract(
    robot='two', task='reach', joint_names=('a', 'b'),
    observation=tuple(Column(f'o{i}', 'rad') for i in range(3)),
    action=(Column('a.dq', 'rad/s'), Column('b.dq', 'rad/s')), action_low=(-1.0, -1.0),
    action_high=(1.0, 1.0), command_interface='position', control_period=0.05)
COLUMNS = transition_columns(CONTRACT)


def rows(numbers, seed=0) -> np.ndarray:
    """Return rows whose step is their number and whose rest is random but their own."""
    made = np.empty((len(numbers), len(COLUMNS)))
    for row, number in zip(made, numbers, strict=True):
        row[:] = np.random.default_rng([seed, number]).normal(size=len(COLUMNS))
        row[:9] = number // 50, number, number * 0.05, 3, -1.5, row[5], 0, number % 50 == 49, 0
    return made


def message(numbers, run='run-1', oldest=0, at=0, contract=CONTRACT, seed=0, collector='c'):
    head = json.dumps({'collector': collector, 'run': run, 'contract_hash': contract.hash,
                       'first_sequence': int(numbers[0]), 'oldest': oldest})
    return START + at * MS, '/lab/transitions', ARRAY, table(COLUMNS, rows(numbers, seed), head)
