# SPDX-License-Identifier: Apache-2.0
"""The versions of a policy on disk, and which of them is the best."""

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
    """Which version is the best and which was before it, by which episodes; what is withdrawn."""

    best: Score | None = None
    former: Score | None = None
    withdrawn: frozenset[int] = frozenset()

    @classmethod
    def read(cls, path: Path) -> 'Standing':
        """
        Return what `write` wrote, nothing where there is no file.

        Raise InvalidInput for another.
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
                f'{path} does not say which version is the best ({type(error).__name__}: '
                f'{error}); put it back, or remove it to begin without a best') from error

    def write(self, path: Path) -> None:
        """Write all of it in one file, which is the former one or this one at every moment."""
        write_json(path, {
            'best': self.best and asdict(self.best),
            'former': self.former and asdict(self.former),
            'withdrawn': sorted(self.withdrawn)})


class VersionStore:
    """
    `OUT/versions/<version>.onnx`: the newest `keep` of them, the best, and the one before it.

    `OUT/best.json` says which is the best; it is written before anything else is changed, so that
    after a kill or on a full disk a change has happened, or has not. `OUT/best.onnx` is a copy of
    the best, which is made again until it is one. A version that is being evaluated is pinned: it
    stays until the next one is. What lies in `out` is taken up again; a file that is not whole is
    passed over, which `tell` is told. Raises OSError where the disk takes nothing; what was
    there stays.
    """

    def __init__(self, out: Path, keep: int, tell: Callable[[str], None]) -> None:
        self._directory = out / 'versions'
        self._decided, self._copy = out / 'best.json', out / 'best.onnx'
        self._keep = keep
        self._tell = tell
        self._pinned = -1
        self._copied = -1  # the version that the copy is of
        self._directory.mkdir(parents=True, exist_ok=True)
        self._kept = sorted(
            int(path.stem) for path in self._directory.glob('*.onnx') if path.stem.isdecimal())
        self._standing = Standing.read(self._decided)
        self.newest = self._newest()
        self.best = self._take_up()
        self.count = 0  # versions kept since the start
        self._copy_best()

    @property
    def score(self) -> Score | None:
        """Return what the best was judged by."""
        return self._standing.best

    @property
    def withdrawn(self) -> frozenset[int]:
        """Return the versions that are never to be the best again."""
        return self._standing.withdrawn

    def keep(self, policy: OnnxPolicy) -> None:
        """Save a version, and remove the oldest that is neither needed nor pinned."""
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
        """Keep `version` as long as it is the one that is evaluated."""
        self._pinned = version

    def promote(self, score: Score) -> bool:
        """Make a version the best if it ranks higher than the best; say whether it did."""
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
        """Make the former best the best again, and withdraw the present one for good."""
        best, former = self._standing.best, self._standing.former
        if best is None or former is None:
            raise InvalidInput('there is no best before this one; nothing was changed')
        policy = load(self._path(former.version))
        self._decide(Standing(former, None, self.withdrawn | {best.version}), policy)
        return policy

    def _decide(self, standing: Standing, best: OnnxPolicy | None) -> None:
        standing.write(self._decided)
        self._standing, self.best = standing, best
        self._copy_best()

    def _copy_best(self) -> None:
        """Bring the copy up to date; where the disk takes none, the next version tries again."""
        if self.best is None or self.best.version == self._copied:
            return
        try:
            self.best.save(self._copy)
        except OSError as error:
            self._tell(f'{self._copy} is not version {self.best.version} yet ({error.strerror}); '
                       'make space')
        else:
            self._copied = self.best.version

    def _scores(self) -> list[Score]:
        return [score for score in (self._standing.best, self._standing.former)
                if score is not None]

    def _newest(self) -> OnnxPolicy | None:
        return next(filter(None, map(self._whole, map(self._path, reversed(self._kept)))), None)

    def _take_up(self) -> OnnxPolicy | None:
        """Return the best, or the one before it, which is the best where that is not whole."""
        scores = self._scores()
        copy = self._whole(self._copy) if scores else None
        if copy is not None:
            self._copied = copy.version
        while scores:
            version = scores[0].version
            policy = copy if self._copied == version else self._whole(self._path(version))
            if policy is not None:
                former = scores[1] if scores[1:] else None
                self._standing = Standing(scores[0], former, self.withdrawn)
                return policy
            del scores[0]
        self._standing = Standing(withdrawn=self.withdrawn)
        return None

    def _whole(self, path: Path) -> OnnxPolicy | None:
        try:
            return load(path)
        except InvalidInput as refused:
            self._tell(str(refused))
            return None

    def _path(self, version: int) -> Path:
        return self._directory / f'{version}.onnx'


def _score(values: Mapping[str, Any]) -> Score:
    return Score(int(values['version']), int(values['episodes']), int(values['successes']),
                 float(values['return_sum']))


def _remove(path: Path) -> None:
    for left in (path, digest_path(path)):
        left.unlink(missing_ok=True)
