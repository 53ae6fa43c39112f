"""Nereus from Python: the same verbs on this machine (`Lab`) and on a server (`Client`), waited for or awaited.

`asking` carries out what the other modules describe; each call is described once. `local` is the server that a `Lab` keeps for
itself.
"""
