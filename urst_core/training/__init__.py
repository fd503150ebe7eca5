"""Training of stylization networks, with the losses and recipes of their papers and of URST."""
