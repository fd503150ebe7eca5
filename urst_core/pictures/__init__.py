"""Pictures in memory: sources, canvases, thumbnails, padding, masks, previews, metadata."""
