"""The S3 wire protocol, sans-IO: bytes and headers in, domain values out, and back."""
