# SPDX-License-Identifier: Apache-2.0
"""Training in one process: collector, replay buffer and learner by turns, without ROS."""

from collections.abc import Callable, Mapping
import logging
from pathlib import Path
import time
from types import SimpleNamespace

from rich.progress import Progress
import torch
from torch import Tensor

from rl_control.collection.collector import Collector, EpisodeEnd
from rl_control.common.errors import InvalidInput
from rl_control.common.files import write_json
from rl_control.common.metrics_log import MetricsLog
from rl_control.common.transition_batch import TransitionBatch
from rl_control.common.types import Transition
from rl_control.config.nodes import CollectorSettings
from rl_control.environments.environment import Environment
from rl_control.learning import checkpoint
from rl_control.learning.agent_policy import AgentPolicy
from rl_control.learning.algorithms.agent import Agent
from rl_control.learning.batch_sampler import make_symmetric_sampler
from rl_control.learning.compilation.compiled_updates import CompiledUpdates
from rl_control.learning.divergence import Rollback
from rl_control.learning.export import Exporter
from rl_control.learning.replay import ReplayBuffer
from rl_control.learning.run_identity import run_of
from rl_control.learning.trainer import FIXED_SETTINGS
from rl_control.learning.training_result import TrainingResult
from rl_control.policies.evaluate import evaluate
from rl_control.policies.evaluation_log import EvaluationLog
from rl_control.policies.onnx_policy import OnnxPolicy

METRICS_PERIOD = 1.0  # s between two lines of metrics.jsonl
CHECKPOINT_PERIOD = 60.0  # s
POLICY, EVALUATIONS = 'policy.onnx', 'training.json'
REPLAY = 'replay.'  # begins the names of the replay buffer's tensors in a checkpoint

logger = logging.getLogger(__name__)


