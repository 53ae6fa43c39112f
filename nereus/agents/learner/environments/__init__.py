"""Where actions are learned and tried: planning domains, and the tools of the platform."""
