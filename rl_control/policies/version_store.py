# SPDX-License-Identifier: Apache-2.0
"""Version store: keep the newest versions of a policy and the best one on disk."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rl_control.common.errors import InvalidInput
from rl_control.common.files import read_json, write_json
from rl_control.policies.onnx_policy import OnnxPolicy, digest_path, load
from rl_control.policies.score import Score


@dataclass(frozen=True)
class Standing:
    """The scores of the best and the former best version, and the withdrawn versions."""

    best: Score | None = None
    former: Score | None = None
    withdrawn: frozenset[int] = frozenset()

    @classmethod
    def read(cls, path: Path) -> 'Standing':
        """
        Return the standing that `write` wrote, an empty one where there is no file.

        Raise InvalidInput for an invalid file.
        """
        try:
            values = read_json(path)
            return cls(
                _score(values['best']), values['former'] and _score(values['former']),
                frozenset(map(int, values['withdrawn'])))
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InvalidInput(
                f'{path} does not name the best version ({type(error).__name__}: '
                f'{error}); restore it, or remove it to begin without a best') from error

    def write(self, path: Path) -> None:
        """Write the standing to one file, atomically."""
        write_json(path, {
            'best': self.best and asdict(self.best),
            'former': self.former and asdict(self.former),
            'withdrawn': sorted(self.withdrawn)})


class VersionStore:
    """
    Stores `OUT/versions/<version>.onnx`: the newest `keep` versions, the best, the former best.

    `OUT/best.json` names the best; it is written before anything else changes, so that after a
    kill or on a full disk a change has happened completely or not at all. `OUT/best.onnx` is a
    copy of the best; a failed copy is retried with the next version. A pinned version, which is
    being evaluated, is kept until the next one is pinned. A restart loads the versions in `out`
    and skips corrupt files, each reported by `tell`. Raises OSError where the disk is full; stored
    versions are untouched then.
    """

    def __init__(self, out: Path, keep: int, tell: Callable[[str], None]) -> None:
        self._directory = out / 'versions'
        self._standing_file, self._copy = out / 'best.json', out / 'best.onnx'
        self._keep = keep
        self._tell = tell
        self._pinned = -1
        self._copied = -1  # version of the copy
        self._directory.mkdir(parents=True, exist_ok=True)
        self._kept = sorted(
            int(path.stem) for path in self._directory.glob('*.onnx') if path.stem.isdecimal())
        self._standing = Standing.read(self._standing_file)
        self.newest = self._newest()
        self.best = self._restore_best()
        self.count = 0  # versions kept since the start
        self._copy_best()

    @property
    def score(self) -> Score | None:
        """Return the score of the best version, or None."""
        return self._standing.best

    @property
    def withdrawn(self) -> frozenset[int]:
        """Return the versions that must not become the best again."""
        return self._standing.withdrawn

    def keep(self, policy: OnnxPolicy) -> None:
        """Save a version, and remove old ones that are neither best, former best nor pinned."""
        self.newest = policy
        policy.save(self._path(policy.version))
        self._kept.append(policy.version)
        self.count += 1
        needed = {self._pinned, *(score.version for score in self._scores())}
        for version in self._kept[:-self._keep]:
            if version not in needed:
                self._kept.remove(version)
                _remove(self._path(version))
        self._copy_best()

    def pin(self, version: int) -> None:
        """Keep `version` until another one is pinned."""
        self._pinned = version

    def promote(self, score: Score) -> bool:
        """Make a version the best if it ranks higher than the best; return whether it did."""
        best = self._standing.best
        if best is not None and score.version == best.version:
            self._decide(replace(self._standing, best=score), self.best)
            return False
        if score.version in self.withdrawn or (best and score.rank <= best.rank):
            return False
        self._decide(replace(self._standing, best=score, former=best),
                     load(self._path(score.version)))
        return True

    def rollback(self) -> OnnxPolicy:
        """Make the former best the best again, and withdraw the present best for good."""
        best, former = self._standing.best, self._standing.former
        if best is None or former is None:
            raise InvalidInput('there is no former best to roll back to; nothing was changed')
        policy = load(self._path(former.version))
        self._decide(Standing(former, None, self.withdrawn | {best.version}), policy)
        return policy

    def _decide(self, standing: Standing, best: OnnxPolicy | None) -> None:
        standing.write(self._standing_file)
        self._standing, self.best = standing, best
        self._copy_best()

    def _copy_best(self) -> None:
        """Update the copy of the best; where the disk is full, the next version tries again."""
        if self.best is None or self.best.version == self._copied:
            return
        try:
            self.best.save(self._copy)
        except OSError as error:
            self._tell(f'{self._copy} cannot be updated to version {self.best.version} '
                       f'({error.strerror}); free some space')
        else:
            self._copied = self.best.version

    def _scores(self) -> list[Score]:
        return [score for score in (self._standing.best, self._standing.former)
                if score is not None]

    def _newest(self) -> OnnxPolicy | None:
        return next(filter(None, map(self._load, map(self._path, reversed(self._kept)))), None)

    def _restore_best(self) -> OnnxPolicy | None:
        """Return the best version, or the former best where the best is corrupt."""
        scores = self._scores()
        copy = self._load(self._copy) if scores else None
        if copy is not None:
            self._copied = copy.version
        while scores:
            version = scores[0].version
            policy = copy if self._copied == version else self._load(self._path(version))
            if policy is not None:
                former = scores[1] if scores[1:] else None
                self._standing = Standing(scores[0], former, self.withdrawn)
                return policy
            del scores[0]
        self._standing = Standing(withdrawn=self.withdrawn)
        return None

    def _load(self, path: Path) -> OnnxPolicy | None:
        try:
            return load(path)
        except InvalidInput as refused:
            self._tell(str(refused))
            return None

    def _path(self, version: int) -> Path:
        return self._directory / f'{version}.onnx'


def _score(values: Mapping[str, Any]) -> Score:
    return Score(int(values['version']), int(values['episodes']), int(values['successes']),
                 float(values['return_sum']), int(values.get('unknown', 0)))


def _remove(path: Path) -> None:
    for left in (path, digest_path(path)):
        left.unlink(missing_ok=True)
