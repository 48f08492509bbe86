# SPDX-License-Identifier: Apache-2.0
"""Plots of a journal: what they read and what they show."""

from pathlib import Path

from learning import CONTRACT, HIGH, LOW
import numpy as np
from PIL import Image
import pytest
from rclpy.serialization import serialize_message

from rl_control.common.episode import CONFIRMATION, EVALUATION, TRAINING
from rl_control.report.collection_plots import Collected, draw_actions, draw_goals, read_collected
from rl_control.report.timing import draw_timing
from rl_control.ros import codec
from rl_control.ros.journal import Journal

TABLE = 'std_msgs/msg/Float64MultiArray'


def write(out: Path, phases: list[int]) -> np.ndarray:
    """Write a journal with an episode of each phase and 3 messages; return the actions (30, 3)."""
    rng = np.random.default_rng(0)
    journal = Journal(out / 'journal')

    def tell(topic: str, columns: tuple[str, ...], rows: np.ndarray) -> None:
        header = codec.Origin('a', 'a-1', CONTRACT.hash).to_header()
        message = codec.encode_table(codec.Table(columns, rows, header))
        journal.write(topic, TABLE, bytes(serialize_message(message)), 1)

    columns = codec.transition_columns(CONTRACT)
    place = {name: index for index, name in enumerate(columns)}
    actions = rng.uniform(LOW, HIGH, (30, 3))
    for part, version in enumerate((5, 9, 7)):
        rows = np.zeros((10, len(columns)))
        rows[:, place['version']] = version
        taken = actions[10 * part:10 * part + 10]
        for index in range(3):
            rows[:, place[f'action.a{index}']] = taken[:, index]
            rows[:, place[f'applied.a{index}']] = taken[:, index] * 0.5
        tell('/transitions', columns, rows)
    for number, phase in enumerate(phases):
        row = dict.fromkeys(codec.EPISODE_COLUMNS, 0.0) | {
            'phase': phase, 'success': number % 2, 'goal_x': 0.1 * number, 'goal_z': 0.5}
        tell('/episodes', codec.EPISODE_COLUMNS, np.array([list(row.values())]))
    journal.close()
    return actions


@pytest.mark.parametrize(('phases', 'goals'), [
    ([TRAINING, EVALUATION, CONFIRMATION, TRAINING, CONFIRMATION], [0.2, 0.4]),
    ([TRAINING, EVALUATION, TRAINING, EVALUATION], [0.1, 0.3]),
    ([TRAINING], []),
], ids=['confirmed', 'evaluated', 'neither'])
def test_the_confirmation_counts_else_the_evaluations(
    tmp_path: Path, phases: list[int], goals: list[float],
) -> None:
    actions = write(tmp_path, phases)
    found = read_collected(tmp_path, CONTRACT)
    np.testing.assert_allclose(
        found.goals, np.reshape([(goal, 0.0, 0.5) for goal in goals], (-1, 3)))
    assert found.successes.tolist() == [round(10 * goal) % 2 == 1 for goal in goals]
    share = np.interp(actions[:, 1], (LOW[1], HIGH[1]), (-1.0, 1.0))
    np.testing.assert_allclose(found.actions[:, 1], share)
    np.testing.assert_allclose(
        found.applied[:, 0], np.interp(0.5 * actions[:, 0], (LOW[0], HIGH[0]), (-1.0, 1.0)))
    # 9 was heard of before 7 acted.
    np.testing.assert_array_equal(found.behind, [0] * 20 + [2] * 10)


def test_plots_of_an_empty_and_of_a_full_journal(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    goals = rng.uniform(-1.0, 1.0, (400, 3))
    some = Collected(goals, goals[:, 0] > 0.0, rng.uniform(-1, 1, (50, 2)), np.zeros((50, 2)),
                     np.arange(50))
    none = Collected(np.zeros((0, 3)), np.zeros(0, bool), *np.zeros((2, 0, 2)), np.zeros(0))
    for found, name in ((none, 'none'), (some, 'some')):
        draw_goals(found, tmp_path / f'{name}.png')
        draw_actions(found, ('a', 'b'), tmp_path / f'{name}_actions.png')
    picture = np.asarray(Image.open(tmp_path / 'some.png').convert('RGB')).astype(int)
    picture = picture[:, :picture.shape[1] // 2]  # without the colours' own scale
    red, green = picture[..., 0] - picture[..., 1], picture[..., 1] - picture[..., 0]
    across = [np.nonzero((part > 80) & (picture[..., 2] < 90))[1].mean() for part in (red, green)]
    assert across[1] > across[0] + 50  # reached where x is positive


def test_the_timing_is_where_its_ticks_are(tmp_path: Path) -> None:
    figures = {'jitter_histogram': '0.01:500 5:5', 'goals': 3,
               'lateness_histogram': '0.001:90 0.1:9 10:1', 'lateness_p99_ms': 0.1}
    draw_timing(figures, tmp_path / 'timing.png')
    picture = np.asarray(Image.open(tmp_path / 'timing.png').convert('RGB')).astype(int)
    blue = np.abs(picture - (31, 119, 180)).max(axis=2) < 20
    height, width = blue.shape
    assert not blue[height // 2:].any()  # of two quantities nothing was told
    for half, bars in ((blue[:, :width // 2], 2), (blue[:, width // 2:], 3)):
        columns = half.any(axis=0)
        assert int((np.diff(columns.astype(int)) == 1).sum()) == bars
    heights = blue[:height // 2, width // 2:].sum(axis=0)
    assert heights[heights > 0][0] > heights[heights > 0][-1]
