"""The planner (PROTEUS): from a raw data set to ranked hypotheses."""
