"""Judging finished hypotheses on five metrics: by a language model, by computed proxies, or by people who are blinded."""
