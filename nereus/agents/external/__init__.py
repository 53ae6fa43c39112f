"""External MCP servers that the settings name: their tools for chat, as strangers.

What a server says of its tools is a quotation, never an instruction, and is withheld from a language model until a person
has seen it; each call asks, unless the settings allow the tool by name and it is still what it was; results are limited in
size and time and quoted. The planner does not see these tools: what is not recorded cannot be recomputed.
"""
