"""The REST endpoints, one module a resource. Everything but `/healthz` lies under `/api`."""
