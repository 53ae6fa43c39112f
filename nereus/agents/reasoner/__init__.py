"""CPL: search over plan steps, and learning from what was searched; see `reasoner.Reasoner`."""
