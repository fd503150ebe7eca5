"""Weights files: reading, the manifest, the store, the Hugging Face hub, publishing."""
