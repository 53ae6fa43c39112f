; Flat tyres are exchanged for spare ones, with tools from the boot, and everything is tidied away.
(define (domain tyreworld)
  (:requirements :strips :typing)
  (:types thing place - object
          tool wheel nut - thing
          boot hub - place)
  (:constants wrench jack pump - tool)
  (:predicates (open ?b - boot) (shut ?b - boot) (unlocked ?b - boot) (have ?t - thing) (inside ?t - thing ?b - boot)
               (tight ?n - nut ?h - hub) (loose ?n - nut ?h - hub) (on-ground ?h - hub) (raised ?h - hub)
               (fastened ?h - hub) (unfastened ?h - hub) (vacant ?h - hub) (mounted ?w - wheel ?h - hub)
               (flat ?w - wheel) (inflated ?w - wheel) (intact ?w - wheel))
  (:action open-boot
    :parameters (?boot - boot)
    :precondition (and (unlocked ?boot) (shut ?boot))
    :effect (and (open ?boot) (not (shut ?boot))))
  (:action shut-boot
    :parameters (?boot - boot)
    :precondition (open ?boot)
    :effect (and (shut ?boot) (not (open ?boot))))
  (:action fetch
    :parameters (?thing - thing ?boot - boot)
    :precondition (and (inside ?thing ?boot) (open ?boot))
    :effect (and (have ?thing) (not (inside ?thing ?boot))))
  (:action put-away
    :parameters (?thing - thing ?boot - boot)
    :precondition (and (have ?thing) (open ?boot))
    :effect (and (inside ?thing ?boot) (not (have ?thing))))
  (:action loosen
    :parameters (?nut - nut ?hub - hub)
    :precondition (and (have wrench) (tight ?nut ?hub) (on-ground ?hub))
    :effect (and (loose ?nut ?hub) (not (tight ?nut ?hub))))
  (:action tighten
    :parameters (?nut - nut ?hub - hub)
    :precondition (and (have wrench) (loose ?nut ?hub) (on-ground ?hub))
    :effect (and (tight ?nut ?hub) (not (loose ?nut ?hub))))
  (:action jack-up
    :parameters (?hub - hub)
    :precondition (and (on-ground ?hub) (have jack))
    :effect (and (raised ?hub) (not (on-ground ?hub)) (not (have jack))))
  (:action jack-down
    :parameters (?hub - hub)
    :precondition (raised ?hub)
    :effect (and (on-ground ?hub) (have jack) (not (raised ?hub))))
  (:action unscrew
    :parameters (?nut - nut ?hub - hub)
    :precondition (and (raised ?hub) (fastened ?hub) (have wrench) (loose ?nut ?hub))
    :effect (and (have ?nut) (unfastened ?hub) (not (fastened ?hub)) (not (loose ?nut ?hub))))
  (:action screw-on
    :parameters (?nut - nut ?hub - hub)
    :precondition (and (raised ?hub) (unfastened ?hub) (have wrench) (have ?nut))
    :effect (and (loose ?nut ?hub) (fastened ?hub) (not (unfastened ?hub)) (not (have ?nut))))
  (:action take-off
    :parameters (?wheel - wheel ?hub - hub)
    :precondition (and (raised ?hub) (mounted ?wheel ?hub) (unfastened ?hub))
    :effect (and (have ?wheel) (vacant ?hub) (not (mounted ?wheel ?hub))))
  (:action put-on
    :parameters (?wheel - wheel ?hub - hub)
    :precondition (and (have ?wheel) (vacant ?hub) (unfastened ?hub) (raised ?hub))
    :effect (and (mounted ?wheel ?hub) (not (vacant ?hub)) (not (have ?wheel))))
  (:action inflate
    :parameters (?wheel - wheel)
    :precondition (and (have pump) (flat ?wheel) (intact ?wheel))
    :effect (and (inflated ?wheel) (not (flat ?wheel)))))
