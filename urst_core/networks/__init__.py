"""What a stylization network is: sites, statistics, style codes, folding, layers, the contract."""
