; A robot with two hands carries balls between rooms.
(define (domain gripper)
  (:requirements :strips :typing)
  (:types room ball hand)
  (:predicates (door ?a - room ?b - room) (robot-in ?r - room) (lies-in ?b - ball ?r - room)
               (bare ?h - hand) (carries ?h - hand ?b - ball))
  (:action move
    :parameters (?from - room ?to - room)
    :precondition (and (robot-in ?from) (door ?from ?to))
    :effect (and (robot-in ?to) (not (robot-in ?from))))
  (:action pick
    :parameters (?item - ball ?place - room ?hand - hand)
    :precondition (and (lies-in ?item ?place) (robot-in ?place) (bare ?hand))
    :effect (and (carries ?hand ?item) (not (lies-in ?item ?place)) (not (bare ?hand))))
  (:action drop
    :parameters (?item - ball ?place - room ?hand - hand)
    :precondition (and (carries ?hand ?item) (robot-in ?place))
    :effect (and (lies-in ?item ?place) (bare ?hand) (not (carries ?hand ?item)))))
