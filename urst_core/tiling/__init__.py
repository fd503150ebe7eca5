"""The tile loop: device, precision, settings, tile size, prefetching and delayed writing."""
