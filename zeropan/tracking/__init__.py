"""MLflow runs, metrics and pictures. Only `runs`, `database`, `client` and `views` touch MLflow."""
