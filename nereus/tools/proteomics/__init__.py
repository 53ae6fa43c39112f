"""Reading, understanding and preparing proteomics tables."""
