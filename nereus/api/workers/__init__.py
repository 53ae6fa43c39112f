"""Processes that work on what the server was asked for; see `nereus.memory.jobs`."""
