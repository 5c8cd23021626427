"""Stratum: a self-hosted S3 object store that moves objects between tiers by itself."""

__version__ = "0.1.0"
