"""MCP: Nereus as a server of the Model Context Protocol, over streamable HTTP (``/mcp``) and stdio (``nereus mcp``).

Tools, methods, runs, evidence and reports are what the REST interface offers, through the same functions, so that one owner
sees the same things whichever way they come in. The package ``mcp`` is loaded with the first request.
"""
