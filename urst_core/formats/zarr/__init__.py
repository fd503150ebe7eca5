"""Zarr stores as sources and canvases."""
