; Two hands fill shots from dispensers and mix cocktails of two ingredients in a shaker.
(define (domain barman)
  (:requirements :strips :typing)
  (:types hand level drink vessel dispenser - object
          ingredient cocktail - drink
          shot shaker - vessel)
  (:predicates (stands ?v - vessel) (grips ?h - hand ?v - vessel) (idle ?h - hand)
               (void ?v - vessel) (holds ?v - vessel ?d - drink) (clean ?v - vessel) (stained ?v - vessel ?d - drink)
               (gives ?m - dispenser ?i - ingredient) (bottom ?s - shaker ?l - level) (filled-to ?s - shaker ?l - level)
               (below ?l - level ?u - level) (unshaken ?s - shaker) (shaken ?s - shaker)
               (first-part ?c - cocktail ?i - ingredient) (second-part ?c - cocktail ?i - ingredient))
  (:action grasp
    :parameters (?hand - hand ?vessel - vessel)
    :precondition (and (stands ?vessel) (idle ?hand))
    :effect (and (grips ?hand ?vessel) (not (stands ?vessel)) (not (idle ?hand))))
  (:action leave
    :parameters (?hand - hand ?vessel - vessel)
    :precondition (grips ?hand ?vessel)
    :effect (and (stands ?vessel) (idle ?hand) (not (grips ?hand ?vessel))))
  (:action fill-shot
    :parameters (?shot - shot ?what - ingredient ?hand - hand ?other - hand ?tap - dispenser)
    :precondition (and (grips ?hand ?shot) (idle ?other) (gives ?tap ?what) (void ?shot) (clean ?shot))
    :effect (and (holds ?shot ?what) (stained ?shot ?what) (not (void ?shot)) (not (clean ?shot))))
  (:action refill-shot
    :parameters (?shot - shot ?what - ingredient ?hand - hand ?other - hand ?tap - dispenser)
    :precondition (and (grips ?hand ?shot) (idle ?other) (gives ?tap ?what) (void ?shot) (stained ?shot ?what))
    :effect (and (holds ?shot ?what) (not (void ?shot))))
  (:action empty-shot
    :parameters (?hand - hand ?shot - shot ?what - drink)
    :precondition (and (grips ?hand ?shot) (holds ?shot ?what))
    :effect (and (void ?shot) (not (holds ?shot ?what))))
  (:action clean-shot
    :parameters (?shot - shot ?what - drink ?hand - hand ?other - hand)
    :precondition (and (grips ?hand ?shot) (idle ?other) (void ?shot) (stained ?shot ?what))
    :effect (and (clean ?shot) (not (stained ?shot ?what))))
  (:action pour-into-clean-shaker
    :parameters (?shot - shot ?what - ingredient ?shaker - shaker ?hand - hand ?level - level ?next - level)
    :precondition (and (grips ?hand ?shot) (holds ?shot ?what) (void ?shaker) (clean ?shaker)
                       (filled-to ?shaker ?level) (below ?level ?next))
    :effect (and (void ?shot) (holds ?shaker ?what) (unshaken ?shaker) (filled-to ?shaker ?next)
                 (not (holds ?shot ?what)) (not (void ?shaker)) (not (clean ?shaker)) (not (filled-to ?shaker ?level))))
  (:action pour-into-used-shaker
    :parameters (?shot - shot ?what - ingredient ?shaker - shaker ?hand - hand ?level - level ?next - level)
    :precondition (and (grips ?hand ?shot) (holds ?shot ?what) (unshaken ?shaker)
                       (filled-to ?shaker ?level) (below ?level ?next))
    :effect (and (void ?shot) (holds ?shaker ?what) (filled-to ?shaker ?next)
                 (not (holds ?shot ?what)) (not (filled-to ?shaker ?level))))
  (:action empty-shaker
    :parameters (?hand - hand ?shaker - shaker ?what - cocktail ?level - level ?lowest - level)
    :precondition (and (grips ?hand ?shaker) (holds ?shaker ?what) (shaken ?shaker)
                       (filled-to ?shaker ?level) (bottom ?shaker ?lowest))
    :effect (and (void ?shaker) (filled-to ?shaker ?lowest)
                 (not (shaken ?shaker)) (not (filled-to ?shaker ?level)) (not (holds ?shaker ?what))))
  (:action clean-shaker
    :parameters (?hand - hand ?other - hand ?shaker - shaker)
    :precondition (and (grips ?hand ?shaker) (idle ?other) (void ?shaker))
    :effect (clean ?shaker))
  (:action shake
    :parameters (?what - cocktail ?one - ingredient ?two - ingredient ?shaker - shaker ?hand - hand ?other - hand)
    :precondition (and (grips ?hand ?shaker) (idle ?other) (holds ?shaker ?one) (holds ?shaker ?two)
                       (first-part ?what ?one) (second-part ?what ?two) (unshaken ?shaker))
    :effect (and (shaken ?shaker) (holds ?shaker ?what)
                 (not (unshaken ?shaker)) (not (holds ?shaker ?one)) (not (holds ?shaker ?two))))
  (:action serve
    :parameters (?what - drink ?shot - shot ?hand - hand ?shaker - shaker ?level - level ?lower - level)
    :precondition (and (grips ?hand ?shaker) (shaken ?shaker) (void ?shot) (clean ?shot) (holds ?shaker ?what)
                       (filled-to ?shaker ?level) (below ?lower ?level))
    :effect (and (holds ?shot ?what) (filled-to ?shaker ?lower)
                 (not (void ?shot)) (not (clean ?shot)) (not (filled-to ?shaker ?level)))))
