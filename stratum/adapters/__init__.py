"""What touches the world: disks, databases, processes, sockets, the S3 wire protocol."""
