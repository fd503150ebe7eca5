"""Training of stylization networks, with the losses and recipes of URST and the methods' papers."""
