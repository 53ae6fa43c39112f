# ruff: noqa: E501 - an attempt is one line of text, however long
"""Breaking or imitating the channel to the process that asked."""

from __future__ import annotations

from nereus.tools.code.outcome import Stop
from tests.tools.code.escapes.attempt import add

# ----------------------------------------------------------------------------------------------- the channel
_SEND = """
import json, os, struct, sys
def send(data):
    for fd in range(3, 1024):
        try:
            os.write(fd, data)
        except OSError:
            pass
def frame(message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    send(struct.pack('>I', len(body)) + body)
request = sys._getframe(3).f_locals['request'] if 'request' in sys._getframe(3).f_locals else {}
f = sys._getframe()
while f is not None and 'request' not in f.f_locals:
    f = f.f_back
known = f.f_locals['request']['id'] if f is not None else ''
good = {'kind': 'result', 'id': known, 'error': None, 'exit': None, 'tables': [], 'values': {}, 'figures': [], 'left_out': []}
"""
_SEND = _SEND.replace(
    "request = sys._getframe(3).f_locals['request'] if 'request' in sys._getframe(3).f_locals else {}\n", ""
)
for _name, _code in {
    "garbage": "send(b'garbage, much of it' * 100)",
    "zeros without end": "while True:\n    send(b'\\0' * 4096)",
    "a length of 4 GB": "send(b'\\xff\\xff\\xff\\xff')",
    "no object": "frame([1, 2])",
    "no JSON": "frame(b'{\"kind\": NaN}')",
    "nested a million times": "frame(b'[' * 1000000)",
    "another kind": "frame({'kind': 'run', 'code': 'x'})",
    "a script in a drawing": "frame(good | {'figures': [{'svg': '<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>', 'title': '', 'points': {}}]})",
    "a drawing that calls home": "frame(good | {'figures': [{'svg': '<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"http://x/y\"/></svg>', 'title': '', 'points': {}}]})",
    "entities in a drawing": "frame(good | {'figures': [{'svg': '<!DOCTYPE s [<!ENTITY a \"b\">]><svg xmlns=\"http://www.w3.org/2000/svg\"/>', 'title': '', 'points': {}}]})",
    "calls without end": "while True:\n    frame({'kind': 'call', 'name': 'x', 'arguments': {}})",
    "a list of millions": "frame(b'{\"kind\": \"result\", \"x\": [' + b'[],' * 4000000 + b'[]]}')",
    "a text that never ends": "frame(b'[' * 250000 + b'\"' + b'\\\\\"' * 4000000)",
    "a style sheet from elsewhere": "frame(good | {'figures': [{'svg': '<?xml-stylesheet href=\"http://x/y.xsl\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>', 'title': '', 'points': {}}]})",
    "what is left out is no text": "frame(good | {'left_out': [[1]]})",
    "a table that claims more rows": "frame(good | {'tables': [{'name': 't', 'n_rows': 10**12, 'columns': [{'name': 'a', 'kind': '<f8', 'data': ''}]}]})",
    "a table of objects": "frame(good | {'tables': [{'name': 't', 'n_rows': 1, 'columns': [{'name': 'a', 'kind': '|O', 'data': 'gASV'}]}]})",
    "a name that is a path": "frame(good | {'values': {'../../x': 1}})",
    "a value that is no scalar": "frame(good | {'values': {'x': [1]}})",
}.items():
    add(
        f"channel: {_name}",
        _SEND + _code + "\nimport time\ntime.sleep(9)",
        Stop.CHANNEL,
        alone=True,
        control="there is no channel",
        below=True,
    )
add(
    "channel: close it",
    "import os, time\nos.closerange(3, 4096)\ntime.sleep(9)",
    Stop.CHANNEL,
    alone=True,
    control="there is no channel",
    below=True,
)
add(
    "channel: leave without a word",
    "import os\nos._exit(0)",
    Stop.DIED,
    alone=True,
    control="ends itself",
    below=True,
)
