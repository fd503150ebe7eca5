"""Layers of tile networks, and their counterparts with normalization."""
