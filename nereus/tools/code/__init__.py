"""Code written by a model, a learner or a person, run in a sandbox: `sandbox` opens one, `run_code` is the tool.

`layers` says what this machine offers and how strong it is; `inside` is what runs within. See ``docs/sandbox.md``.
"""
