"""What whoever runs a server sees of it: logs without secrets, and, as an option, traces and metrics (OpenTelemetry)."""
