"""Left-ventricular ejection fraction from key frames of echocardiograms."""
