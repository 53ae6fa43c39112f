"""Agents decide."""
