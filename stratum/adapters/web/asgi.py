"""`hypercorn -k trio stratum.adapters.web.asgi:app`: the server under Hypercorn's own command.

Configured by STRATUM_DATA (default `stratum-data`), STRATUM_CONFIG and the STRATUM_* variables of
docs/operations.md. One worker: the journal has one writer, a second one refuses to start.
"""

from __future__ import annotations

import os
from pathlib import Path

from stratum.adapters.identity import root_credentials
from stratum.adapters.web.server import install_connection_loop
from stratum.app.config import load_config
from stratum.compose import make_application

if os.environ.get("STRATUM_STOCK_LOOP") != "1":
    install_connection_loop()

_data = Path(os.environ.get("STRATUM_DATA", "stratum-data"))
_file = os.environ.get("STRATUM_CONFIG")
_config = load_config(_data, Path(_file) if _file else None, os.environ, {})
app = make_application(_config, root_credentials(_config.data, os.environ))
