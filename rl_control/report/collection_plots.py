# SPDX-License-Identifier: Apache-2.0
"""Plots of a journal: success by goal, limited actions, age of the acting policy."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np

from rl_control.common.episode import CONFIRMATION, TRAINING
from rl_control.common.types import Contract
from rl_control.ros.journal import read_journal
from rl_control.transport.table import decode_table_cdr
from rl_control.transport.transition_rows import (
    EPISODE_COLUMNS,
    TransitionRows,
    transition_columns,
)

MAX_TRANSITIONS = 20_000  # newest ones that are plotted
CELLS = 8  # of the workspace, along each axis
AT_BOUND = 0.99  # of the action's half range: the action is at its bound
CHANGED = 1e-3  # of the action's half range: the limits changed the action


@dataclass(frozen=True)
class Collected:
    """
    Contents of a journal, as plotted.

    `goals` (n, 3) m and `successes` (n,) of the confirmation, else of all episodes without
    exploration; `actions` and `applied` (m, a) of the newest transitions, normalised to [-1, 1];
    `behind` (m,) is the policy lag in updates behind the newest version so far.
    """

    goals: np.ndarray
    successes: np.ndarray
    actions: np.ndarray
    applied: np.ndarray
    behind: np.ndarray


def read_collected(out: Path, contract: Contract) -> Collected:
    """Return the contents of the journal of the run in `out`."""
    columns = transition_columns(contract)
    episodes, rows, newest = [np.zeros((0, len(EPISODE_COLUMNS)))], [], -1
    behind: list[np.ndarray] = []
    kept = 0
    for topic, _, _, data in read_journal(out / 'journal'):
        if topic.endswith('/episodes'):
            episodes.append(decode_table_cdr(data, EPISODE_COLUMNS).rows)
        elif topic.endswith('/transitions'):
            table = TransitionRows.read(decode_table_cdr(data, columns).rows, contract)
            newest = max(newest, int(table.version.max(initial=-1)))
            rows.append(table)
            behind.append(newest - table.version)
            kept += len(table)
            while kept - len(rows[0]) > MAX_TRANSITIONS:
                kept -= len(rows.pop(0))
                behind.pop(0)
    ends = np.concatenate(episodes)
    of = {name: ends[:, index] for index, name in enumerate(EPISODE_COLUMNS)}
    tried = of['phase'] == CONFIRMATION  # of one version; without one all evaluations count
    if not tried.any():
        tried = of['phase'] != TRAINING
    low, high = np.array(contract.action_low), np.array(contract.action_high)

    def share(name: str) -> np.ndarray:
        values = [getattr(table, name) for table in rows]
        found = np.concatenate(values) if values else np.zeros((0, len(low)))
        return (2.0 * found - high - low) / (high - low)

    return Collected(
        np.stack([of[f'goal_{axis}'] for axis in 'xyz'], axis=1)[tried],
        of['success'][tried] == 1.0, share('action'), share('applied'),
        np.concatenate(behind) if behind else np.zeros(0))


def draw_goals(collected: Collected, path: Path) -> None:
    """Draw the success rate over the workspace, from above and from the side."""
    figure, both = plt.subplots(1, 2, figsize=(9.0, 4.0), layout='constrained')
    for axes, (across, up) in zip(both, ((0, 1), (0, 2)), strict=True):
        places = collected.goals[:, (across, up)]
        edges = [np.linspace(low - 1e-6, high + 1e-6, CELLS + 1) for low, high in zip(
            places.min(0, initial=0.0), places.max(0, initial=0.1), strict=True)]
        tried, _, _ = np.histogram2d(*places.T, bins=edges)
        reached, _, _ = np.histogram2d(*places[collected.successes].T, bins=edges)
        rate = np.where(tried > 0, reached / np.maximum(tried, 1), np.nan)
        shown = axes.pcolormesh(*edges, rate.T, vmin=0.0, vmax=1.0, cmap='RdYlGn')
        axes.set_xlabel('x in m')
        axes.set_ylabel(f'{"xyz"[up]} in m')
        axes.set_aspect('equal', adjustable='datalim')  # a planar arm has one axis alone
    figure.colorbar(shown, ax=both, label='success rate')
    figure.suptitle(f'{len(collected.goals)} goals without exploration')
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_actions(collected: Collected, names: tuple[str, ...], path: Path) -> None:
    """Draw how often actions were at bounds or changed by limits, and the policy lag."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 4.0), layout='constrained')
    ticks = max(1, len(collected.actions))
    at_bound = (np.abs(collected.actions) >= AT_BOUND).sum(0) / ticks
    changed = (np.abs(collected.actions - collected.applied) > CHANGED).sum(0) / ticks
    place = np.arange(len(names))
    left.bar(place - 0.2, at_bound, 0.4, label='at its bound')
    left.bar(place + 0.2, changed, 0.4, label='changed by the limits')
    left.set_xticks(place, names, rotation=60, ha='right', fontsize=7)
    left.set_ylabel(f'share of the newest {len(collected.actions)} ticks')
    left.set_ylim(0.0, 1.0)
    left.legend()
    right.hist(collected.behind, bins=30)
    right.set_xlabel('policy lag in updates')
    right.set_ylabel('ticks')
    figure.savefig(path, dpi=110)
    plt.close(figure)
