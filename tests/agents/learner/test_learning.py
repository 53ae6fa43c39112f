"""Learning without a model: what is mined, how it is mended, and what is never promoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from nereus.agents.learner import ActionLearner, MiningAuthor, SearchAgent
from nereus.agents.learner.environments.base import Call, Failure
from nereus.agents.learner.environments.generators import instance
from nereus.agents.learner.environments.planning import PlanningEnvironment, PlanningTask
from nereus.agents.learner.mining import Macro, Mining, mine
from nereus.agents.learner.preconditions import attempts, preconditions
from nereus.agents.learner.repair import repaired
from nereus.agents.learner.running import LearnedRuntime
from nereus.agents.learner.scoring import score
from nereus.agents.learner.search_agent import MOST_ACTIONS, recalled
from nereus.agents.learner.source import written
from nereus.agents.learner.static_check import faults
from nereus.agents.learner.traces import Decision, Rollout
from nereus.errors import InputError, StoreError
from nereus.memory.actions import Actions, ActionTest
from nereus.memory.database import Database

TO_TABLE = Macro((Call("unstack", ("?0", "?1")), Call("putdown", ("?0",))), ("block", "block"), 3, ("a", "b"))


def test_macros_are_lifted_supported_and_general(agent: SearchAgent, towers: list[PlanningTask]) -> None:
    traces = [agent.demonstrate(task)[1] for task in towers]
    macros = mine(traces, Mining(longest=4))
    names = agent.objects(towers)
    assert macros
    for one in macros:
        assert one.support >= 3
        assert len(one.tasks) >= 2
        assert not {str(term) for step in one.steps for term in step.arguments} & names
    assert all(
        step.arguments[0] == "?0"
        for one in macros
        if one.key.startswith("unstack(?0, ?1) putdown")
        for step in one.steps[:2]
    )


def test_mined_conditions_are_those_of_the_steps(agent: SearchAgent, towers: list[PlanningTask]) -> None:
    traces = [agent.demonstrate(task)[1] for task in towers]
    found = preconditions(attempts(TO_TABLE, traces))
    assert {("on", "?0", "?1"), ("clear", "?0"), ("arm_idle",)} >= set(found) >= {("on", "?0", "?1")}


def test_a_library_is_learned_validated_kept_and_replayed(
    agent: SearchAgent, towers: list[PlanningTask], larger_towers: list[PlanningTask], tmp_path: Path
) -> None:
    kept = Actions(Database(f"sqlite:///{tmp_path / 'home.sqlite'}"))
    library = ActionLearner(
        agent, MiningAuthor(towers[0].domain), towers, larger_towers, repository=kept, approval="never"
    ).learn()
    assert library.actions
    for one in library.actions:
        stored = kept.get(one.name)
        assert stored.status == "active"
        assert stored.tests
        assert all(test.ok for test in stored.tests)
        assert {test.task for test in stored.tests} <= {task.name for task in larger_towers}
        assert not faults(one.source, agent.primitives, agent.objects(towers))
    assert kept.recall("put a block down", 1)


def test_without_approval_nothing_becomes_active(
    agent: SearchAgent, towers: list[PlanningTask], larger_towers: list[PlanningTask], tmp_path: Path
) -> None:
    kept = Actions(Database(f"sqlite:///{tmp_path / 'home.sqlite'}"))
    library = ActionLearner(
        agent, MiningAuthor(towers[0].domain), towers, larger_towers, repository=kept, approval="costly"
    ).learn()
    assert not library.actions
    assert {one.status for one in kept.known()} == {"validated"}


def test_poisoned_actions_are_never_promoted(
    agent: SearchAgent, larger_towers: list[PlanningTask], tmp_path: Path
) -> None:
    good = written(TO_TABLE, larger_towers[0].domain)
    # It keeps its promise and does something else beside: the state is not the one that its steps lead to.
    extra = good.model_copy(update={"source": good.source.rstrip() + "\n    pickup(block)\n"})
    silent = good.model_copy(update={"source": good.source.replace("    putdown(block)\n", "")})
    evil = good.model_copy(update={"source": good.source.rstrip() + '\n    open("/etc/passwd").read()\n'})
    for one in (extra, silent, evil):
        found = agent.validate(larger_towers, [one])
        assert one.name in found.faults, one.source
    assert "expected" in agent.validate(larger_towers, [extra]).faults[good.name]
    assert "open" in faults(evil.source, agent.primitives)[0]
    kept = Actions(Database(f"sqlite:///{tmp_path / 'home.sqlite'}"))
    tests = agent.validate(larger_towers, [extra]).tests[good.name]
    stored = kept.validated(kept.add(extra), tests, ok=False)
    with pytest.raises(InputError, match="candidate"):
        kept.approve(stored.name, "me")


def test_a_source_that_was_changed_in_the_database_is_refused(
    towers: list[PlanningTask], tmp_path: Path
) -> None:
    from sqlalchemy import text

    database = Database(f"sqlite:///{tmp_path / 'home.sqlite'}")
    kept = Actions(database)
    stored = kept.add(written(TO_TABLE, towers[0].domain))
    tests = (ActionTest(task="held out", call="call", expected="hash"),)
    stored = kept.approve(kept.validated(stored, tests).name, "me")
    with database.write() as connection:
        connection.execute(text("UPDATE action_versions SET source = source || '# more'"))
    with pytest.raises(StoreError, match="not the one that was kept"):
        kept.get(stored.name)
    assert kept.usable(stored.domain) == []


def test_failed_calls_are_taken_back_and_told_apart(towers: list[PlanningTask]) -> None:
    task = towers[0]
    good = written(TO_TABLE, task.domain)
    broken = good.model_copy(
        update={
            "name": "broken",
            "source": good.source.replace(good.name, "broken").rstrip() + "\n    putdown(block)\n",
        }
    )
    crash = good.model_copy(
        update={
            "name": "crash",
            "source": "def crash(block: block) -> None:\n    pickup(block)\n    print(1 / 0)\n",
        }
    )
    upper, lower = next(
        (f[1], f[2]) for f in sorted(task.initial) if f[0] == "on" and ("clear", f[1]) in task.initial
    )
    environment = PlanningEnvironment(task)
    before = environment.state_hash()
    with LearnedRuntime(environment, [good, broken, crash]) as runtime:
        refused = runtime.call(good.name, (lower, upper))
        assert (refused.failure, refused.missing) == (Failure.NOT_APPLICABLE, (("on", lower, upper),))
        failed = runtime.call("broken", (upper, lower))
        assert (failed.failure, failed.position) == (Failure.PRECONDITION, 3)
        assert "FAILED" in failed.inner[-1]
        assert runtime.run(f"crash({upper!r})").failure in (Failure.CODE, Failure.PRECONDITION)
        assert runtime.run("1 + 1").failure is Failure.NO_CHANGE
        assert environment.state_hash() == before
        assert runtime.call(good.name, (upper, lower)).ok
        assert environment.state_hash() != before


def test_errors_mend_an_action(towers: list[PlanningTask]) -> None:
    domain = towers[0].domain
    three = Macro(
        (*TO_TABLE.steps, Call("pickup", ("?1",)), Call("stack", ("?1", "?2"))),
        ("block", "block", "block"),
        3,
        ("a", "b"),
    )
    action = written(three, domain, guards=())
    call = Call(action.name, ("x", "y", "z"))
    guarded = repaired(
        action,
        [Decision(call, True, False, "no", Failure.PRECONDITION, (("clear", "z"),), position=1)],
        domain,
    )
    assert 'require("clear", ' in guarded[0].source
    late = [Decision(call, True, False, "no", Failure.PRECONDITION, (("clear", "q"),), position=3)] * 3
    assert [len(one.steps) for one in repaired(action, late, domain)] == [2, 2]
    noted = repaired(action, [Decision(call, True, False, "odd", Failure.CODE)], domain)
    assert "odd" in noted[0].notes[0]


def test_a_library_that_is_not_called_gets_no_quality() -> None:
    idle = Rollout("t", True, 1.0, (Decision(Call("pickup", ("a",)), False, True, ""),) * 4)
    used = Rollout("t", True, 1.0, (Decision(Call("m", ("a",)), True, True, ""),) * 2)
    assert score([idle]) == 1.0
    assert score([used]) == 3.0


def test_bad_input_is_told(
    agent: SearchAgent, towers: list[PlanningTask], larger_towers: list[PlanningTask]
) -> None:
    author = MiningAuthor(towers[0].domain)
    with pytest.raises(InputError, match="there is 1 training task"):
        ActionLearner(agent, author, towers[:1], larger_towers).learn()
    with pytest.raises(InputError, match="learned from and held out"):
        ActionLearner(agent, author, towers, towers[:1])
    from nereus.agents.learner.search import Caps

    weak = SearchAgent(towers[0].domain, demonstrations=Caps(1, 1))
    with pytest.raises(
        InputError, match="0 of 4 training tasks solved in 10 decisions; nothing to mine"
    ) as caught:
        ActionLearner(weak, author, towers, larger_towers).learn()
    assert "raise the cap or give a demonstration" in str(caught.value)
    weak.close()

    class Bare(PlanningEnvironment):
        snapshots = False

    with pytest.raises(InputError, match="allow_partial_effects=True"):
        LearnedRuntime(Bare(towers[0]), [])
    LearnedRuntime(Bare(towers[0]), [], allow_partial_effects=True)._session.close()

    class Untyped(PlanningEnvironment):
        @property
        def primitives(self):  # type: ignore[no-untyped-def]
            return tuple(
                type(one)(one.name, tuple((n, "") for n, _ in one.parameters)) for one in super().primitives
            )

    with pytest.raises(InputError, match="has no type for"):
        LearnedRuntime(Untyped(towers[0]), [])


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            "import os\ndef f(a: block) -> None:\n    pickup(a)\n    putdown(a)\n",
            "line 1: the import of 'os' is forbidden",
        ),
        (
            "def f(a: block) -> None:\n    pickup(a)\n    eval('1')\n    putdown(a)\n",
            "line 3: the name 'eval' is forbidden",
        ),
        (
            "def f(a: block) -> None:\n    pickup(a)\n    a.__class__\n    putdown(a)\n",
            "begins with an underscore",
        ),
        ("def pickup(a: block) -> None:\n    putdown(a)\n    stack(a, a)\n", "that of a primitive"),
        ("def f(a) -> None:\n    pickup(a)\n    putdown(a)\n", "argument 'a' of 'f' has no type"),
        ("def f(a: block) -> None:\n    stack(a, 'b7')\n    putdown(a)\n", "'b7' is an object of one task"),
        ("def f(a: block) -> None:\n    pickup(a)\n", "fewer than two actions"),
        ("def f(a: block -> None:\n", "cannot be read as Python"),
    ],
)
def test_sources_are_looked_at(source: str, says: str) -> None:
    assert any(says in one for one in faults(source, ("pickup", "putdown", "stack", "unstack"), ("b7",)))


def test_of_two_hundred_actions_a_search_is_given_those_that_its_goals_speak_of(
    towers: list[PlanningTask],
) -> None:
    task = towers[0]
    good = written(TO_TABLE, task.domain)
    others = [
        good.model_copy(
            update={
                "name": f"other_{number}",
                "description": f"Inflate wheel {number} of the car, and jack it up.",
            }
        )
        for number in range(200)
    ]
    given = recalled([*others[:100], good, *others[100:]], "on_table(a); on(b, c); clear(a)")
    assert good in given
    assert len(given) <= MOST_ACTIONS
    assert recalled([good], "nothing of the kind") == [good]


def test_what_fails_in_use_is_planned_without_and_retired_by_its_record(
    towers: list[PlanningTask], tmp_path: Path
) -> None:
    kept = Actions(Database(f"sqlite:///{tmp_path / 'home.sqlite'}"))
    good = written(TO_TABLE, towers[0].domain)
    # Its steps are right, which the search goes by; its source has a condition that never holds.
    wrong = good.model_copy(
        update={
            "source": good.source.replace("    require(", '    require("on", block, block)\n    require(', 1)
        }
    )
    tests = (ActionTest(task="held out", call="call", expected="hash"),)
    stored = kept.approve(kept.validated(kept.add(wrong), tests).name, "me")
    agent = SearchAgent(towers[0].domain, record=kept)
    tried = 0
    for seed in range(12):
        done = agent.act(instance("blockworld", 5, 700 + seed))
        assert done.solved
        tried = kept.standing(stored).uses
        if kept.get(stored.name).status != "active":
            break
    agent.close()
    assert tried >= 4
    assert kept.get(stored.name).decided_by == "track record"
    assert kept.usable() == []
