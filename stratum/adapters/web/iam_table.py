"""Which actions of IAM and STS are built."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.adapters.web.iam_front import Action
from stratum.adapters.web.iam_handlers import IamHandlers
from stratum.adapters.web.sts_handlers import StsHandlers
from stratum.app.identities import Identities
from stratum.app.sessions import Sessions


def iam_actions(identities: Identities) -> Mapping[str, Mapping[str, Action]]:
    """Actions by service and name."""
    return {
        "iam": IamHandlers(identities).actions(),
        "sts": StsHandlers(Sessions(identities)).actions(),
    }
