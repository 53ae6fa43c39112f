"""What single-cell transcriptomes and proteomes need beyond cytometry: normalisation, graph clusters, quality of cells."""
