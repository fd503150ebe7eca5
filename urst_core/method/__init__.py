"""The method (pipeline.py) and its variants: video, patches."""
