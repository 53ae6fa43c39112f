"""Methods for biological sequences: DNA, RNA and proteins, read from tables, FASTA and GenBank."""
