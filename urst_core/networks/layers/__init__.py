"""The layers of tile networks, and the normalized ones that training sees."""
