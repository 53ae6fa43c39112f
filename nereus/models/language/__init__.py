"""Methods for text and for steps of reasoning."""
