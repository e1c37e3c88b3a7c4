"""What predictions are worth: pure functions of predictions and truth."""
