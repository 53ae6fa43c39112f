"""How far a state is from the goals if nothing were ever undone.

The additive estimate (Bonet and Geffner 2001) and, with the ways that it finds, the length of a relaxed plan (Hoffmann and
Nebel 2001; Keyder and Geffner 2008).
"""

from __future__ import annotations

import heapq

from nereus.agents.learner.environments.grounded import GroundTask, bits

_FAR = 1_000_000


class RelaxedEstimate:
    """What is left to decide if nothing were ever undone.

    Parameters
    ----------
    ground
        The task.
    macros
        Whether macros without a loop are decisions, too. What a macro undoes of its own is no effect of it, so that an
        estimate over macros ignores less than one over primitives.
    together
        Whether decisions that several goals need count once: the number of decisions of one plan. Else what each goal costs
        by itself is added.
    """

    def __init__(self, ground: GroundTask, macros: bool = True, together: bool = True) -> None:
        self._ground = ground
        self._together = together
        actions = [
            one for one in ground.actions if not one.operator.steps or (macros and not one.operator.loop)
        ]
        self._goal = list(bits(ground.goal))
        self._makes = [one.made for one in actions]
        self._needs = [one.needed for one in actions]
        self._wanted = [len(one) for one in self._needs]
        self._size = len(ground.literals)
        self._users: list[list[int]] = [[] for _ in range(self._size)]
        for action, conditions in enumerate(self._needs):
            for fact in conditions:
                self._users[fact].append(action)
        self._always = [action for action, count in enumerate(self._wanted) if not count]

    def __call__(self, state: int) -> int:
        """The estimate; very large where a goal cannot be reached even so."""
        return self.judged(state)[0]

    def judged(self, state: int) -> tuple[int, int]:
        """The estimate, and the facts that the cheapest ways to the goals make: those worth making now."""
        if not self._ground.solvable:
            return _FAR, 0
        cost = [_FAR] * self._size
        by = [-1] * self._size
        waiting = list(self._wanted)
        price = [1] * len(waiting)
        queue: list[tuple[int, int]] = []
        for number in bits(state):
            cost[number] = 0
            queue.append((0, number))
        for action in self._always:
            for made in self._makes[action]:
                if cost[made] > 1:
                    cost[made] = 1
                    by[made] = action
                    queue.append((1, made))
        heapq.heapify(queue)
        open_goals = set(self._goal)
        users, makes, push, pop = self._users, self._makes, heapq.heappush, heapq.heappop
        while queue:
            now, fact = pop(queue)
            if now > cost[fact]:
                continue
            open_goals.discard(fact)
            if not open_goals:
                break
            for action in users[fact]:
                waiting[action] -= 1
                price[action] += now
                if not waiting[action]:
                    least = price[action]
                    for made in makes[action]:
                        if least < cost[made]:
                            cost[made] = least
                            by[made] = action
                            push(queue, (least, made))
        wanted = 0
        used: set[int] = set()
        left = [one for one in self._goal if cost[one]]
        while left:
            fact = left.pop()
            if wanted >> fact & 1:
                continue
            wanted |= 1 << fact
            if by[fact] >= 0:
                used.add(by[fact])
                left += [one for one in self._needs[by[fact]] if cost[one]]
        total = sum(cost[one] for one in self._goal)
        return (len(used) if self._together and total < _FAR else total), wanted
