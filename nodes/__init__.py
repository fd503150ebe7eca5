"""The nodes, one file each, and their shared modules: convert, host, look, sockets."""
