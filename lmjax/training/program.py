"""What a configuration, a dataset and a model make of training by gradient, before it begins."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import grain
import jax
import numpy as np
from ml_collections import ConfigDict

from lmjax.data.batch import Batch
from lmjax.data.batching import Batching
from lmjax.data.context import ContextPolicy
from lmjax.data.dataset import Dataset
from lmjax.data.streams import TokenStream
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.training_batches import endless
from lmjax.errors import UserError
from lmjax.evaluation.scoring import context_policy
from lmjax.models.contract import LanguageModel
from lmjax.models.cost import ModelCost, model_cost
from lmjax.nn.dropout import dropout_rate
from lmjax.objectives.contract import Objective, outcome_of
from lmjax.objectives.registry import check_batches, check_objective, make_objective
from lmjax.runs.ranges import check_ranges
from lmjax.training.averaging import check_averaging
from lmjax.training.durations import Clock
from lmjax.training.execution import Execution, make_execution
from lmjax.training.health import check_health
from lmjax.training.initial_embedding import with_initial_embedding
from lmjax.training.leaf_groups import factors_line, frozen_leaves, frozen_line
from lmjax.training.mesh import most_rest
from lmjax.training.optimizers import make_optimizer
from lmjax.training.schedules import hyperparameters_of, make_schedule
from lmjax.training.state import Hyperparameters, TrainState, initial_params, initial_state
from lmjax.training.step import TrainStep, leaf_names
from lmjax.training.warm_start import WarmStart, warm_start


@dataclass(frozen=True)
class Program:
    """A step, what it runs on and what it begins with; nothing of it has run yet."""

    config: ConfigDict
    model: LanguageModel
    clock: Clock
    step: TrainStep
    execution: Execution
    hyperparameters: Hyperparameters
    # From seed and hyperparameters; parameters come boxed with their logical axis names.
    begin: Callable[[jax.Array, Hyperparameters], TrainState]
    named: TrainState  # the abstract tree of what `begin` returns
    cost: ModelCost
    leaf_names: list[str]  # of the parameters, in the order of the step's metrics

    def abstract_state(self) -> TrainState:
        """Shapes and dtypes of the state, unboxed."""
        return nn.meta.unbox(self.named)

    def fresh_state(self) -> TrainState:
        """The state before the first step."""
        seed = np.uint32(self.config.seed)
        return nn.meta.unbox(jax.jit(self.begin)(seed, self.hyperparameters))


@dataclass(frozen=True)
class Intervals:
    """Steps from one time to the next; 0 for never."""

    evaluate: int
    save: int
    keep: int  # a checkpoint for ever
    log: int


@dataclass(frozen=True)
class Beginning:
    """The state before the first step; of which run and step its parameters are, if of any."""

    state: TrainState
    initial_params: str = ""
    remarks: tuple[str, ...] = ()  # to be said


@dataclass(frozen=True)
class TrainingPlan(Program):
    """A program with the text that it is trained on."""

    objective: Objective
    train: TokenStream
    validation: TokenStream
    tokenizer: Tokenizer
    policy: ContextPolicy  # of the validation
    every: Intervals

    def fresh_state(self) -> TrainState:
        """The state before the first step, with the parameters that it is to begin with."""
        return self.begun().state

    def begun(self) -> Beginning:
        """`fresh_state`, and what of it is from elsewhere; raises UserError if it can't be had."""
        state, training = super().fresh_state(), self.config.training
        if training.initial_params:
            found = self.warm_start()
            merged = state.beginning_with(found.merged(state.params))
            return Beginning(merged, found.origin, tuple(found.remarks()))
        if training.initial_embedding:
            begun = with_initial_embedding(
                training.initial_embedding, state.params, self.tokenizer, self.model
            )
            return Beginning(state.beginning_with(begun.params), remarks=(begun.remark,))
        return Beginning(state)

    def check_beginning(self) -> None:
        """Raises UserError for parameters or vectors that it can't begin with."""
        training = self.config.training
        for field in ("initial_new", "initial_left", "initial_paths"):
            if training[field] and not training.initial_params:
                raise UserError(
                    f"training.{field} is {training[field]}, but there is no other run to take "
                    "parameters from; give training.initial_params or leave it out"
                )
        if training.initial_params:
            self.warm_start()
        elif training.initial_embedding:
            self.begun()

    def warm_start(self) -> WarmStart:
        """What `training.initial_params` names; raises UserError if it can't be begun with."""
        return warm_start(self.config.training, self.tokenizer, self.named.params)

    def batches(self) -> grain.DatasetIterator:
        """The batches of the training, from the first."""
        return endless(self.batching(), self.config.data)

    def batching(self) -> Batching:
        """The way through the training text."""
        return self.objective.batching(self.train, self.config.data, self.config.seed)

    def remarks(self) -> list[str]:
        """What is to be said of the batches and of the parameters before training."""
        lines, training = self.batching().remarks(), self.config.training
        if training.frozen:
            lines.append(frozen_line(self.named.params, training.frozen))
        if training.layer_decay != 1:
            lines.append(factors_line(self.named.params, training.layer_decay))
        return lines

    def distinct_tokens(self, steps: int) -> int:
        """How many different targets the first `steps` batches hold."""
        return self.batching().distinct_targets(steps)


