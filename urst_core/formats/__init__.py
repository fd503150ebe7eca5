"""Files as sources and canvases: libvips, NumPy, the work file, encoders, Zarr."""
