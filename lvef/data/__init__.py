"""From a folder of echo clips to batches of key frames."""