class InProcessTraining:
    """
    One training: `run` collects, learns and evaluates by turns until `transitions` are there.

    With `out` the training resumes from its newest checkpoint there, which holds the agent and
    the replay buffer. `on_update(updates, losses)` is called after each update, `on_episode(end)`
    after each exploring episode.
    """

    def __init__(
        self, environment: Environment, agent: Agent, *, seed: int = 0, out: Path | None = None,
        demonstrations: TransitionBatch | None = None, tensorboard: bool = False,
        on_update: Callable[[int, Mapping[str, Tensor]], None] | None = None,
        on_episode: Callable[[EpisodeEnd], None] | None = None,
    ) -> None:
        agent.contract.require_equal(environment.contract, 'this agent', 'the environment')
        settings = agent.settings
        sizes = len(agent.contract.observation), len(agent.contract.action)
        self.agent = agent
        self.replay = ReplayBuffer(*sizes, settings.replay_capacity, seed)
        self._environment = environment
        self._out = out
        self._seed = seed
        self._on_update = on_update
        self._on_episode = on_episode
        self._run = 'in-process'
        known = ReplayBuffer(*sizes, max(1, len(demonstrations or ())), seed)
        if demonstrations is not None:
            known.extend_mixed(demonstrations)
            agent.observe(demonstrations.observation)
        task = environment.arm.task if hasattr(environment, 'arm') else None
        self._sampler = make_symmetric_sampler(agent, self.replay, known, task)
        self._compiled = CompiledUpdates(agent, agent.algorithm)
        self._rollback = Rollback(agent, out and out / 'checkpoints')
        self._log: MetricsLog | None = None
        self._losses: Mapping[str, Tensor] = {}
        self._measured = self._saved = time.monotonic()
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            self._run = run_of(out, 'in_process', agent.algorithm, agent.contract)
            self._log = MetricsLog(out, tensorboard)
            self._resume(checkpoint.latest(out / 'checkpoints'))
        elif tensorboard:
            raise InvalidInput('tensorboard is true but out is None; name a directory with out')
        self._acts_at_once = (
            demonstrations is not None or self.replay.total >= max(1, settings.learning_starts))

    def run(
        self, transitions: int, evaluate_every: int = 0, evaluation_episodes: int = 20,
        progress: bool = True,
    ) -> TrainingResult:
        """Train until `transitions` in all were collected; return the result, also on Ctrl-C."""
        finished = True
        evaluations, seconds = self._evaluation_log(evaluation_episodes)
        began = time.monotonic() - seconds  # of earlier starts
        shown = Progress(disable=not progress, transient=True)
        bar = shown.add_task('training', total=transitions, completed=self.replay.total)
        actor = AgentPolicy(self.agent)
        due = self.replay.total + evaluate_every

        def send(transition: Transition) -> None:
            self._store(transition)
            if self.replay.total >= self.agent.settings.learning_starts:
                collector.policy = actor
            self._learn()
            shown.advance(bar)
            if self.replay.total >= transitions:
                collector.stopped.set()

        def send_episode(end: EpisodeEnd) -> None:
            nonlocal due
            evaluations.add_training(end.outcome.success)
            if self._on_episode is not None:
                self._on_episode(end)
            if evaluate_every and self.replay.total >= due:
                due += evaluate_every
                evaluate_now()

        def evaluate_now() -> None:
            self._evaluate(
                actor, evaluations, evaluation_episodes, time.monotonic() - began)

        collector = Collector(
            self._environment, CollectorSettings(seed=self._seed),
            SimpleNamespace(send=send, send_episode=send_episode), start=self.agent.updates)
        with shown:
            try:
                if self._acts_at_once:
                    collector.policy = actor
                if self.agent.settings.compiled == 'auto':
                    self._compiled.begin()
                if self.replay.total < transitions:
                    collector.run()
            except KeyboardInterrupt:
                finished = False
            finally:
                self._compiled.close()
                self._save()
        if evaluate_every and finished and evaluations.newest != self.agent.updates:
            evaluate_now()
        policy = self._export()
        return TrainingResult(
            policy, tuple(evaluations.finished), self.replay.total, self.agent.updates,
            time.monotonic() - began, finished, self._out)

    def _store(self, transition: Transition) -> None:
        self.agent.observe(transition.observation[None])
        self.replay.append(
            '', transition.episode, transition.step, transition.observation, transition.action,
            transition.reward, transition.next_observation, transition.discount,
            transition.log_prob)

    def _learn(self) -> None:
        """Make the updates that are due; keep metrics and checkpoints at their periods."""
        settings = self.agent.settings
        learned_from = self.replay.total - settings.learning_starts
        while self.agent.updates < settings.updates_due(learned_from):
            losses = self._compiled.update(*self._sampler.sample(settings.batch_size))
            if self._rollback.check(losses):
                self._losses = {**self._losses, **losses}
                self._sampler.update_priorities(self.agent.error.numpy())
                if self._on_update is not None:
                    self._on_update(self.agent.updates, losses)
        now = time.monotonic()
        if now - self._measured >= METRICS_PERIOD:
            self._measured = now
            self._compiled.look()
            self._rollback.keep()
            self._write_metrics({})
        if now - self._saved >= CHECKPOINT_PERIOD:
            self._saved = now
            self._save()

    def _evaluation_log(self, episodes: int) -> tuple[EvaluationLog, float]:
        """Return the evaluations of earlier starts and their seconds, both empty for none."""
        if self._out is None:
            return EvaluationLog(episodes, 1), 0.0
        return EvaluationLog.read(self._out / EVALUATIONS, episodes, 1, logger.warning)

    def _evaluate(
        self, actor: AgentPolicy, evaluations: EvaluationLog, episodes: int, elapsed: float,
    ) -> None:
        version = self.agent.updates
        for result in evaluate(actor, self._environment, episodes, self._seed + 1):
            evaluations.add_evaluation(
                version, result.success, result.episode_return, elapsed, self.replay.total,
                confirmation=False)
        self._write_metrics(evaluations.metrics())
        if self._out is not None:
            write_json(self._out / EVALUATIONS, {
                'train_seconds': elapsed, **evaluations.figures()})

    def _write_metrics(self, more: Mapping[str, float]) -> None:
        if self._log is not None and (self._losses or more):
            self._log.write({
                **{name: float(value) for name, value in self._losses.items()}, **more,
                'updates': float(self.agent.updates), 'transitions': float(self.replay.total)})

    def _save(self) -> None:
        if self._out is None:
            return
        checkpoint.save(
            self._out / 'checkpoints', self.agent.updates,
            {**self.agent.tensors(), **{
                f'{REPLAY}{name}': torch.from_numpy(values)
                for name, values in self.replay.arrays().items()}}, {
                'algorithm': self.agent.algorithm,
                'settings': self.agent.settings.to_mapping(),
                'contract': self.agent.contract.to_json(),
                'run': self._run,
                'transitions': self.replay.total,
                'replay': self.replay.state(),
            })

    def _resume(self, saved: checkpoint.Checkpoint | None) -> None:
        if saved is None:
            return
        saved.require(
            self.agent.settings.to_mapping(), FIXED_SETTINGS & saved.state['settings'].keys())
        if 'replay' not in saved.state:
            raise InvalidInput(
                f'{self._out} holds a training over topics; name another out, or start it again '
                'by its launch file')
        tensors = dict(saved.tensors)
        arrays = {name.removeprefix(REPLAY): tensors.pop(name).numpy()
                  for name in list(tensors) if name.startswith(REPLAY)}
        self.agent.load(tensors)
        self.replay.restore(arrays, saved.state['replay'])

    def _export(self) -> OnnxPolicy:
        """Return the policy as ONNX, verified against torch; save it in `out`."""
        exporter = Exporter(
            self.agent.policy, self.agent.contract, self.agent.algorithm, self._run)
        data = exporter.export(self.agent.updates, self.replay.total)
        exporter.verify(data)
        policy = OnnxPolicy(data)
        if self._out is not None:
            policy.save(self._out / POLICY)
        return policy


