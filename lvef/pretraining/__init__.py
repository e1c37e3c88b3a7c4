"""Weights that phantoms teach: the backbone's start, and the segmenter that ships."""
