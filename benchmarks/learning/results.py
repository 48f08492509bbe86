# SPDX-License-Identifier: Apache-2.0
"""Results of finished runs: one JSON line each, one file per cell."""

from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any

from benchmarks.learning.cells import Run


@dataclass(frozen=True)
class Result:
    """
    A run's evaluations: `step` (k,), mean `returns` (k,) and success rates `successes` (k,).

    The last one is the final evaluation, of more episodes. `seconds` is the time of the whole run.
    """

    cell: str
    who: str
    label: str
    seed: int
    digest: str
    version: str
    settings: dict[str, Any]
    step: list[int]
    returns: list[float]
    successes: list[float]
    seconds: float

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """Return the run's key."""
        return self.cell, self.who, self.label, self.seed, self.digest

    def values(self, score: str) -> list[float]:
        """Return the `return` or the `success` of each evaluation."""
        return self.returns if score == 'return' else self.successes


def load(directory: Path) -> dict[tuple[str, str, str, int, str], Result]:
    """Return all finished runs by their keys; skip lines that a kill cut short."""
    found = {}
    for path in sorted(directory.glob('*.jsonl')):
        for line in path.read_text().splitlines():
            try:
                result = Result(**json.loads(line))
            except (ValueError, TypeError):
                continue
            found[result.key] = result
    return found


def save(directory: Path, run: Run, result: Result) -> None:
    """Append one result."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f'{run.cell.name}.jsonl'
    # Do not append to a line that was cut short.
    cut = path.is_file() and not path.read_bytes().endswith(b'\n')
    with path.open('a') as file:
        file.write('\n' * cut + json.dumps(asdict(result)) + '\n')
