"""``/v1``: the agent behind OpenAI's interface (models, chat completions, responses, embeddings), for clients that speak it."""

from nereus.api.openai import completions, embeddings, models, responses

ROUTERS = (models, completions, responses, embeddings)
