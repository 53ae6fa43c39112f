"""Methods for molecules: property prediction with few labels, affinity, pre-training, active learning, generation."""
