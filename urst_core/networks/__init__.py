"""Parts of stylization networks: sites, statistics, style codes, folding, layers, base classes."""
