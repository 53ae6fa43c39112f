"""What a data set is: its unit of analysis, what can be compared, and what would mislead."""

from nereus.tools.proteomics.profile.tool import ProfileParams, profile_dataset

__all__ = ["ProfileParams", "profile_dataset"]
