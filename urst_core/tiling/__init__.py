"""The tile loop: device, precision, settings, tile size, reading ahead and writing behind."""
