"""What operators see of the web process: request ids, the access log, metrics of requests, gunicorn's own lines."""
