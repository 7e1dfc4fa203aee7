"""What the machine gives: environment variables, processors, files that appear whole."""
