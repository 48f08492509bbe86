# SPDX-License-Identifier: Apache-2.0
"""
Gymnasium ids of the arm environments: registered as soon as Gymnasium is imported.

Gymnasium reads no entry points (since 1.0). `import rl_control` must import nothing large, so it
registers at once where Gymnasium is there, and else right after Gymnasium's own import.
"""

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
import sys
from types import ModuleType

IDS = {'Reach': 'reach', 'ReachPose': 'reach_pose', 'Follow': 'follow'}
NAMESPACE = 'rl_control'


def register_with_gymnasium() -> None:
    """Register the ids now if Gymnasium is imported, else as soon as it is."""
    if sys.modules.get('gymnasium') is not None:
        _register()
    elif not any(isinstance(finder, _AfterGymnasium) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterGymnasium())


def _register() -> None:
    from gymnasium.envs.registration import register, registry

    for name, task in IDS.items():
        if (key := f'{NAMESPACE}/{name}-v0') not in registry:
            register(id=key, entry_point='rl_control.environments.registration:ArmEnv',
                     kwargs={'task': task})


class _AfterGymnasium(MetaPathFinder):
    """Finder that lets the others find Gymnasium, and registers the ids after its import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name != 'gymnasium':
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(Loader):
    """Loader that registers the ids after the module was executed."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register()
