"""What runs inside the sandbox. `worker` alone runs code, in a process of its own, and cannot be imported."""
