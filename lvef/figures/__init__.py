"""Pictures of predictions, truth and models, as matplotlib figures."""
