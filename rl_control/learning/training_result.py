# SPDX-License-Identifier: Apache-2.0
"""Result of a training in one process: the policy, its evaluations and their plot."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rl_control.policies.evaluation_log import Tally
from rl_control.policies.onnx_policy import OnnxPolicy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TrainingResult:
    """
    A training that ended.

    `policy` acts as on an arm; `evaluations` in order, each with its place in `transitions`;
    `finished` is False after Ctrl-C; `out` is the directory, if there is one; `seconds` of wall
    clock, with those of earlier starts that ended in an evaluation.
    """

    policy: OnnxPolicy
    evaluations: tuple[Tally, ...]
    transitions: int
    updates: int
    seconds: float
    finished: bool
    out: Path | None

    def plot(self, path: Path | str | None = None) -> 'Figure':
        """Return a figure of success rate and return over transitions; save it to `path`."""
        from rl_control.report.curves import evaluation_figure

        figure = evaluation_figure({'': [tally.figures() for tally in self.evaluations]})
        if path is not None:
            figure.savefig(path, dpi=110)
        return figure
