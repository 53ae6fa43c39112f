"""The environments: equal to unified-planning's simulator, seeded, with snapshots and typed failures."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from nereus.agents.learner.environments.base import ActionFailed, Call, Failure
from nereus.agents.learner.environments.generators import HELD_OUT_SIZES, LEARNING_SIZES, TEST_SIZES, instance
from nereus.agents.learner.environments.operators import apply, composed, groundings
from nereus.agents.learner.environments.planning import (
    DOMAINS,
    PlanningEnvironment,
    TaskReader,
    domain_text,
    parsed,
)
from nereus.agents.learner.environments.relaxed import AdditiveEstimate
from nereus.agents.learner.search import Caps, choices, search
from nereus.errors import InputError


@pytest.mark.parametrize("domain", DOMAINS)
def test_steps_are_those_of_unified_planning(domain: str) -> None:
    from unified_planning.shortcuts import SequentialSimulator

    task = instance(domain, LEARNING_SIZES[domain][0], 1)
    problem = parsed(domain_text(domain), task.text)
    draw = random.Random(3)
    with SequentialSimulator(problem=problem) as simulator:
        theirs, ours = simulator.get_initial_state(), task.initial
        for _ in range(8):
            facts = task.facts(ours)
            mine = {
                (operator.name, binding)
                for operator in task.domain.operators.values()
                for binding in groundings(operator, task.world, ours, facts)
            }
            offered = {
                (action.name.replace("-", "_"), tuple(str(one) for one in arguments)): (action, arguments)
                for action, arguments in simulator.get_applicable_actions(theirs)
            }
            assert mine == set(offered)
            name, binding = draw.choice(sorted(mine))
            theirs = simulator.apply(theirs, *offered[name, binding])
            ours = apply(task.domain.operators[name], binding, ours)
            true = {
                (fluent.fluent().name.replace("-", "_"), *(str(one) for one in fluent.args))
                for fluent in problem.initial_values
                if theirs.get_value(fluent).is_true()
            }
            assert true == set(ours | task.constant_facts)


def test_no_size_is_in_two_of_learning_selection_and_test() -> None:
    for domain in DOMAINS:
        sizes = [*LEARNING_SIZES[domain], *HELD_OUT_SIZES[domain], *TEST_SIZES[domain]]
        assert len(set(sizes)) == len(sizes)


def test_instances_are_seeded_and_share_no_names() -> None:
    one, same, other = (instance("gripper", 4, seed) for seed in (1, 1, 2))
    assert (one.initial, one.goal) == (same.initial, same.goal)
    assert not set(one.world.objects) & set(other.world.objects)


def test_failures_are_typed_and_change_nothing() -> None:
    task = instance("blockworld", 3, 0)
    environment = PlanningEnvironment(task)
    block, other = next((f[1], f[2]) for f in sorted(task.initial) if f[0] == "on")
    for call, kind in (
        (Call("fly", (block,)), Failure.UNKNOWN_ACTION),
        (Call("pickup", ("nothing",)), Failure.WRONG_ARGUMENT),
        (Call("pickup", ()), Failure.WRONG_ARGUMENT),
        (Call("stack", (block, other)), Failure.PRECONDITION),
    ):
        before = environment.state_hash()
        with pytest.raises(ActionFailed) as caught:
            environment.act(call)
        assert caught.value.kind is kind
        assert environment.state_hash() == before
    assert ("held", block) in caught.value.missing


def test_snapshots_take_back_what_was_done() -> None:
    task = instance("gripper", 3, 0)
    environment = PlanningEnvironment(task)
    kept, before = environment.snapshot(), environment.state_hash()
    plan = search(task, list(task.domain.operators.values()))
    for call in plan.primitives:
        environment.act(call)
    assert environment.solved()
    assert environment.state_hash() != before
    environment.rollback(kept)
    assert environment.state_hash() == before


def test_caps_end_a_search() -> None:
    task = instance("blockworld", 9, 5)
    few = search(task, list(task.domain.operators.values()), Caps(300, 20))
    assert not few.solved
    assert few.calls <= 20
    assert search(task, list(task.domain.operators.values()), Caps(2, 10_000)).expansions <= 2


def test_bad_problems_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        TaskReader(domain_text("gripper"), "gripper").read("(define (problem x) (:domain gripper)", "x")
    with pytest.raises(InputError, match="no domain 'chess'"):
        instance("chess", 3, 0)


@pytest.mark.skipif("NEREUS_DATA" not in os.environ, reason="needs the shared data sets")
@pytest.mark.parametrize(
    ("name", "problem"),
    [("gripper", "prob01"), ("blockworld", "problem1"), ("barman", "p01"), ("tyreworld", "p01")],
)
def test_public_problems_are_read_and_solved(name: str, problem: str) -> None:
    folder = Path(os.environ["NEREUS_DATA"]) / "planning_pddl" / "learnact"
    reader = TaskReader((folder / f"{name}.pddl").read_text(), name)
    task = reader.read((folder / name / f"{problem}.pddl").read_text(), problem)
    plan = search(task, list(task.domain.operators.values()), Caps(3000, 60_000))
    environment = PlanningEnvironment(task)
    for call in plan.primitives:
        environment.act(call)
    assert environment.solved()


def test_types_have_names_that_learned_code_may_write() -> None:
    plain = """(define (domain moving) (:predicates (at ?x))
      (:action go :parameters (?a ?b) :precondition (at ?a) :effect (and (at ?b) (not (at ?a)))))"""
    problem = "(define (problem p) (:domain moving) (:objects m n) (:init (at m)) (:goal (at n)))"
    task = TaskReader(plain, "moving").read(problem, "p")
    assert {kind for one in task.domain.primitives for _, kind in one.parameters} == {"object_"}
    assert task.world.of_kind["object_"] == ("m", "n")
    assert search(task, list(task.domain.operators.values())).solved


def test_choices_are_in_order_before_anything_is_simulated() -> None:
    task = instance("blockworld", 8, 3)
    macro = composed(
        "onto",
        (Call("pickup", ("?0",)), Call("stack", ("?0", "?1"))),
        ("block", "block"),
        task.domain.operators,
    )
    assert macro is not None
    operators = [macro, *task.domain.operators.values()]
    near, wanted = AdditiveEstimate(task, operators).judged(task.initial)
    found = choices(task, operators, task.initial, wanted)
    assert near > 0
    assert wanted - task.initial == wanted
    assert {one.preferred for one in found} == {True, False}
    assert found == sorted(found, key=lambda one: not one.preferred)
    every = {
        (o.name, b)
        for o in operators
        for b in groundings(o, task.world, task.initial, task.facts(task.initial))
    }
    assert {(one.operator.name, one.bindings[0]) for one in found} == every, (
        "nothing that can be done is left out"
    )
    with_macro, plain = search(task, operators), search(task, operators[1:])
    assert with_macro.solved
    assert plain.solved
    assert len(with_macro.decisions) < len(plain.decisions)
