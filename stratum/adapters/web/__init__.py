"""HTTP: the connection loop, the ASGI front and the handlers that join S3 to the use cases."""
