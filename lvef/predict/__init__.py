"""From clips to rows: find the files, find the beats, predict, write."""
