"""The embedded default weights; README.md beside this file is their model card."""
