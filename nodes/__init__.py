"""The nodes, one file each, and what they share: convert, host, sockets."""
