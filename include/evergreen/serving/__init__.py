"""What a fitted pipeline needs to predict, and the clean processes in which that is tried. It brings in nothing else."""
