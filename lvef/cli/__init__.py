"""The command line: which command, which configuration, which checkpoint."""