def make_program(
    config: ConfigDict, model: LanguageModel, clock: Clock, objective: Objective
) -> Program:
    """The program of `config` for a model; raises UserError for a field that cannot be."""
    check_ranges(config)
    data, training = config.data, config.training
    check_averaging(training)
    params = jax.eval_shape(partial(initial_params, model, length=data.length), np.uint32(0))
    optimizer = make_optimizer(training, params)
    step = TrainStep(
        model=model,
        objective=objective,
        optimizer=optimizer,
        schedule=make_schedule(training, clock),
        loss_reduction=training.loss_reduction,
        accumulation_steps=training.accumulation_steps,
        skip_nonfinite=config.health.on_nonfinite == "skip",
        frozen_L=tuple(jax.tree.leaves(frozen_leaves(params, training.frozen))),
        full_length=data.length if data.length_deviation else 0,
    )
    begin = partial(
        initial_state,
        model,
        optimizer,
        batch_size=data.batch_size,
        length=data.length,
        carried=data.batching == "stream",
        averaging=training.averaging,
    )
    hyperparameters = hyperparameters_of(training, clock, config.model.get("dropout", 0.0))
    named = jax.eval_shape(begin, np.uint32(0), hyperparameters)
    cost = training_cost(data, objective, model, named.params)
    most = most_rest(
        jax.devices(), cost.parameters, clock.tokens_per_step // max(1, step.accumulation_steps)
    )
    return Program(
        config=config,
        model=model,
        clock=clock,
        step=step,
        execution=make_execution(config.execution, step, data.batch_size, most),
        hyperparameters=hyperparameters,
        begin=begin,
        named=named,
        cost=cost,
        leaf_names=leaf_names(nn.meta.unbox(named.params)),
    )


def training_cost(
    data: ConfigDict, objective: Objective, model: LanguageModel, params: Any
) -> ModelCost:
    """The cost of training on rows of `config.data`; `params` may be abstract."""
    loss = partial(row_loss, objective, model, batch=objective.example_batch(data))
    lengths = objective.row_length(data), data.source_length
    return model_cost(model, params, *lengths, targets=objective.row_targets(data), loss=loss)


def row_loss(objective: Objective, model: LanguageModel, params: Any, batch: Batch) -> jax.Array:
    """What is descended of a batch, but for what it is divided by; nothing is dropped out."""
    drawn = dict(deterministic=False, rngs={"dropout": jax.random.key(0)})
    with dropout_rate(0.0):
        outcome = outcome_of(objective, model, params, batch, None, **drawn)
    return outcome.nats + sum(outcome.extras.values())


def plan_training(config: ConfigDict, dataset: Dataset, model: LanguageModel) -> TrainingPlan:
    """The plan of `config`; raises UserError for what could only fail later."""
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    data = config.data
    objective = make_objective(config.objective, dataset.tokenizer)
    check_objective(config, objective, model)
    check_batches(config, objective, train)
    batching = objective.batching(train, data, config.seed)
    clock = Clock(batching.steps_per_epoch, batching.tokens_per_step)
    clock = clock.with_total(config.training.duration)
    policy = context_policy(config, model)
    next(objective.evaluation_batches(validation, policy, 1))  # a split too short is refused now
    if data.batching == "stream" and model.longest_context is not None:
        raise UserError(
            f"model {config.model.name!r} takes in {model.longest_context} tokens at most, so "
            "its state can't be carried from batch to batch; set data.batching to 'windows'"
        )
    check_health(config.health)
    if config.training.initial_params and config.training.initial_embedding:
        raise UserError(
            "training.initial_params gives the embedding, too; leave it or "
            "training.initial_embedding out"
        )
    program = make_program(config, model, clock, objective)
    return TrainingPlan(
        **vars(program),
        objective=objective,
        train=train,
        validation=validation,
        tokenizer=dataset.tokenizer,
        policy=policy,
        every=Intervals(
            evaluate=clock.steps(config.evaluation.every),
            save=clock.steps(config.checkpoint.every),
            keep=clock.steps(config.checkpoint.keep_every),
            log=clock.steps(config.logging.every),
        ),
    )
