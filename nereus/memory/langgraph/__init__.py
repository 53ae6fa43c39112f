"""What the LangGraph protocol keeps: assistants, threads, runs with what they streamed, and items; all by owner."""
