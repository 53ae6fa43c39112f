"""The environments: equal to unified-planning's simulator, seeded, with snapshots and typed failures."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from nereus.agents.learner.environments.base import ActionFailed, Call, Failure
from nereus.agents.learner.environments.generators import HELD_OUT_SIZES, LEARNING_SIZES, TEST_SIZES, instance
from nereus.agents.learner.environments.grounded import GroundTask
from nereus.agents.learner.environments.operators import apply, composed, groundings
from nereus.agents.learner.environments.planning import (
    DOMAINS,
    PlanningEnvironment,
    TaskReader,
    domain_text,
    parsed,
)
from nereus.agents.learner.environments.relaxed import RelaxedEstimate
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
    ground = GroundTask(task, operators)
    near, wanted = RelaxedEstimate(ground).judged(ground.initial)
    found = choices(ground, ground.initial, wanted)
    assert near > 0
    assert not wanted & ground.initial
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


@pytest.mark.parametrize("domain", DOMAINS)
def test_numbers_do_what_operators_on_sets_of_facts_do(domain: str) -> None:
    """Along a random walk: the same can be done in every state, and it leads to the same facts."""
    task = instance(domain, 2, 5)
    operators = list(task.domain.operators.values())
    ground = GroundTask(task, operators)
    draw = random.Random(domain)
    state, number = task.initial, ground.initial
    for _ in range(25):
        facts = task.facts(state)
        every = {
            (o.name, b): apply(o, b, state)
            for o in operators
            for b in groundings(o, task.world, state, facts)
        }
        possible = {(a.operator.name, a.binding): a for a in ground.actions if a.possible(number)}
        assert possible.keys() == every.keys()
        for key, action in possible.items():
            assert action.after(number) == ground.state_of(every[key])
        chosen = draw.choice(sorted(possible))
        state, number = every[chosen], possible[chosen].after(number)
    assert ground.unmet(number) == task.unmet(state)


@pytest.mark.parametrize(("domain", "size"), [("barman", 3), ("blockworld", 8)])
def test_macros_cost_no_task_that_primitives_solve_with_a_third_of_the_caps(domain: str, size: int) -> None:
    undoing = {
        "barman": (("grasp", ("?0", "?1")), ("leave", ("?0", "?1"))),
        "blockworld": (("unstack", ("?0", "?1")), ("stack", ("?0", "?1"))),
    }[domain]
    for seed in range(3):
        task = instance(domain, size, seed)
        operators = list(task.domain.operators.values())
        plain = search(task, operators, Caps(300, 3000))
        assert plain.solved
        kinds = operators[[one.name for one in operators].index(undoing[0][0])].kinds
        macros = []
        for name, times in (("once", 1), ("twice", 2), ("thrice", 3)):
            made = composed(name, tuple(Call(*one) for one in undoing * times), kinds, task.domain.operators)
            assert made is not None
            macros.append(made)
        caps = Caps(3 * plain.expansions + 3, 3 * plain.calls + 3)
        found = search(task, [*macros, *operators], caps)
        assert found.solved
        assert found.calls <= caps.calls
        assert found.expansions <= caps.expansions


def test_a_search_does_not_depend_on_the_order_of_sets() -> None:
    code = (
        "from nereus.agents.learner.environments.generators import instance\n"
        "from nereus.agents.learner.search import search\n"
        "task = instance('barman', 3, 2)\n"
        "plan = search(task, list(task.domain.operators.values()))\n"
        "print(plan.calls, plan.expansions, *plan.primitives)\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
