"""What each method of the library reaches, beside baselines and controls that run in the same call."""
