; One arm rearranges towers of blocks on a table that has room for all.
(define (domain blockworld)
  (:requirements :strips :typing)
  (:types block)
  (:predicates (on ?upper - block ?lower - block) (on-table ?b - block) (clear ?b - block)
               (held ?b - block) (arm-idle))
  (:action pickup
    :parameters (?block - block)
    :precondition (and (on-table ?block) (clear ?block) (arm-idle))
    :effect (and (held ?block) (not (on-table ?block)) (not (clear ?block)) (not (arm-idle))))
  (:action putdown
    :parameters (?block - block)
    :precondition (held ?block)
    :effect (and (on-table ?block) (clear ?block) (arm-idle) (not (held ?block))))
  (:action stack
    :parameters (?block - block ?base - block)
    :precondition (and (held ?block) (clear ?base))
    :effect (and (on ?block ?base) (clear ?block) (arm-idle) (not (held ?block)) (not (clear ?base))))
  (:action unstack
    :parameters (?block - block ?base - block)
    :precondition (and (on ?block ?base) (clear ?block) (arm-idle))
    :effect (and (held ?block) (clear ?base) (not (on ?block ?base)) (not (clear ?block)) (not (arm-idle)))))
