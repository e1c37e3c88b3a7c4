"""Backbones: what turns a frame into features."""
