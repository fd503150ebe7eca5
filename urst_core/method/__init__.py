"""The method (pipeline.py, run.py) and its variants: strokes, regions, video, patches."""