def train(
    environment: Environment, agent: Agent, transitions: int, *, evaluate_every: int = 0,
    evaluation_episodes: int = 20, out: Path | str | None = None, seed: int = 0,
    demonstrations: TransitionBatch | None = None, progress: bool = True,
    tensorboard: bool = False,
    on_update: Callable[[int, Mapping[str, Tensor]], None] | None = None,
    on_episode: Callable[[EpisodeEnd], None] | None = None,
) -> TrainingResult:
    """
    Train `agent` in `environment` until `transitions` were collected; return the result.

    Args:
        environment: of `rl_control.make`; its contract must be the agent's.
        agent: of `rl_control.SAC` or another algorithm; it is trained in place.
        transitions: in all, those of earlier starts with the same `out` included.
        evaluate_every: transitions between two evaluations of `evaluation_episodes` episodes
            without noise; 0 for none.
        out: directory of checkpoints, metrics.jsonl, training.json and policy.onnx; the same
            again goes on. Ctrl-C saves and returns what is there.
        seed: of starts, goals, exploration and replay.
        demonstrations: transitions that make up half of each batch (RLPD, Ball et al. 2023).
        progress: show a progress bar.
        tensorboard: write event files to `out`/tensorboard.
        on_update: called with the number of updates and the losses after each update.
        on_episode: called with each exploring episode that ended.

    Raises:
        InvalidInput: another contract, or an `out` of another training.
    """
    training = InProcessTraining(
        environment, agent, seed=seed, out=None if out is None else Path(out),
        demonstrations=demonstrations, tensorboard=tensorboard, on_update=on_update,
        on_episode=on_episode)
    return training.run(transitions, evaluate_every, evaluation_episodes, progress)
