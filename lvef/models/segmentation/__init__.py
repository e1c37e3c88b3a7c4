"""The segmenter of the left ventricle: its network, loss and weights."""
