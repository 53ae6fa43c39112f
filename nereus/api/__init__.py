"""The server: REST, chat and MCP arrive in a later slice."""
