"""How what is delivered to others looks on the wire."""

from __future__ import annotations

from functools import partial

from stratum.adapters.s3.access_log_line import log_object_key
from stratum.adapters.s3.notification_record import render_record, render_test_event
from stratum.app.deliveries import Formats
from stratum.ports import NewId


def delivery_formats(region: str, new_id: NewId) -> Formats:
    """Amazon's, of a server in `region`."""
    return Formats(
        render=partial(render_record, region=region),
        render_test=render_test_event,
        name_key=partial(log_object_key, region=region, new_id=new_id),
    )
