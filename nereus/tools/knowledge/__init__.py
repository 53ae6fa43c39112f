"""Public knowledge and data sets that do not ship with the package: what there is, and where it is found."""
