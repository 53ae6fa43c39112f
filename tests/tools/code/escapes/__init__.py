"""Attempts to get out of the sandbox, or to take more than is allowed. Each sets `escaped` where it got what it wanted.

Each is written against canaries of the test (a file, sockets, a process, a variable of the environment), so that it does
no harm where nothing holds it: the tests run it there, too, to show that it would have worked.
"""

from tests.tools.code.escapes import channel, files, kernel, processes, resources
from tests.tools.code.escapes.attempt import ATTEMPTS, Attempt

__all__ = ["ATTEMPTS", "Attempt", "channel", "files", "kernel", "processes", "resources"]
