"""LangGraph's protocol: assistants, threads, runs and the store, as `langgraph_sdk` and agent-chat-ui ask for them."""

from nereus.api.langgraph import (
    about,
    assistants,
    items,
    runs,
    states,
    thread_protocol,
    thread_streams,
    threads,
)

ROUTERS = (about, assistants, threads, states, runs, thread_streams, thread_protocol, items)
"""Modules of endpoints, at the root of the server."""
