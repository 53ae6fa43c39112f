"""Survival: Cox regression of every feature, its proportional-hazards check, and how outcomes are read."""
